"""Print constraints that pin each dependency of a pyproject.toml to its lower bound: the oldest versions allowed."""

import re
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
for requirement in [
    *project["dependencies"],
    *project["optional-dependencies"]["lab"],
    *project["optional-dependencies"]["test"],
    *project["optional-dependencies"]["site"],
]:
    match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?\s*>=\s*([\w.]+)", requirement)
    if match is None:
        sys.exit(f"{requirement!r} has no lower bound")
    print(f"{match[1]}=={match[2]}")
