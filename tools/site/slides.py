"""Slides for the lecture part of every page, from the same notebooks, for a hall without network.

Which cells become slides: those in the sections ``LECTURE`` (and the title), in the order of the page. A cell can say
otherwise by the notebook format's own metadata, in JupyterLab under *Slide Type*: *slide*, *subslide* and *fragment* put
it in, *skip* leaves it out, *notes* puts it into the speaker's notes. Text that is too long for one slide goes on
below; a lab shows its storyboard, and its words are in the notes. Code is shown where its cell asks for it.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from jinja2 import Environment, FileSystemLoader
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from tools.site import npm
from tools.site.pages import LECTURE, LIVE, Page, copy_images, link_pages

HERE = Path(__file__).parent
REVEAL = "6.0.2"
FILES = ("reveal.js", "reveal.css", "plugin/notes.js")
LINES, LETTERS = 11, 72
"""Lines below the heading of a slide, and letters in a line; what does not fit goes on in the next one."""


@dataclass
class Slide:
    """One slide: its heading, its HTML, the speaker's notes, and whether it goes on from the one before, below it."""

    heading: str
    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    below: bool = False
    live: bool = False

    @property
    def html(self) -> str:
        return "\n".join(self.parts)


def build(out: Path, pages: list[Page], parts: set[str]) -> None:
    """Write ``out/slides`` from executed pages."""
    folder = out / "slides"
    with npm.package("reveal.js", REVEAL) as files:
        for name in FILES:
            target = folder / "reveal" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files / "dist" / name, target)
        shutil.copyfile(files / "LICENSE", folder / "reveal" / "LICENSE")
    shutil.copyfile(HERE / "static" / "slides.css", folder / "slides.css")
    template = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True).get_template("slides.html.j2")
    for page in filter(lambda page: page.has_lecture, pages):
        live = "../" + LIVE.format(page.name) if "lite" in parts else ""
        text = template.render(page=page, columns=columns(slides_of(page)), live=live)
        html = BeautifulSoup(text, "html.parser")
        if "book" in parts:
            link_pages(html, pages, to="../book/")
        else:
            link_pages(html, pages, anchors=False)  # the slides of a page need not have that section
        copy_images(html, page.path.parent, folder)
        (folder / f"{page.name}.html").write_text(str(html), encoding="utf-8")


def columns(slides: list[Slide]) -> list[list[Slide]]:
    """Slides side by side, each with those below it."""
    out: list[list[Slide]] = []
    for slide in slides:
        if slide.below and out:
            out[-1].append(slide)
        else:
            out.append([slide])
    return out


def slides_of(page: Page) -> list[Slide]:
    """The slides of an executed page."""
    slides: list[Slide] = []
    section = ""
    for cell in page.notebook.cells:
        html = (
            BeautifulSoup(markdown2html_mistune(cell.source), "html.parser") if cell.cell_type == "markdown" else None
        )
        heading = html.find(["h1", "h2"]) if html is not None else None
        if isinstance(heading, Tag):
            section = _words(heading) if heading.name == "h2" else ""
        kind = cell.metadata.get("slideshow", {}).get("slide_type", "")
        if kind == "notes" and slides and html is not None:
            slides[-1].notes.append(str(html))
        if kind in ("skip", "notes") or (kind in ("", "-") and section.lower() not in LECTURE | {""}):
            continue
        begins = kind in ("slide", "subslide") or heading is not None or not slides
        if begins:
            below = kind == "subslide"
            slides.append(Slide(_words(heading) if isinstance(heading, Tag) else section or page.title, below=below))
        if html is not None:
            if isinstance(heading, Tag):
                heading.decompose()
            _fill(slides, [child for child in html.children if isinstance(child, Tag)])
        else:
            _code(slides, cell, shown=kind in ("slide", "subslide", "fragment"))
    return [slide for slide in slides if slide.parts]


def _words(heading: Tag) -> str:
    return heading.get_text().removesuffix("¶").strip()


def _fill(slides: list[Slide], blocks: list[Tag]) -> None:
    """Put blocks of text onto the last slide, and go on below when it is full; a list is cut between its items."""
    there = BeautifulSoup(slides[-1].html, "html.parser")
    room = LINES - sum(_lines(part) for part in there.find_all(["p", "li", "pre", "table", "figure", "h3"]))
    for block in blocks:
        items = block.find_all("li", recursive=False) if block.name in ("ul", "ol") else [block]
        taken: list[Tag] = []
        first = int(str(block.get("start") or 1))
        for item in items:
            size = _lines(item)
            if size > room and (taken or slides[-1].parts):
                _put(slides[-1], block, taken, first)
                first, taken = first + len(taken), []
                slides.append(Slide(slides[-1].heading, below=True))
                room = LINES
            taken.append(item)
            room -= size
        _put(slides[-1], block, taken, first)


def _lines(block: Tag) -> float:
    """How much room a block takes; a picture takes a slide."""
    if block.name == "figure" or block.find("img") is not None or block.name == "img":
        return LINES
    if block.name in ("pre", "table"):
        return 1 + 0.8 * block.get_text().strip().count("\n")
    return 0.5 + math.ceil(len(block.get_text().strip()) / LETTERS)


def _put(slide: Slide, block: Tag, items: list[Tag], first: int) -> None:
    if items and items[0] is block:
        slide.parts.append(str(block))
    elif items:
        start = f' start="{first}"' if block.name == "ol" and first > 1 else ""
        slide.parts.append(f"<{block.name}{start}>{''.join(map(str, items))}</{block.name}>")


def _code(slides: list[Slide], cell: Any, shown: bool) -> None:
    """A code cell: its source where the cell asks for it, and its pictures, each on a slide of its own."""
    if shown:
        slides[-1].parts.append(Highlight2HTML()(cell.source))
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        html = BeautifulSoup(str(data.get("text/html", "")), "html.parser")
        figure = html.find("figure") or html.find("img")
        if isinstance(figure, Tag):
            caption = figure.find("figcaption")
            if isinstance(caption, Tag):
                caption.decompose()
            words = html.find("ol")
            if slides[-1].parts:
                slides.append(Slide(slides[-1].heading, below=True))
            slides[-1].parts.append(str(figure))
            slides[-1].notes.append(str(words) if words is not None else "")
            slides[-1].live = True
        elif "image/png" in data:
            alt = "Output of the cell above"
            if slides[-1].parts and not shown:
                slides.append(Slide(slides[-1].heading, below=True))
            slides[-1].parts.append(f'<img alt="{alt}" src="data:image/png;base64,{str(data["image/png"]).strip()}">')
        elif shown and output.get("name") == "stdout":
            slides[-1].parts.append(str(_pre(output["text"])))


def _pre(text: str) -> Tag:
    tag = BeautifulSoup("", "html.parser").new_tag("pre")
    tag.string = text
    return tag
