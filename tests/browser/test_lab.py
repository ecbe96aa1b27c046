"""The lab in a real JupyterLab: sliders change the picture, keys do what they say, themes are followed."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOUR = "from zonelab import Lab\nfrom zonelab.story.tour import tour\nlab = Lab(tour)\nlab"


def test_the_first_page_and_its_slider(opened):
    page = opened("00-start-here.ipynb")
    lab = page.lab()
    lab.settle()
    boot = lab.picture()
    slider = lab.input("web, private")
    slider.focus()
    for _ in range(2):  # real keys, which JupyterLab would like to have for itself
        slider.press("ArrowRight")
    assert slider.input_value() == "32"
    lab.root.locator(".zl-scrub").fill("2")
    lab.until(lambda: "web.private is 32 MiB" in lab.text)
    lab.settle()
    carved = lab.picture()
    assert carved != boot
    slider.press("ArrowLeft")
    lab.until(lambda: "web.private is 28 MiB" in lab.text)
    lab.settle()
    assert lab.picture() not in (boot, carved)
    assert lab.where == "step 2 of 14"


def test_keys_step_and_play(opened, jupyter):
    page = opened(jupyter.write("keys.ipynb", TOUR))
    lab = page.lab()
    lab.root.locator(".zl-say").focus()
    for key, where in [("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 14), ("Home", 1)]:
        page.page.keyboard.press(key)
        lab.until(lambda where=where: lab.where == f"step {where} of 14")
    page.page.keyboard.press("a")  # in JupyterLab: a new cell above
    assert page.page.locator(".jp-Cell").count() == 1
    page.page.keyboard.press("Space")
    lab.until(lambda: lab.where == "step 2 of 14")
    page.page.keyboard.press("Space")
    assert lab.root.get_by_role("button", name="Play (space)").is_visible()


def test_a_block_opens_down_to_a_page_by_keyboard(opened, jupyter):
    page = opened(jupyter.write("zoom.ipynb", TOUR + "\nlab.step = 5\nlab"))
    lab = page.lab()
    canvas = lab.root.locator("canvas")
    canvas.focus()
    canvas.press("ArrowRight")
    assert "1 of 1,024 pages in use" in lab.root.locator(".zl-tip").inner_text()
    canvas.press("Enter")
    lab.until(lambda: "block 0: pfn 0 to 1,023, zone web.private" in lab.root.locator(".zl-crumb").inner_text())
    lab.settle()
    canvas.press("ArrowRight")
    assert "charged to web" in lab.root.locator(".zl-tip").inner_text()
    canvas.press("ArrowRight")
    assert "free, in a block of order 0" in lab.root.locator(".zl-tip").inner_text()
    canvas.press("Enter")
    lab.until(lambda: "free, in a block of order 0: pfn 1 to 1" in lab.root.locator(".zl-facts").inner_text())
    canvas.press("Escape")
    assert lab.root.locator(".zl-crumb").is_hidden()


def test_the_theme_is_followed_live(opened, jupyter):
    page = opened(jupyter.write("theme.ipynb", TOUR))
    lab = page.lab()
    lab.settle()
    light = lab.picture()
    assert lab.root.get_attribute("data-theme") == "light"
    page.command("apputils:change-theme", theme="JupyterLab Dark")
    lab.until(lambda: lab.root.get_attribute("data-theme") == "dark")
    lab.settle()
    assert lab.picture() != light


def test_python_and_browser_drive_the_same_lab(opened, jupyter):
    page = opened(
        jupyter.write("both.ipynb", TOUR, "lab.web_mib = 40; lab.step = 2", "print('seen', lab.step, lab.db_mib)")
    )
    lab = page.lab()
    lab.until(lambda: "web.private is 40 MiB" in lab.text and lab.where == "step 2 of 14")
    assert lab.input("web, private").input_value() == "40"
