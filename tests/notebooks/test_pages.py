"""The rhythm of a page: the same parts in the same order, short, with words for every picture, cells that stand alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))}
ALL = sorted((ROOT / "notebooks").glob("*.ipynb"))
RHYTHM = [
    "Recall", "The idea", "Predict", "Lab", "Observe", "Under the hood", "Your turn", "In a real kernel", "Check yourself", "In short",
]  # fmt: skip


def cells(path: Path):
    return nbformat.read(path, as_version=4).cells


def part(path, heading):
    """The cells from a heading to the next."""
    out, inside = [], False
    for cell in cells(path):
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            inside = cell.source.splitlines()[0] == f"## {heading}"
        if inside:
            out.append(cell)
    return out


@pytest.mark.parametrize("number", PAGES)
def test_the_parts_of_a_page_in_their_order(number):
    text = "\n".join(cell.source for cell in cells(PAGES[number]) if cell.cell_type == "markdown")
    assert re.match(rf"# {number} · .*\?$", text.splitlines()[0]), "a page begins with its question"
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert headings == (RHYTHM if number != "00" else RHYTHM[1:])
    assert not re.findall(r"^#{4,} ", text, re.M)
    head = text.split("\n## ")[0]
    assert len(re.findall(r"^- ", head, re.M)) == 3, "three things you will be able to do"
    assert re.search(r"\*\*Time:\*\* about \d+ minutes", head) and "**You should know**" in head
    assert "**Read on:**" in text.split("\n## ")[-1]


@pytest.mark.parametrize("number", PAGES)
def test_each_part_has_what_it_is_for(number):
    path = PAGES[number]
    code = {name: "\n".join(c.source for c in part(path, name) if c.cell_type == "code") for name in RHYTHM}
    idea = "\n".join(c.source for c in part(path, "The idea") if c.cell_type == "markdown")
    prose = idea.split("\n", 1)[1].split("Look at")[0]
    assert len(prose.split()) <= 150, f"the idea has {len(prose.split())} words"
    assert "unit.picture()" in code["The idea"] and "Look at" in idea
    assert number == "00" or "unit.recall()" in code["Recall"]
    assert not code["Predict"]
    assert "Lab(" in code["Lab"] or "arena" in code["Lab"]
    assert "observed(" in code["Observe"] or "this_run(" in code["Observe"] or number in ("11", "12")
    assert "source(" in code["Under the hood"]
    assert "unit.check(" in code["Your turn"] and "Lab(" in code["Your turn"]
    assert "in_a_real_kernel(" in code["In a real kernel"]
    assert "unit.quiz()" in code["Check yourself"]


@pytest.mark.parametrize("path", ALL, ids=[path.stem for path in ALL])
def test_cells_are_short_and_pictures_have_words(path):
    for cell in cells(path):
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 25, cell.source[:80]
            assert "SOLUTION" not in cell.source and "HIDDEN" not in cell.source and "nbgrader" not in cell.metadata
            assert "teacher" not in cell.metadata.get("tags", [])
        for alt in re.findall(r"!\[(.*?)\]\(", cell.source):
            assert len(alt.split()) >= 5, f"{path.name}: a picture without words"


@pytest.mark.parametrize("path", ALL, ids=[path.stem for path in ALL])
def test_everything_that_is_imported_is_used(path):
    tree = ast.parse("\n".join(cell.source for cell in cells(path) if cell.cell_type == "code"))
    imports = [
        alias for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    ]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # i_am is for the reader to use
    assert not {alias.asname or alias.name.split(".")[0] for alias in imports} - used - {"i_am"}


ALONE = """
import io, json, os, sys, warnings
from contextlib import redirect_stderr, redirect_stdout
from IPython.core.interactiveshell import InteractiveShell
path, folder = sys.argv[1:]
cells = [c for c in json.load(open(path, encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
code = ["".join(c["source"]) for c in cells]
about = [c["metadata"].get("tags", []) for c in cells]
os.chdir(folder)
warnings.simplefilter("error")
out, err = io.StringIO(), io.StringIO()

def run(*numbers):
    shell = InteractiveShell()
    with redirect_stdout(out), redirect_stderr(err):
        for n in (0, *numbers):
            result = shell.run_cell(code[n], store_history=False)
            if not result.success:
                problem = result.error_before_exec or result.error_in_exec
                sys.__stdout__.write(f"cell {n}, run as {numbers}: {problem!r}\\n{code[n]}\\n")
                sys.exit(1)

def needs(n):  # a check goes with its exercise
    if "check" not in about[n]:
        return []
    name = about[n][about[n].index("check") + 1]
    return [m for m in range(len(code)) if {"exercise", name} <= set(about[m])]

for n in range(1, len(code)):
    run(*needs(n), n, n)
order = [m for n in reversed(range(1, len(code))) for m in (*needs(n), n)]
run(*order)
if err.getvalue():
    sys.__stdout__.write("printed to stderr: " + err.getvalue())
    sys.exit(1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("path", ALL, ids=[path.stem for path in ALL])
def test_each_cell_runs_alone_twice_and_in_reverse(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(path), str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
