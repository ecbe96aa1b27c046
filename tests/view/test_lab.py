"""The lab from its Python side, without a browser: what a slider, a link or a question from the page comes to."""

from __future__ import annotations

import random

import ipywidgets
import numpy as np
import pytest

from zonelab.errors import BadRequest
from zonelab.machine import BLOCK
from zonelab.story import Answers, Seed, Slider, Toggle
from zonelab.story.allocator import EXERCISES
from zonelab.story.history import CHANGE, at_boot
from zonelab.story.tour import tour
from zonelab.view import Lab
from zonelab.view.inspect import block_view, free_blocks, page_view
from zonelab.view.palette import PALETTE, colour


def drawn(lab):
    """The blocks that a browser would show at the lab's step."""
    frames = np.frombuffer(lab.frames, CHANGE)
    assert lab.history.machine is not None
    out = at_boot(lab.history.machine)
    at = 0
    for number, step in enumerate(lab.story["steps"]):
        if number < lab.step:
            changed = frames[at : at + step["changes"]]
            out[changed["block"]] = changed
        at += step["changes"]
    assert at == len(frames)
    return out


def test_the_page_gets_what_the_story_is():
    lab = Lab(tour, step=10)
    assert (drawn(lab) == lab.history.blocks(9)).all()
    assert [control["name"] for control in lab.controls] == list(tour.controls)


def test_the_browser_moves_a_slider():
    lab = Lab(tour, step=2)
    lab.set_state({"values": {**lab.values, "web_mib": 48}})  # as the message from the page does
    assert lab.web_mib == 48
    assert "web.private is 48 MiB" in lab.history.frame(1).text == lab.story["steps"][1]["text"]
    assert lab.step == 2


def test_python_moves_a_slider():
    lab = Lab(tour)
    seen = []
    lab.observe(lambda change: seen.append(change["new"]), "web_mib")
    lab.web_mib = 8
    assert seen == [8] and lab.values["web_mib"] == 8
    assert "web.private is 8 MiB" in lab.story["steps"][1]["text"]


def test_parameters_link_to_other_widgets():
    lab, slider = Lab(tour), ipywidgets.IntSlider(min=4, max=64, step=4, value=12)
    ipywidgets.link((slider, "value"), (lab, "web_mib"))
    assert lab.values["web_mib"] == 12
    slider.value = 20
    assert "web.private is 20 MiB" in lab.story["steps"][1]["text"]
    ipywidgets.VBox([lab, slider])


def test_each_lab_is_its_own():
    one, other = Lab(tour), Lab(tour, web_mib=8)
    one.web_mib, one.step = 64, 3
    assert (other.web_mib, other.step) == (8, 1)


def test_wrong_values_change_nothing():
    lab = Lab(tour, step=3)
    before = lab.story, lab.frames, lab.values
    with pytest.raises(BadRequest, match="web_mib = 5"):
        lab.web_mib = 5
    with pytest.raises(BadRequest, match="no control mib"):
        lab.values = {"mib": 4}
    assert (lab.story, lab.frames, lab.values) == before
    assert lab.web_mib == 24 and lab.step == 3
    with pytest.raises(BadRequest, match="no instrument clock; there are why"):
        Lab(tour, show=("clock",))
    with pytest.raises(BadRequest):
        Lab(tour, web_mib=3)


def test_a_step_beyond_the_end_is_the_last():
    lab = Lab(tour)
    lab.step = 99
    assert lab.step == 14
    lab.step = -3
    assert lab.step == 1
    lab.step = 14
    lab.set_state({"values": {**lab.values, "web_mib": 64, "db_mib": 64}})  # this story is shorter
    assert lab.step == len(lab.history) < 14


STORIES = [tour, *EXERCISES]


@pytest.mark.parametrize(
    ("story", "name"), [(s, n) for s in STORIES for n in s.controls], ids=lambda x: getattr(x, "__name__", x)
)
def test_every_control_of_every_story_at_its_ends_and_at_random(story, name):
    lab, control, dice = Lab(story, answers=Answers()), story.controls[name], random.Random(7)
    values: list[object]
    if isinstance(control, Slider):
        values = [
            control.min,
            control.max,
            *(dice.randrange(control.min, control.max + 1, control.step) for _ in range(3)),
        ]
    elif isinstance(control, Seed):
        values = [0, control.max, *(dice.randrange(control.max) for _ in range(3))]
    else:
        values = [True, False] if isinstance(control, Toggle) else [*control.options]
    for value in values:
        setattr(lab, name, value)
        assert lab.values[name] == value
        for number in (1, len(lab.history)):
            lab.step = number
            assert (drawn(lab) == lab.history.blocks(lab.step - 1)).all()


