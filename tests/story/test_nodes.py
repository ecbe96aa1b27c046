"""The story of unit 02 with every control, and its answers found in another way."""

from __future__ import annotations

import pytest

from zonelab.story.nodes import SHAPES, nodes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("home", range(4))
@pytest.mark.parametrize("demand", [32, 56, 64, 72, 192])
def test_every_setting_is_told_to_the_end(shape, home, demand):
    history = nodes.play(shape=shape, home=home, demand=demand)
    assert not any(frame.problem for frame in history.frames)
    asks = [frame.ask for frame in history.frames if frame.ask]
    nearest = min(distance for node, distance in enumerate(SHAPES[shape][home]) if node != home)
    second = int(str(asks[0].answer).rsplit(" ", 1)[1])
    assert SHAPES[shape][home][second] == nearest
    spilled = demand > 64 or len(asks) == 2
    assert (len(asks) == 2) == (demand >= 64), "with all of its node's size a task has to spill: the watermark is kept"
    if spilled:
        home_zone = next(z for z in history.frames[4].zones if z.node == home)
        assert home_zone.free == home_zone.low == asks[1].answer


def test_whoever_spills_spills_onto_somebody():
    text = nodes.play(demand=96).text()
    assert "16,224 on node 1, 8,352 on node 2" in text
    assert "Its near memory was taken" in text
