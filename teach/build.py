"""Make the two copies of every page from its one source: ``python teach/build.py``.

``teach/units/NN-name.md`` (MyST Markdown, as jupytext reads it) is the source: page, solutions, teacher's notes.

* ``notebooks/NN-name.ipynb`` is the student's copy: no solutions, no cells tagged *teacher*.
* ``teach/notebooks/NN-name.ipynb`` is the teacher's, and at the same time what nbgrader takes as its source: solution cells and
  graded checks carry its metadata, and checks have a hidden test.

Cell tags: *exercise* and *check*, each with the exercise's name; *teacher*. Solutions stand between nbgrader's own markers.
``--check`` writes nothing, and fails if what is committed is not what the source makes.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
UNITS = HERE / "units"
STUDENT, TEACHER = ROOT / "notebooks", HERE / "notebooks"
STUB = "# your code here\n..."
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def sections(cell: Any) -> list[Any]:
    """A cell of Markdown in pieces, each of which begins with its heading."""
    if cell.cell_type != "markdown":
        return [cell]
    pieces = re.split(r"\n(?=#{1,2} )", cell.source)
    return [nbformat.v4.new_markdown_cell(piece, metadata=cell.metadata) for piece in pieces]


def read(path: Path) -> Any:
    """The source as a notebook, with ids that stay the same as long as the order of cells does."""
    notebook = jupytext.read(path, fmt="md:myst")
    notebook.cells = [part for cell in notebook.cells for part in sections(cell)]
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells, 1):
        known = [tag for tag in tags(cell) if tag not in ("teacher", "first") and not re.fullmatch(r"C\d+", tag)]
        cell.id = "-".join(known) or f"cell-{number:02}"
        cell.source = cell.source.strip("\n")
    nbformat.validate(notebook)
    return notebook


def points(number: str, exercise: str) -> int:
    from zonelab.course.unit import exercises

    return exercises(number)[exercise].points


def teacher(path: Path) -> Any:
    """The whole page, with nbgrader's metadata."""
    notebook = read(path)
    for cell in notebook.cells:
        about = tags(cell)
        if "exercise" in about:
            name = about[about.index("exercise") + 1]
            grading = {"grade": False, "solution": True, "locked": False, "grade_id": name}
        elif "check" in about:
            name = about[about.index("check") + 1]
            grading = {"grade": True, "solution": False, "locked": True, "grade_id": f"{name}-check"}
            grading["points"] = points(path.name[:2], name)
            cell.source += f'\n### BEGIN HIDDEN TESTS\nassert unit.passed("{name}")\n### END HIDDEN TESTS'
        else:
            continue
        cell.metadata["nbgrader"] = {**grading, "schema_version": 3, "task": False, "cell_type": cell.cell_type}
    return notebook


def student(path: Path) -> Any:
    """The page without solutions, hidden tests and teacher's cells; made by nbgrader's own code."""
    notebook = teacher(path)
    notebook.cells = [cell for cell in notebook.cells if "teacher" not in tags(cell)]
    clear = ClearSolutions(code_stub={"python": STUB}, text_stub="*your answer here*")
    notebook, _ = clear.preprocess(notebook, {"kernelspec": {"language": "python"}, "metadata": {"language": "python"}})
    notebook, _ = ClearHiddenTests().preprocess(notebook, {})
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)
        cell.source = cell.source.rstrip("\n")
    return notebook


def copies() -> dict[Path, str]:
    """What should be committed: path → text."""
    out = {}
    for path in sorted(UNITS.glob("*.md")):
        for folder, make in ((STUDENT, student), (TEACHER, teacher)):
            out[folder / f"{path.stem}.ipynb"] = nbformat.writes(make(path), version=4) + "\n"
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the student's and the teacher's copy of every page.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a copy is not what its source makes"
    )
    args = parser.parse_args()
    made = copies()
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    left = [path for folder in (STUDENT, TEACHER) for path in folder.glob("*.ipynb") if path not in made]
    for path in stale if args.check else []:
        print(f"{path.relative_to(ROOT)} is not what its source makes; run: python teach/build.py")
    for path in left:
        print(f"{path.relative_to(ROOT)} has no source in teach/units")
    if not args.check:
        TEACHER.mkdir(exist_ok=True)
        for path in stale:
            path.write_text(made[path], encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if left or (args.check and stale) else 0


if __name__ == "__main__":
    sys.exit(main())
