"""A small course of two pages, its site, and a web server for it."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.site import build

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "notebooks"
LONG = "\n".join(f"- point {n}: " + "a container and its zone " * 5 for n in range(12))

FIRST = [
    new_markdown_cell(
        "# 00 · The *first*\n\n**The question.** Who gets\n`which` page?\n\nMore.\n\n![A lab](images/one.png)\n\n"
        "Go to [the next one](01-two.ipynb#The-idea)."
    ),
    new_markdown_cell("## The idea\n\n" + LONG),
    new_markdown_cell("Not a slide", metadata={"slideshow": {"slide_type": "skip"}}),
    new_markdown_cell("Say this", metadata={"slideshow": {"slide_type": "notes"}}),
    new_markdown_cell("## Lab\n\nMove it."),
    new_code_cell("from zonelab import Lab\nfrom zonelab.story.tour import tour\n\nLab(tour)"),
    new_markdown_cell(
        "## Under the hood\n\nHidden from slides.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n### Deeper\n\nText."
    ),
    new_code_cell("print('columns ' * 20)\n# a comment\nanswer = 6 * 7"),
    new_code_cell("print(answer)", metadata={"slideshow": {"slide_type": "subslide"}}),
    new_markdown_cell("## In short\n\nDone."),
]
SECOND = [
    new_markdown_cell("# 01 · The second"),
    new_markdown_cell("## The idea\n\nBack to [00](./00-one.ipynb), and to [Linux](https://www.kernel.org/)."),
    new_code_cell("import matplotlib.pyplot as plt\n\nplt.plot([1, 2]);"),
]


def write(path: Path, cells: list[Any]) -> None:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)


@pytest.fixture(scope="session")
def small_course(tmp_path_factory) -> Path:
    """Two pages, answers that somebody has left behind, and a picture."""
    folder: Path = tmp_path_factory.mktemp("course")
    (folder / "images").mkdir()
    shutil.copyfile(COURSE / "images" / "lab-light.png", folder / "images" / "one.png")
    shutil.copyfile(COURSE / "images" / "lab-dark.png", folder / "images" / "nowhere.png")
    (folder / "zonelab-answers.json").write_text("{}")
    write(folder / "00-one.ipynb", FIRST)
    write(folder / "01-two.ipynb", SECOND)
    return folder


@pytest.fixture(scope="session")
def small_site(small_course, tmp_path_factory) -> Path:
    """Book and slides of the small course."""
    out: Path = tmp_path_factory.mktemp("site")
    build.build(out, {"book", "slides"}, small_course)
    return out


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """A web server for a folder: its address, with a slash at the end."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
