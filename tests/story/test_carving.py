"""The story of unit 03 with every control; rounding and alignment worked out in another way."""

from __future__ import annotations

import pytest

from zonelab.story.carving import across, carving


@pytest.mark.parametrize("mib", [1, 4, 10, 23, 24])
@pytest.mark.parametrize("start", [0, 256, 2304, 4096, 8192])
@pytest.mark.parametrize("count", [1, 5, 12])
def test_every_setting_is_told_to_the_end(mib, start, count):
    history = carving.play(mib=mib, start=start, count=count)
    assert len(history) == 7 and not any(frame.problem for frame in history.frames)
    pages, made, mixed = (frame.ask for frame in history.frames if frame.ask)
    assert pages.answer == (mib + 3) // 4 * 1024
    assert str(made.answer).startswith("yes" if start % 1024 == 0 else "no")
    assert mixed.answer == ("no" if start % 1024 == 0 else "yes")
    zones = [zone for zone in history.frames[5].zones if zone.role != "main"]
    assert len(zones) == min(count, 15 // ((mib + 3) // 4))


@pytest.mark.parametrize("offset", range(0, 1024, 64))
def test_only_a_border_inside_a_block_mixes_the_lists(offset):
    zones = across(offset)
    assert bool(zones.thefts) == bool(offset)
    for counted, listed, foreign in zones.damage().values():
        assert (counted == listed and foreign == 0) or offset
