"""One source, two copies: nothing has drifted, no solution is in the student's, and nbgrader takes the teacher's."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "teach" / "units").glob("*.md"))


def test_nothing_has_drifted():
    done = subprocess.run([sys.executable, "teach/build.py", "--check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=[path.stem for path in SOURCES])
def test_the_students_copy_has_no_solution_and_no_note(source):
    text = source.read_text(encoding="utf-8")
    copy = nbformat.read(ROOT / "notebooks" / f"{source.stem}.ipynb", as_version=4)
    everything = "\n".join(cell.source for cell in copy.cells)
    solutions = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", text, re.S)
    assert len(solutions) == len(re.findall(r"tags: \[exercise", text))
    for solution in solutions:
        for line in solution.strip().splitlines():
            assert line.strip() not in everything.splitlines() and f"    {line.strip()}" not in everything, line
    notes = [c for c in jupytext.read(source, fmt="md:myst").cells if "teacher" in c.metadata.get("tags", [])]
    if source.name[0].isdigit():
        assert notes, "a unit needs a note for the teacher"
    for note in notes:
        assert note.source not in everything


RIGHT = "    return pfn ^ (1 << order)"
WRONG = "    return pfn + (1 << order)"


@pytest.mark.slow
def test_nbgrader_round_trip(tmp_path):
    """generate_assignment and autograde on a real assignment: right, wrong and empty get what they deserve."""
    source = tmp_path / "source" / "zonelab"
    source.mkdir(parents=True)
    page = nbformat.read(ROOT / "teach" / "notebooks" / "01-pages-and-buddies.ipynb", as_version=4)
    page.cells = [
        cell for cell in page.cells if "nbgrader" in cell.metadata or "first" in cell.metadata.get("tags", [])
    ]
    nbformat.write(page, source / "unit01.ipynb")
    config = "c = get_config()\nc.CourseDirectory.course_id = 'zonelab'\n"
    (tmp_path / "nbgrader_config.py").write_text(config + (ROOT / "teach" / "nbgrader_config.py").read_text())

    def nbgrader(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *arguments], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    nbgrader("generate_assignment", "zonelab", "--create")
    release = tmp_path / "release" / "zonelab" / "unit01.ipynb"
    given = json.loads(release.read_text())
    stub = "    # your code here\n    ..."
    assert stub in "".join("".join(cell["source"]) for cell in given["cells"])
    assert "HIDDEN" not in release.read_text()
    for who, answer in {"right": RIGHT, "wrong": WRONG, "empty": stub}.items():
        hand_in = tmp_path / "submitted" / who / "zonelab" / "unit01.ipynb"
        hand_in.parent.mkdir(parents=True)
        mine = json.loads(release.read_text())
        for cell in mine["cells"]:
            text = "".join(cell["source"])
            if text.startswith("def buddy"):
                cell["source"] = text.replace(stub, answer)
        hand_in.write_text(json.dumps(mine))
    nbgrader("autograde", "zonelab", "--create")
    nbgrader("export")
    with open(tmp_path / "grades.csv", newline="") as table:
        points = {row["student_id"]: float(row["score"]) for row in csv.DictReader(table)}
    assert points == {"right": 2.0, "wrong": 0.0, "empty": 0.0}
