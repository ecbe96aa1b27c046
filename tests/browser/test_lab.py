"""The lab in a real JupyterLab: sliders change the picture, keys do what they say, themes are followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from zonelab.view.palette import colour

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOUR = "from zonelab import Lab\nfrom zonelab.story.tour import tour\nlab = Lab(tour, predict=False)\nlab"


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
    free = "c => [...c.getContext('2d').getImageData(24, 60, 1, 1).data].slice(0, 3)"
    for theme in ("Light", "Dark"):  # the picture follows as well as the page
        page.command("apputils:change-theme", theme=f"JupyterLab {theme}")
        ground = colour(0, "light" if theme == "Light" else "dark")
        wanted = [int(ground[i : i + 2], 16) for i in (1, 3, 5)]
        lab.until(lambda wanted=wanted: lab.root.locator("canvas").evaluate(free) == wanted)


def test_python_and_browser_drive_the_same_lab(opened, jupyter):
    page = opened(
        jupyter.write("both.ipynb", TOUR, "lab.web_mib = 40; lab.step = 2", "print('seen', lab.step, lab.db_mib)")
    )
    lab = page.lab()
    lab.until(lambda: "web.private is 40 MiB" in lab.text and lab.where == "step 2 of 14")
    assert lab.input("web, private").input_value() == "40"


def test_a_question_holds_the_step_until_it_is_answered_and_answers_outlive_the_kernel(opened, jupyter):
    name = jupyter.write("ask.ipynb", TOUR.replace(", predict=False", ""))
    page = opened(name)
    lab = page.lab()
    lab.root.locator(".zl-say").focus()
    page.page.keyboard.press("End")
    lab.until(lambda: lab.where == "step 6 of 14" and "Click the zone" in lab.text)
    canvas = lab.root.locator("canvas")
    canvas.focus()
    canvas.press("ArrowRight")  # to the block that was last allocated from, in web.private
    canvas.press("Enter")
    lab.until(lambda: lab.where == "step 7 of 14" and "You said web.private. It was pair.shared." in lab.text)
    page.page.keyboard.press("End")
    lab.until(lambda: lab.where == "step 9 of 14" and "Where do" in lab.text)
    lab.root.get_by_role("button", name="from the main zone").click()
    lab.until(lambda: lab.where == "step 10 of 14" and "Right." in lab.text)
    lab.settle()
    assert '"given": "web.private"' in (jupyter.folder / "zonelab-answers.json").read_text()
    page.command("docmanager:save")
    again = opened(name)
    lab = again.lab()
    lab.root.locator(".zl-say").focus()
    again.page.keyboard.press("End")
    lab.until(lambda: lab.where == "step 14 of 14")
    lab.root.locator(".zl-scrub").fill("7")
    lab.until(lambda: "You said web.private. It was pair.shared." in lab.text)


def test_be_the_allocator_by_a_click_on_the_pages(opened, jupyter):
    source = "from zonelab import Lab\nfrom zonelab.story.allocator import split\nlab = Lab(split, seed=5)\nlab"
    page = opened(jupyter.write("split.ipynb", source))
    lab = page.lab()
    lab.root.get_by_role("button", name="One step forward").click()
    lab.until(lambda: "Request 1 of 5" in lab.text)
    canvas = lab.root.locator("canvas")
    lab.until(lambda: lab.root.locator(".zl-crumb").is_visible())
    lab.settle()
    place = canvas.bounding_box()
    canvas.click(position={"x": place["height"] / 2, "y": place["height"] * 0.75})  # the lower half: order 9
    lab.until(lambda: lab.where == "step 2 of 6" and "You said 512. It was" in lab.text)
    assert "It would do, but a smaller one does, too" in lab.text
    lab.root.get_by_role("button", name="Another one").click()
    lab.until(lambda: lab.where == "step 1 of 6")


def test_two_labs_on_a_page_do_not_disturb_each_other(opened, jupyter):
    page = opened(jupyter.write("two.ipynb", TOUR, "other = Lab(tour, predict=False, web_mib=8)\nother"))
    one, other = page.lab(0), page.lab(1)
    one.input("web, private").fill("48")
    one.root.locator(".zl-scrub").fill("2")
    one.until(lambda: "web.private is 48 MiB" in one.text)
    assert other.where == "step 1 of 14" and other.input("web, private").input_value() == "8"
    other.root.locator(".zl-scrub").fill("2")
    other.until(lambda: "web.private is 8 MiB" in other.text)
    ids = page.page.evaluate("() => [...document.querySelectorAll('.zonelab [id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_every_control_goes_to_its_ends_and_anywhere(opened, jupyter):
    import random

    dice = random.Random(11)
    page = opened(jupyter.write("controls.ipynb", TOUR))
    lab = page.lab()
    lab.root.locator(".zl-scrub").fill("10")
    for control in lab.root.locator(".zl-slider input").all():
        low, high, by = (int(control.get_attribute(name)) for name in ("min", "max", "step"))
        for value in [low, high, *(dice.randrange(low, high + 1, by) for _ in range(3))]:
            control.fill(str(value))
            lab.settle()
            assert control.input_value() == str(value)
    for control in lab.root.locator(".zl-toggle input").all():
        control.click()
        control.click()
    for control in lab.root.locator(".zl-choice select").all():
        for option in control.locator("option").all_inner_texts()[::-1]:
            control.select_option(label=option)
            lab.settle()
    lab.root.get_by_role("button", name="All sizes as they were").click()
    lab.until(lambda: lab.where == "step 1 of 14" and lab.input("web, private").input_value() == "24")


def test_fits_a_phone(opened, jupyter):
    page = opened(jupyter.write("narrow.ipynb", TOUR), width=360)
    page.command("application:toggle-left-area")
    lab = page.lab()
    lab.settle()
    inside = lab.root.evaluate(
        "root => [...root.querySelectorAll('button, input, select, canvas, p')].filter(e => e.offsetParent && "
        "e.getBoundingClientRect().right > root.getBoundingClientRect().right + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert inside == []
    lab.root.locator(".zl-scrub").fill("5")
    lab.until(lambda: "pfn 0 is charged to web" in lab.text)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_serious(opened, jupyter, theme):
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    fresh = "from zonelab.story import Answers\n" + TOUR.replace("predict=False", "answers=Answers()")
    page = opened(jupyter.write("axe.ipynb", fresh))
    page.command("apputils:change-theme", theme=theme)
    lab = page.lab()
    lab.until(lambda: lab.root.get_attribute("data-theme") == theme.split()[1].lower())
    page.page.evaluate(axe)
    for state in ("first step", "a question", "a block"):
        if state == "a question":
            lab.root.locator(".zl-say").focus()
            page.page.keyboard.press("End")
        if state == "a block":
            lab.root.get_by_role("button", name="I don’t know").click()
            lab.root.locator("canvas").focus()
            page.page.keyboard.press("ArrowRight")
            page.page.keyboard.press("Enter")
        lab.settle()
        found = page.page.evaluate("() => axe.run('.zonelab')")
        serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, [(state, v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious]
        assert len(found["passes"]) > 10


def test_keyboard_alone_is_enough(opened, jupyter):
    """Tab goes through every control in the order in which they stand, and each does its work with keys."""
    page = opened(jupyter.write("tab.ipynb", TOUR))
    lab = page.lab()
    lab.root.locator("button").first.focus()
    seen = []
    for _ in range(40):
        label = page.page.evaluate(
            "() => { const e = document.activeElement; return e.closest('.zonelab') && "
            "(e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.className || e.tagName) }"
        )
        if not label:
            break
        seen.append(label)
        page.page.keyboard.press("Tab")
    for wanted in (
        "Play (space)",
        "Speed",
        "Step",
        "web, private",
        "web may borrow",
        "machine",
        "What happens at this step",
    ):
        assert wanted in seen, seen
    assert any(label.startswith("Memory map") for label in seen) and "Instruments" in seen
    borrow = lab.input("web may borrow")
    borrow.focus()
    page.page.keyboard.press("Space")
    assert not borrow.is_checked()
    lab.root.get_by_role("button", name="Play (space)").focus()
    page.page.keyboard.press("Enter")
    lab.until(lambda: lab.where == "step 2 of 14")


def test_a_screen_reader_is_told_each_step_once(opened, jupyter):
    page = opened(jupyter.write("live.ipynb", TOUR))
    lab = page.lab()
    assert lab.root.locator(".zl-say").get_attribute("aria-live") == "polite"
    changes = page.page.evaluate_handle(
        "() => { const seen = []; new MutationObserver(all => seen.push(...all.filter(m => m.addedNodes.length)))"
        ".observe(document.querySelector('.zl-say'), { childList: true, subtree: true }); return seen }"
    )
    lab.root.locator(".zl-say").focus()
    page.page.keyboard.press("ArrowRight")
    lab.until(lambda: lab.where == "step 2 of 14")
    lab.settle()
    assert changes.evaluate("seen => seen.length") == 1
