"""The story of unit 06 with every control: who loses pages, and when nobody can."""

from __future__ import annotations

import re

import pytest

from zonelab.story.overcommit import BOTH, DB, MAIN, NOBODY, overcommit


@pytest.mark.parametrize("allowed", [NOBODY, MAIN, DB, BOTH])
@pytest.mark.parametrize("demand", [8, 12, 14, 18, 26, 30, 46, 64])
@pytest.mark.parametrize("table_mib", [2, 10, 14])
@pytest.mark.parametrize("reclaim_first", [False, True])
def test_every_setting_is_told_to_the_end(allowed, demand, table_mib, reclaim_first):
    history = overcommit.play(allowed=allowed, demand=demand, table_mib=table_mib, reclaim_first=reclaim_first)
    assert 8 <= len(history) <= 10 and not any(frame.problem for frame in history.frames)
    asks = [frame.ask for frame in history.frames if frame.ask]
    lost = history.frames[-1].interference.get("db ← web", 0)
    assert asks[-1].answer == ("yes" if lost else "no")
    asked = next(number for number, frame in enumerate(history.frames) if frame.ask is asks[-1])
    assert not history.frames[asked - 1].interference.get("db ← web"), "the step before gives the answer away"
    if len(asks) > 1:
        at_home = str(asks[0].answer).startswith("from its own zone")
        assert at_home == (allowed == NOBODY or reclaim_first)
    if allowed in (NOBODY, MAIN):
        assert not lost, "nobody can reach what is not on his list"
    assert not history.frames[-1].interference.get("web ← db"), "db has no door to web"


@pytest.mark.parametrize("reclaim_first", [False, True])
@pytest.mark.parametrize("table_mib", [2, 10, 14])
def test_the_first_page_that_db_loses_is_where_arithmetic_says(table_mib, reclaim_first):
    """What is free above the marks of both zones, and what web's log held if it goes first, is used up before."""
    frames = overcommit.play(table_mib=table_mib, reclaim_first=reclaim_first, demand=40).frames
    start = {zone.name: zone.free - zone.low for zone in frames[4 - 1].zones}
    room = start["web.private"] + start["db.private"] + (768 if reclaim_first else 0)
    told = next(found for frame in frames if (found := re.match(r"At page ([\d,]+) of the heap", frame.text)))
    page = int(told[1].replace(",", ""))
    assert room - 32 <= page <= room + 64 + 32, "pieces of 64 pages, reclaim by 32"


def test_out_of_memory_is_a_step_with_all_its_numbers():
    frames = overcommit.play(allowed=NOBODY, demand=40).frames
    (said,) = (frame.text for frame in frames if "out of memory" in frame.text)
    own = next(zone for zone in frames[0].zones if zone.name == "web.private")
    got = int(re.search(r"with ([\d,]+) of 10,240 pages", said)[1].replace(",", ""))  # type: ignore[index]
    assert own.pages - own.low <= got <= own.pages - own.min
    assert frames[-1].interference == {"web ← web": 768}, "the whole log, and nobody else's"


def test_what_was_borrowed_comes_back_when_the_borrower_ends():
    frames = overcommit.play(demand=26).frames
    before, after = ({zone.name: zone.free for zone in frame.zones} for frame in frames[-2:])
    told = re.search(r"; ([\d,]+) of them are back", frames[-1].text)
    assert told and int(told[1].replace(",", "")) == after["db.private"] - before["db.private"]


@pytest.mark.parametrize(
    ("demand", "table_mib", "cramped"), [(20, 2, False), (26, 10, False), (40, 10, True), (64, 14, True)]
)
def test_db_reads_again_what_it_lost(demand, table_mib, cramped):
    frames = overcommit.play(demand=demand, table_mib=table_mib).frames
    assert ("begins to read" in frames[-2].text) == cramped
    before, after = (frame.interference.get("db ← db", 0) for frame in frames[-3:-1])
    lost = frames[-1].interference.get("db ← web", 0)
    if not lost:
        assert "all of it is there" in frames[-2].text and after == before
    elif cramped:
        assert "256 of the first 256" in frames[-2].text and 200 < after - before <= 256
    else:
        assert f"db drops {after - before:,} pages of its own" in frames[-2].text
