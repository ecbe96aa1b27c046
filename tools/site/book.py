"""The course as a book of plain HTML pages: no server, no kernel, no script, no request to anywhere else.

Labs are shown as their storyboard and its words, which every lab leaves beside its widget.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from jinja2 import Environment, FileSystemLoader
from nbconvert import HTMLExporter

from tools.site.pages import LIVE, Page, copy_images, link_pages

HERE = Path(__file__).parent

WIDE = 40
"""A line of output with more letters does not fit everywhere: it is scrolled, not broken, because its columns matter."""


def build(out: Path, pages: list[Page], parts: set[str]) -> None:
    """Write ``out/book`` from executed pages; links lead into those of the parts *lite* and *slides* that the site has."""
    folder = out / "book"
    folder.mkdir(parents=True, exist_ok=True)
    exporter = HTMLExporter(template_name="book", extra_template_basedirs=[str(HERE / "templates")])
    for number, page in enumerate(pages):
        resources = {
            "page": page,
            "pages": pages,
            "before": pages[number - 1] if number else None,
            "after": pages[number + 1] if number + 1 < len(pages) else None,
            "live": "../" + LIVE.format(page.name) if "lite" in parts else "",
            "slides": f"../slides/{page.name}.html" if "slides" in parts and page.has_lecture else "",
        }
        html = BeautifulSoup(exporter.from_notebook_node(page.notebook, resources)[0], "html.parser")
        _finish(html, page, pages)
        copy_images(html, page.path.parent, folder)
        (folder / f"{page.name}.html").write_text(str(html), encoding="utf-8")
        empty = nbformat.read(page.path, as_version=4)  # as it stands in the course: without outputs
        nbformat.write(empty, folder / f"{page.name}.ipynb")
    copy_style(out)


def home(out: Path, pages: list[Page], parts: set[str]) -> None:
    """Write ``out/index.html``: what is here, and every page with its question."""
    environment = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)
    text = environment.get_template("home.html.j2").render(pages=pages, parts=parts, live=LIVE)
    (out / "index.html").write_text(text, encoding="utf-8")
    copy_style(out)


def copy_style(out: Path) -> None:
    """The one style sheet of book and home page."""
    (out / "static").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "static" / "site.css", out / "static" / "site.css")


def _finish(html: BeautifulSoup, page: Page, pages: list[Page]) -> None:
    """What nbconvert leaves to do: links between pages, and wide things that can be scrolled by keyboard, too."""
    link_pages(html, pages)
    main = html.select_one("main")
    assert main is not None
    for prompt in main.select(".jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser"):
        prompt.decompose()
    for anchor in main.select("a.anchor-link"):
        anchor.decompose()
    for image in main.select(".jp-RenderedImage img"):
        image["alt"] = "Picture made by the code above"  # nbconvert says that nobody has described it
    sections = [heading for heading in main.select("h2[id]") if not heading.find_parent(class_="jp-OutputArea")]
    inside = html.select_one("#contents [aria-current] + ol")
    if inside is not None:
        for heading in sections:
            item = html.new_tag("li")
            item.append(html.new_tag("a", href=f"#{heading['id']}", string=heading.get_text()))
            inside.append(item)
    for number, table in enumerate(main.select("table"), 1):
        name = f"Table {number} of {page.title}"
        table.wrap(html.new_tag("div", attrs={"class": "wide", "tabindex": "0", "role": "region", "aria-label": name}))
    for figure in main.select("figure"):
        figure["class"], figure["tabindex"] = "wide", "0"  # on a phone: large enough to be read, and scrolled
    for output in main.select(".jp-OutputArea pre"):
        if max(map(len, output.get_text().splitlines()), default=0) > WIDE:
            output["class"], output["tabindex"] = "wide", "0"
