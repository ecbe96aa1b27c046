"""Figures: each draws in both themes, says its numbers in words, and changes when they do."""

from __future__ import annotations

import pytest

from zonelab.story.overcommit import overcommit
from zonelab.story.tour import tour
from zonelab.view import figures

DRAWN = {
    "fragmentation": (
        lambda n, theme: figures.fragmentation({"before": [n] * 11, "after": [0] * 10 + [5]}, theme),
        "before: 3 3 3",
    ),
    "fill": (lambda n, theme: figures.fill(tour.play(web_mib=8 * n), theme), "db.private"),
    "interference": (
        lambda n, theme: figures.interference({("web", "db"): n, ("db", "db"): 7}, theme),
        "web lost to db: 3",
    ),
    "reclaim order": (
        lambda n, theme: figures.reclaim_order({"now": ["web"] * n + ["db"] * 5, "then": []}, theme),
        "now: 3 of web, then 5 of db; then: none",
    ),
    "stacked": (
        lambda n, theme: figures.stacked([{"left": n, "gone": 2}, {"left": 0}], "Pages", "page", "dentries", theme),
        "left: 3 0; gone: 2 0",
    ),
    "charges": (
        lambda n, theme: figures.charges({"first touch": {"web": n, "db": 5}}, theme),
        "first touch: web 3, db 5",
    ),
    "break even": (lambda n, theme: figures.break_even(1000.0 * n, 100, 200, theme=theme), "pays after 30 touches"),
    "lookup": (lambda n, theme: figures.lookup_cost({"table": {1: n, 10: 4.0}}, "ns", theme), "table: 3 with 1 zones"),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_and_told(name, theme):
    draw, says = DRAWN[name]
    picture = draw(3, theme)
    assert says in picture.alt
    assert picture.png().startswith(b"\x89PNG") and len(picture.png()) > 4000
    assert draw(2, theme).png() != picture.png()
    shown = picture._repr_mimebundle_()
    assert shown["text/plain"] == picture.alt and 'alt="' in shown["text/html"]


def test_nothing_lost_and_no_gain_are_told_too():
    assert figures.interference({}).alt.endswith("Nobody lost any.")
    assert figures.interference({}, names=["web", "db"]).alt.endswith("Nobody lost any.")
    assert "never pays" in figures.break_even(2000, 100, 100).alt


def test_interference_can_be_given_as_a_frame_has_it():
    last = overcommit.play().frames[-1].interference
    assert last["db ← web"] > 0
    as_pairs = {(victim, cause): pages for (victim, cause), pages in ((key.split(" ← "), n) for key, n in last.items())}
    assert figures.interference(last).alt == figures.interference(as_pairs).alt
    assert f"db lost to web: {last['db ← web']:,}" in figures.interference(last).alt


def test_drawing_changes_no_setting_of_the_readers_own_figures():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.break_even(2000, 100, 200)
    assert dict(mpl.rcParams) == before
