"""Slides: the lecture part of a page, and no slide with more on it than fits."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.site.conftest import COURSE, FIRST, serve
from tools.site import pages, slides


def page_of(*cells):
    return pages.Page(COURSE / "00-x.ipynb", new_notebook(cells=list(cells)))


def test_lecture_sections_become_slides_and_the_rest_does_not():
    found = slides.slides_of(page_of(*FIRST))
    assert found[0].heading == "00 · The first" and not found[0].below
    headings = [slide.heading for slide in found]
    assert list(dict.fromkeys(headings)) == ["00 · The first", "The idea", "Lab", "Under the hood", "In short"]
    assert headings.count("Under the hood") == 1, "only the cell that asks for it"
    text = " ".join(slide.html for slide in found)
    assert "Not a slide" not in text and "Hidden" not in text and "Say this" not in text
    assert "print(" not in text.split("subslide")[0] or "answer" in text
    [said] = [slide for slide in found if slide.notes]
    assert "Say this" in said.notes[0] and said.heading == "The idea"


def test_a_long_list_goes_on_below():
    found = [slide for slide in slides.slides_of(page_of(*FIRST)) if slide.heading == "The idea"]
    assert len(found) > 2
    assert [slide.below for slide in found] == [False] + [True] * (len(found) - 1)
    assert sum(slide.html.count("<li>") for slide in found) == 12
    column = slides.columns(slides.slides_of(page_of(*FIRST)))[1]
    assert column == found


def test_numbers_of_a_list_go_on_too():
    items = "\n".join(f"{n}. " + "words " * 40 for n in range(1, 8))
    found = slides.slides_of(page_of(new_markdown_cell("# T\n\n" + items)))
    starts = [slide.html.partition('start="')[2].partition('"')[0] for slide in found]
    done = 0
    for slide, start in zip(found, starts, strict=True):
        assert int(start or 1) == done + 1
        done += slide.html.count("<li>")
    assert done == 7


def test_a_lab_is_its_picture_with_its_words_in_the_notes():
    html = '<figure><img alt="S" src="data:,"><figcaption>c</figcaption></figure><ol><li>First step</li></ol>'
    lab = new_code_cell("Lab(x)", outputs=[new_output("display_data", {"text/html": html})])
    found = slides.slides_of(page_of(new_markdown_cell("# T"), new_markdown_cell("## Lab\n\nGo."), lab))
    assert [slide.live for slide in found] == [False, True]
    assert "<img" in found[1].html and "First step" not in found[1].html and "Lab(x)" not in found[1].html
    assert "First step" in found[1].notes[0]


def test_code_is_shown_where_its_cell_asks_for_it():
    metadata = {"slideshow": {"slide_type": "subslide"}}
    out = new_output("stream", name="stdout", text="a < b")
    found = slides.slides_of(
        page_of(new_markdown_cell("# T\n\nx"), new_code_cell("1 < 2", metadata=metadata, outputs=[out]))
    )
    assert found[1].below and "&lt;" in found[1].html and "<pre>a &lt; b</pre>" in found[1].html


@pytest.mark.slow
@pytest.mark.browser
def test_every_slide_of_the_course_fits(browser, tmp_path):
    """The text of the real pages; their pictures have a height that the style sheet limits."""
    course = pages.read(COURSE)
    slides.build(tmp_path, course, set())
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    with serve(tmp_path / "slides") as address:
        for one in filter(lambda one: one.has_lecture, course):
            page.goto(f"{address}{one.name}.html")
            page.wait_for_function("() => Reveal.isReady()")
            last = False
            while not last:
                text, height, last = page.evaluate(
                    "() => { const s = Reveal.getCurrentSlide(); return [s.innerText, s.scrollHeight, Reveal.isLastSlide()] }"
                )
                assert text.strip() and height <= 720, f"{one.path.name}: {height} of 720 points are full: {text}"
                page.evaluate("() => Reveal.next()")
    page.close()


@pytest.mark.slow
@pytest.mark.browser
def test_slides_with_a_picture_and_the_speakers_notes(browser, small_site):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto((small_site / "slides" / "00-one.html").as_uri())
    page.wait_for_function("() => Reveal.isReady()")
    heights = page.evaluate(
        "() => { const out = []; do { out.push(Reveal.getCurrentSlide().scrollHeight); Reveal.next() } "
        "while (!Reveal.isLastSlide()); return out }"
    )
    assert max(heights) <= 720 and len(heights) > 5
    assert page.locator("section img[alt^='Storyboard']").count() == 1
    assert page.locator("aside.notes li").count() == 14
    assert not page.locator("aside.notes").first.is_visible()
    assert page.evaluate("() => Object.keys(Reveal.getPlugins())") == ["notes"]
    page.close()


def test_a_page_without_a_lecture_has_no_slides():
    guide = [new_markdown_cell("# Teaching"), new_markdown_cell("## How long it takes\n\nA while.")]
    assert not page_of(*guide).has_lecture
    assert page_of(*guide, new_markdown_cell("## In short\n\nDo.")).has_lecture
    assert page_of(*guide, new_markdown_cell("See", metadata={"slideshow": {"slide_type": "slide"}})).has_lecture


def test_the_first_page_has_its_lecture():
    first = pages.Page(COURSE / "00-start-here.ipynb", nbformat.read(COURSE / "00-start-here.ipynb", as_version=4))
    headings = {slide.heading for slide in slides.slides_of(first)}
    assert {"The idea", "Predict", "Lab", "In short"} < headings
    assert not headings & {"Observe", "Under the hood", "Your turn"}
