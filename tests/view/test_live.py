"""A figure that follows a lab."""

from __future__ import annotations

from zonelab.story.migration import stay_or_move
from zonelab.view import Lab
from zonelab.view.figures import break_even
from zonelab.view.live import Live


def curve(distance, copy_ns, touches):
    return break_even(copy_ns, 100, 10 * distance)


def test_it_is_drawn_anew_when_a_slider_moves():
    lab = Lab(stay_or_move)
    live = Live(stay_or_move, curve)
    assert "after 20 touches" in live.picture.alt and live.picture.alt in live.value
    lab.distance = 40
    assert "after 7 touches" in live.picture.alt and live.picture.alt in live.value
    lab.values = {**lab.values, "copy_ns": 6000}  # as the browser does it
    assert "after 20 touches" in live.picture.alt and "6,000 ns" in live.value


def test_without_a_lab_it_shows_the_story_as_it_is():
    Lab.on_page.clear()
    live = Live(stay_or_move, curve)
    assert "after 20 touches" in live.picture.alt
    bundle = live._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == live.picture.alt and "<img" in data["text/html"]
