"""Every page of the course in a real JupyterLab: it runs without a word in the console, and its quiz works by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from zonelab.browser import COURSE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = sorted(path.name for path in Path(COURSE).glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_runs_in_the_browser(opened, name):
    page = opened(name)
    page.lab().settle()
    assert page.page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


QUIZ = "from zonelab.course import Unit\nUnit('01').quiz()"


def open_quiz(opened, jupyter, name):
    jupyter.write(name, QUIZ, "from zonelab import Lab\nfrom zonelab.story.tour import tour\nLab(tour)")
    return opened(name)


def test_a_quiz_by_keyboard_alone_and_after_a_reload(opened, jupyter):
    page = open_quiz(opened, jupyter, "quiz.ipynb")
    quiz = page.page.locator(".zonelab-quiz").first
    quiz.scroll_into_view_if_needed()
    second = quiz.locator("fieldset").nth(1)
    second.locator("input").first.focus()
    page.page.keyboard.press("ArrowDown")  # JupyterLab would like to go to the next cell
    said = second.locator(".zq-said")
    said.filter(has_text="Not so").wait_for()
    assert "12 to 19 is no aligned block" in said.inner_text()
    page.page.keyboard.press("ArrowUp")
    said.filter(has_text="Right").wait_for()
    number = quiz.locator("input[type=number]").first
    number.fill("5")
    number.press("Enter")
    quiz.locator("fieldset").nth(0).locator(".zq-said").filter(has_text="Five blocks").wait_for()
    assert quiz.locator(".zq-score").inner_text() == "1 of 4 right"
    again = opened("quiz.ipynb")
    quiz = again.page.locator(".zonelab-quiz").first
    quiz.locator(".zq-score").filter(has_text="1 of 4 right").wait_for()
    assert quiz.locator("input[type=number]").first.input_value() == "5"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_nobody_is_kept_out_of_a_quiz(opened, jupyter, theme):
    page = open_quiz(opened, jupyter, f"quiz-{theme}.ipynb")
    page.command("apputils:change-theme", theme=f"JupyterLab {theme}")
    page.page.locator(".zonelab-quiz input[type=radio]").first.check()
    page.page.locator(".zq-said").filter(has_text=".").first.wait_for()
    found = Axe().run(page.page, context=".zonelab-quiz", options={"resultTypes": ["violations"]})
    serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
    assert not serious, [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]