def asked(lab, **question):
    answers = []
    lab.send = lambda content, buffers=None: answers.append((content, buffers))
    lab._handle_custom_msg(question, [])
    return answers[0]


def test_a_block_is_shown_page_by_page():
    lab = Lab(tour)
    answer, buffers = asked(lab, kind="block", block=0, step=5)
    owner = np.frombuffer(buffers[0], np.uint16)
    assert owner[0] == 2 and not owner[1:].any()
    assert answer["free"] == [[1 << order, order] for order in range(10)]


def test_a_page_is_told_in_full():
    facts = asked(Lab(tour), kind="page", pfn=0, step=5)[0]["facts"]
    assert facts["charged to"] == "web" and facts["content"].startswith("page 0 of server:heap")
    assert facts["mapped by"] == "server in web (heap)"
    facts = asked(Lab(tour), kind="page", pfn=1, step=5)[0]["facts"]
    assert facts["state"] == "free, in a block of order 0: pfn 1 to 1" and facts["buddy"].startswith("pfn 0")


@pytest.mark.parametrize(
    "question",
    [
        {"kind": "block", "block": 10**6, "step": 5},
        {"kind": "block", "step": 5},
        {"kind": "page", "pfn": -1, "step": 5},
        {"kind": "page", "pfn": 0, "step": 50},
    ],
)
def test_a_foolish_question_gets_an_answer(question):
    assert asked(Lab(tour), **question)[0]["problem"]


def test_blocks_and_pages_agree_with_the_machine():
    with tour.at(9) as machine:
        agree(machine)


def agree(machine):
    for block in range(len(machine.block_zone)):
        answer, buffers = block_view(machine, block)
        owner = np.frombuffer(buffers[0], np.uint16)
        free = np.zeros(BLOCK, bool)
        for offset, order in answer["free"]:
            assert not free[offset : offset + (1 << order)].any()
            free[offset : offset + (1 << order)] = True
        assert (free == (owner == 0)).all()
    assert sum(1 << order for block in range(64) for _, order in free_blocks(machine, block)) == machine.conserved()[1]
    for pfn in range(0, machine.total_pages, 997):
        assert ("free" in page_view(machine, pfn)["facts"]["state"]) == (machine.pages.owner[pfn] == 0)


def test_text_twin():
    lab = Lab(tour)
    bundle = lab._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "Step 14 of 14" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert 'alt="Storyboard of' in data["text/html"] and data["text/html"].count("<li>") == 14


def test_a_rendered_page_shows_the_still_picture():
    """What nbconvert makes of a lab whose kernel is gone."""
    import nbconvert
    import nbformat

    bundle = Lab(tour)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    output = nbformat.v4.new_output("display_data", dict(data))
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("lab", outputs=[output])])
    body, _ = nbconvert.HTMLExporter(template_name="basic").from_notebook_node(page)
    assert "Storyboard of" in body and "as ever." in body


def contrast(one, other):
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_seen(theme):
    """WCAG: 4.5 to 1 for words, 3 to 1 for what carries meaning."""
    colours = PALETTE[theme]
    for ground in ("page", "panel"):
        assert contrast(colours["ink"], colours[ground]) >= 7
        assert contrast(colours["soft"], colours[ground]) >= 4.5
    for sign in (colours["hot"], colours["shared"], *colours["accounts"]):
        assert contrast(sign, colours["page"]) >= 2.5, sign
    assert contrast(colours["hot"], colours["page"]) >= 3
    assert colour(0, theme) == colours["free"] and colour(10, theme) == colour(2, theme)


def test_an_answer_from_the_page_is_judged_and_kept(tmp_path):
    path = tmp_path / "answers.json"
    lab = Lab(tour, answers=Answers(path))
    said, _ = asked(lab, kind="answer", key="tour/7", given="web.private")
    assert not said["right"] and "nobody else's pages" in said["said"]
    assert lab.answers["tour/7"]["tries"] == 1 and lab.code == lab.kept.code()
    again = Lab(tour, answers=Answers(path))
    assert again.answers == lab.answers
    assert asked(lab, kind="answer", key="tour/99", given="x")[0]["problem"].startswith("this story has no question")
    assert "choose one of" in asked(lab, kind="answer", key="tour/10", given="x")[0]["problem"]
    fresh = Lab(tour, answers=Answers())
    assert asked(fresh, kind="restore", code=lab.code)[0]["restored"] == 1
    assert fresh.answers == lab.answers
    assert "begins no code" in asked(fresh, kind="restore", code="hello")[0]["problem"]


def test_passing_counts_as_a_try():
    lab = Lab(tour, answers=Answers())
    assert asked(lab, kind="answer", key="tour/10", given="?")[0]["right"] is False
