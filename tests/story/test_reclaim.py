"""The stories of unit 08 with every control: who is dropped, what comes back, and how far a shrinker sees."""

from __future__ import annotations

import pytest

from zonelab.story.reclaim import CLOCK, EXACT, dentries, streaming


@pytest.mark.parametrize("order", [EXACT, CLOCK])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("index", [1, 4, 6])
@pytest.mark.parametrize("film", [1, 8, 16])
def test_every_film_is_seen_to_the_end(order, shared, index, film):
    history = streaming.play(order=order, shared=shared, index=index, film=film)
    assert not any(frame.problem for frame in history.frames)
    end = history.frames[-2].interference
    if not shared:
        assert not end.get("web ← db"), "files in zones of their own: nobody else can drop them"
    asks = {frame.ask.question[:20]: frame.ask for frame in history.frames if frame.ask}
    share = [frame.ask for frame in history.frames if frame.ask][-1].answer
    assert (share == "none of it") == (not end.get("web ← db"))
    assert len(asks) == 1 + any(
        "next" in frame.text for frame in history.frames if frame.ask and frame is not history.frames[-1]
    )


def test_two_lists_spare_what_was_used_twice():
    exact = streaming.play(order=EXACT).frames[-2].interference["web ← db"]
    clock = streaming.play(order=CLOCK).frames[-2].interference["web ← db"]
    assert clock < exact / 2


@pytest.mark.parametrize("turns", [1, 7, 21, 42])
@pytest.mark.parametrize("wanted", [1, 8, 24])
def test_the_farther_it_sees_the_more_it_wastes(turns, wanted):
    thrown = {}
    for reach in ("global", "node", "zone"):
        history = dentries.play(reach=reach, turns=turns, wanted=wanted)
        assert not any(frame.problem for frame in history.frames)
        (ask,) = (frame.ask for frame in history.frames if frame.ask)
        thrown[reach] = int(ask.answer)
    assert thrown["zone"] <= thrown["node"] <= thrown["global"]
