"""The story of unit 11: what differs between the designs, and what does not."""

from __future__ import annotations

import pytest

from zonelab.story.linux import FAKE, LINUX, POLICIES, ZONES, linux


@pytest.mark.parametrize("design", POLICIES)
@pytest.mark.parametrize("share", [16, 40, 64])
@pytest.mark.parametrize("data", [1, 5, 8])
def test_the_whole_day_is_told_with_every_setting(design, share, data):
    history = linux.play(design=design, share=share, data=data)
    assert len(history) == 7 and not any(frame.problem for frame in history.frames)
    for frame in history.frames:
        assert frame.total == frame.free + frame.used
    who, limit, stranded = (frame.ask for frame in history.frames if frame.ask)
    assert who.answer == "A, for all of them"
    assert history.frames[3].charges["B"] == 0 and history.frames[3].charges["A"] == data * 256
    # A asks for its whole share after the file; a fake node is 32 MiB, and may be larger than the share.
    room = -(-share // 32) * 32 - data if design == FAKE else share - (data if design == LINUX else 0)
    assert str(limit.answer).startswith("yes" if room > share else "no")
    assert history.frames[4].charges["A"] <= share * 256 + data * 256
    idle = sum(zone.free for zone in history.frames[5].zones if zone.role != "main")
    assert (stranded.answer == "yes, nearly all of them") == (design == LINUX) == (idle == 0)


def test_a_counter_sets_nothing_aside_and_zones_do():
    set_aside = {}
    for design in POLICIES:
        frame = linux.play(design=design, share=32, data=4).frames[1]
        set_aside[design] = sum(zone.pages for zone in frame.zones if zone.role != "main")
    assert set_aside == {LINUX: 0, ZONES: (32 + 32 + 12) * 256, FAKE: 64 * 256}


def test_the_file_outlives_whoever_pays_for_it():
    last = linux.play(design=LINUX, share=32, data=6).frames[-1]
    assert last.charges["root"] == 6 * 256 and last.charges["B"] == 0
