"""The story of unit 04 with every control: whose zone a file's pages are in, and what a stretch is."""

from __future__ import annotations

import pytest

from zonelab.story.assignment import KEYS, MOUNT, SET, assignment


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("private", [8, 20, 32])
@pytest.mark.parametrize("big", [8, 40, 64])
@pytest.mark.parametrize("together", [True, False])
def test_every_setting_is_told_to_the_end(key, private, big, together):
    history = assignment.play(key=key, private=private, big=big, together=together)
    assert len(history) == (11 if key == MOUNT else 10) and not any(frame.problem for frame in history.frames)
    _, where, room = (frame.ask for frame in history.frames if frame.ask)
    assert where.answer == {"set": "pair.shared", "container": "web.private", "mount": "shop.mount"}[KEYS[key]]
    taken = 2 * private // 4 + 2 + 2 + 1 + 2 * (key == MOUNT)  # web, db, pair, log, dot, shop
    free = 32 - taken
    longest = max(free - 6, 6)
    assert room.answer == ("yes" if -(-big // 4) <= (longest if together else free - 1) else "no")


def test_the_zone_that_is_made_on_need():
    frames = assignment.play(key=SET).frames
    names = [{zone.name for zone in frame.zones} for frame in frames]
    assert "log.private" not in names[3] and "log.private" in names[4]
