# What nbgrader needs to know to hand out and mark the pages of zonelab; see the teacher's guide.
c = get_config()  # noqa: F821  nbgrader defines it
c.ClearSolutions.code_stub = {"python": "# your code here\n..."}
c.ExecutePreprocessor.timeout = 60
