"""The story of unit 06 with every control: who loses pages, and when nobody can."""

from __future__ import annotations

import pytest

from zonelab.story.overcommit import DB, MAIN, NOBODY, overcommit


@pytest.mark.parametrize("allowed", [NOBODY, MAIN, DB])
@pytest.mark.parametrize("demand", range(8, 42, 2))
@pytest.mark.parametrize("reclaim_first", [False, True])
def test_every_setting_is_told_to_the_end(allowed, demand, reclaim_first):
    history = overcommit.play(allowed=allowed, demand=demand, reclaim_first=reclaim_first)
    assert not any(frame.problem for frame in history.frames)
    asks = [frame.ask for frame in history.frames if frame.ask]
    lost = history.frames[-1].interference.get("db ← web", 0)
    if asks:
        where, loses = asks
        assert str(where.answer).startswith(
            "from its own zone" if allowed == NOBODY or reclaim_first else "from the zone it may"
        )
        assert loses.answer == ("yes" if lost else "no")
    if allowed != DB:
        assert not lost, "nobody can reach what is not on his list"
    if allowed == DB and demand >= 24:
        assert lost
