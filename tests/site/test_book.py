"""The book: whole, readable by everyone, on a phone and from disk, and silent towards the rest of the world."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from nbclient.exceptions import CellExecutionError

from tests.site.conftest import COURSE, ROOT, serve, write
from tools.site import build, pages

pytestmark = pytest.mark.slow
AXE = """async () => {
  const found = await axe.run(), bad = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  return [found.passes.length, bad.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 120))])];
}"""


def html(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_pages_are_read_in_their_order_with_title_and_question(small_course):
    first, second = pages.read(small_course)
    assert (first.title, first.question) == ("00 · The first", "Who gets which page?")
    assert (second.title, second.question) == ("01 · The second", "")
    assert first.sections == ["The idea", "Lab", "Under the hood", "In short"]
    with pytest.raises(FileNotFoundError, match=r"no notebook \(\*\.ipynb\) in"):
        pages.read(small_course / "images")


def test_every_page_of_the_course_has_a_title():
    for page in pages.read(COURSE):
        assert page.title != page.name, f"{page.path.name} has no heading of the first level"


def test_every_link_and_picture_leads_somewhere(small_site):
    checked = 0
    for path in small_site.rglob("*.html"):
        for tag in html(path).select("[href], [src]"):
            address = urlsplit(str(tag.get("href") or tag.get("src")))
            if address.scheme == "data":
                continue
            if address.scheme:
                assert tag.name == "a", f"{path.name}: {tag} is fetched from elsewhere"
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.is_file(), f"{path.name}: {tag}"
            if address.fragment and target.suffix == ".html":
                assert html(target).find(id=unquote(address.fragment)), f"{path.name}: {tag}"
            checked += 1
    assert checked > 30
    assert not (small_site / "book" / "images" / "nowhere.png").exists(), "a picture that no page shows"


def test_a_page_of_the_book(small_site, small_course):
    page = html(small_site / "book" / "00-one.html")
    assert page.title and page.title.string == "00 · The first – zonelab"
    figure = page.select_one("figure img")
    assert figure is not None
    assert str(figure["alt"]).startswith("Storyboard of")
    assert len(page.select("figure ~ ol > li")) == 14, "the story in words"
    assert not page.select("script"), "a book needs none"
    assert [link["href"] for link in page.select("#contents a")][:2] == ["00-one.html", "#The-idea"]
    assert page.select_one('a[rel="next"]')["href"] == "01-two.html"  # type: ignore[index]
    assert not page.select(".live"), "there is no live site here to lead to"
    empty = json.loads((small_site / "book" / "00-one.ipynb").read_text())
    assert all(cell.get("outputs", []) == [] for cell in empty["cells"])
    assert sorted(path.name for path in small_course.iterdir()) == [
        "00-one.ipynb", "01-two.ipynb", "images", "zonelab-answers.json",
    ]  # fmt: skip
    second = html(small_site / "book" / "01-two.html")
    assert second.select_one("main img[alt]") is not None
    assert [link["href"] for link in second.select("main p a")] == ["00-one.html", "https://www.kernel.org/"]


def test_a_cell_that_fails_or_a_picture_that_is_missing_stops_the_build(tmp_path, small_course):
    from nbformat.v4 import new_code_cell, new_markdown_cell

    write(tmp_path / "00-bad.ipynb", [new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        build.build(tmp_path / "out", {"book"}, tmp_path)
    write(tmp_path / "00-bad.ipynb", [new_markdown_cell("# A\n\n![Gone](images/gone.png)")])
    with pytest.raises(FileNotFoundError, match=r"gone\.png is shown in the course, and missing"):
        build.build(tmp_path / "out", {"book"}, tmp_path)


def test_no_site_is_made_of_a_teachers_copy(tmp_path):
    from nbformat.v4 import new_code_cell

    write(tmp_path / "00-key.ipynb", [new_code_cell("### BEGIN SOLUTION\nanswer = 42\n### END SOLUTION")])
    with pytest.raises(ValueError, match=r"00-key\.ipynb has '### BEGIN SOLUTION' in it"):
        build.build(tmp_path / "out", {"book"}, tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path):
    from nbformat.v4 import new_code_cell, new_markdown_cell

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "tools" / "site" / "build.py"), str(tmp_path / "out"), *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    wrong = run("--parts", "book,film")
    assert wrong.returncode == 2 and "no part film; there are book, slides, lite" in wrong.stderr
    write(tmp_path / "00-a.ipynb", [new_markdown_cell("# A"), new_code_cell("import zonelab\nprint(zonelab.PAGE)")])
    right = run("--parts", "book", "--notebooks", str(tmp_path))
    assert right.returncode == 0, right.stderr
    assert "book: " in right.stdout
    assert "4096" in (tmp_path / "out" / "book" / "00-a.html").read_text()
    assert [link["href"] for link in html(tmp_path / "out" / "index.html").select("main a")] == ["book/00-a.html"] * 2


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_for_everyone_and_without_a_request_elsewhere(browser, small_site, scheme, width):
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    with serve(small_site) as address:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for name in ("index.html", "book/00-one.html", "book/01-two.html", "slides/00-one.html"):
            page.goto(address + name)
            page.wait_for_function("() => !window.Reveal || Reveal.isReady()")
            assert page.locator("h1").first.is_visible()
            page.evaluate(axe)
            passed, serious = page.evaluate(AXE)
            assert not serious, (name, serious)
            assert passed > 10
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, name
            ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(17, 20, 24)")
        assert [url for url in asked if not url.startswith((address, "data:"))] == []
        assert len(asked) > 6 and said == []
        context.close()


@pytest.mark.browser
def test_from_disk_and_by_keyboard(browser, small_site):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((small_site / "book" / "00-one.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Skip to the page"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "page"
    page.get_by_role("link", name="01 · The second →").click()
    assert page.locator("h1").inner_text() == "01 · The second"
    page.get_by_role("link", name="Slides").click()
    page.wait_for_function("() => Reveal.isReady()")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => Reveal.getCurrentSlide().querySelector('h2').textContent") == "The idea"
    page.close()
