"""The course's notebooks, executed once: what the book and the slides are made of."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
WIDGET = "application/vnd.jupyter.widget-view+json"
LIVE = "lite/lab/index.html?path={}.ipynb"
"""Where a page opens in JupyterLite, seen from the site's folder."""
LECTURE = {"the idea", "predict", "lab", "in short"}
"""Sections that are lectured on, as their headings say, in lower letters."""
SECRET = ("### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS")
"""The marks of nbgrader around what students do not get."""
HEADING = re.compile(r"^(#{1,2}) +(.+?)\s*$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@dataclass
class Page:
    """One notebook of the course.

    Attributes:
        path: where it stands; name: its file name without ``.ipynb``, as its page is called.
        notebook: its cells, with outputs once ``execute`` has run it.
        title: its first heading; question: the paragraph that begins with "The question.", without these words.
    """

    path: Path
    notebook: Any
    title: str = ""
    question: str = ""
    sections: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = "\n\n".join(cell.source for cell in self.notebook.cells if cell.cell_type == "markdown")
        headings = HEADING.findall(FENCE.sub("", text))
        self.title = next((plain(words) for level, words in headings if level == "#"), self.name)
        self.sections = [plain(words) for level, words in headings if level == "##"]
        asked = re.search(r"^\*\*The question\.\*\*\s+(.+?)(?=\n\s*\n|\Z)", text, re.MULTILINE | re.DOTALL)
        self.question = plain(" ".join(asked[1].split())) if asked else ""

    @property
    def has_lecture(self) -> bool:
        """Whether there is more to make slides of than its title."""
        asked = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in self.notebook.cells]
        return any(section.lower() in LECTURE for section in self.sections) or bool({"slide", "subslide"} & set(asked))

    @property
    def name(self) -> str:
        return self.path.stem


def plain(markdown: str) -> str:
    """A line of Markdown without its marks for emphasis, code and links."""
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"(\*\*|\*|`|(?<!\w)_|_(?!\w))", "", words)


def read(folder: Path) -> list[Page]:
    """The pages in a folder, in the order of their names: ``00-…``, ``01-…``, then those without a number.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = sorted(folder.glob("*.ipynb"), key=lambda path: (not path.name[:2].isdigit(), path.name))
    if not paths:
        raise FileNotFoundError(f"no notebook (*.ipynb) in {folder}")
    return [Page(path, nbformat.read(path, as_version=4)) for path in paths]


def refuse_solutions(pages: list[Page]) -> None:
    """A site is read by students.

    Raises:
        ValueError: a page is the teacher's copy.
    """
    for page in pages:
        for cell in page.notebook.cells:
            for mark in SECRET:
                if mark in cell.source:
                    raise ValueError(f"{page.path} has {mark!r} in it: make the site of the students' copy")


def execute(page: Page, timeout: int = 120) -> None:
    """Run a page in a fresh kernel, in a copy of its folder, so that no reader's answers get in and none are left behind.

    A lab's output keeps its still storyboard and its words only: the widget itself needs a kernel.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell has failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in page.path.parent.iterdir():
            if path.is_file() and path.suffix not in (".ipynb", ".json"):
                shutil.copy2(path, folder)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        client = NotebookClient(
            page.notebook,
            timeout=timeout,
            kernel_name="python3",
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    page.notebook.metadata.pop("widgets", None)
    for cell in page.notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)


def copy_images(html: BeautifulSoup, source: Path, target: Path) -> None:
    """Copy the pictures that a page shows from its notebook's folder to its new one.

    Raises:
        FileNotFoundError: the notebook shows a picture that is not there.
    """
    for image in html.select("img[src]"):
        name = str(image["src"])
        if not re.match(r"[a-z]+:|/", name):
            if not (source / name).is_file():
                raise FileNotFoundError(f"{source / name} is shown in the course, and missing")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def link_pages(html: BeautifulSoup, pages: list[Page], to: str = "", anchors: bool = True) -> None:
    """Let links from notebook to notebook lead from page to page, in the folder `to`, with or without their anchors."""
    names = {f"{page.name}.ipynb": f"{to}{page.name}.html" for page in pages}
    for link in html.select("a[href]:not([download])"):
        name, mark, anchor = str(link["href"]).partition("#")
        name = name.removeprefix("./")
        if name in names:
            link["href"] = names[name] + (mark + anchor if anchors else "")
