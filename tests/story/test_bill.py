"""The story of unit 07 with every control: where the file lies, and whose bill changes."""

from __future__ import annotations

import pytest

from zonelab.story.bill import LAB, RULES, SHOP, bill


@pytest.mark.parametrize("first", [SHOP, LAB])
@pytest.mark.parametrize("part", [64, 192, 448])
@pytest.mark.parametrize("rule", RULES)
def test_every_setting_is_told_to_the_end(first, part, rule):
    history = bill.play(first=first, part=part, rule=rule)
    assert len(history) == 8 and not any(frame.problem for frame in history.frames)
    split, solo, leaves = (frame.ask for frame in history.frames if frame.ask)
    assert split.answer == 512 - part
    assert str(solo.answer).startswith("solo")
    assert leaves.answer == (
        "somebody's bill changes" if rule in ("equal split", "proportional") else "all bills stay as they are"
    )
    zones = {zone.name: zone.pages - zone.free for zone in history.frames[2].zones}
    assert (zones["shop.shared"], zones["lab.shared"]) == ((part, 512 - part) if first == SHOP else (512 - part, part))


def test_swapping_the_two_moves_the_bill():
    here, there = (bill.play(first=first, part=192).frames[3].charges for first in (SHOP, LAB))
    assert (here["web"], here["job"]) == (there["job"], there["web"]) == (192, 320)
