"""The story of orphans: at every setting, and its answers against the machine of another step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.machine.whatif import UncheckedZones
from zonelab.story.leavers import leavers
from zonelab.story.orphans import AT_ONCE, LATER, orphans

values = st.fixed_dictionaries(
    {
        "heap_mib": st.integers(1, 8).map(lambda n: 4 * n),
        "left_pages": st.integers(0, 16).map(lambda n: 128 * n),
        "db_reads": st.booleans(),
        "merge": st.sampled_from([LATER, AT_ONCE]),
    }
)


@settings(max_examples=25)
@given(values)
def test_it_plays_with_every_setting_and_its_answers_are_what_happens(chosen):
    history = orphans.play(**chosen)
    assert len(history) == (11 if chosen["merge"] == LATER else 10) and not any(f.problem for f in history.frames)
    assert history.machine is not None
    history.machine.check()
    freed, payer, joined = [frame.ask for frame in history.frames if frame.ask is not None]
    frames = history.frames
    assert freed.answer == frames[4].free - frames[3].free == chosen["heap_mib"] * 256, "mapped by db or not"
    grown = frames[4].charges["root"] - frames[3].charges["root"]
    assert grown == chosen["left_pages"] and (payer.answer == "root") == (grown > 0)
    assert joined.answer == 0
    at = next(n for n, frame in enumerate(frames) if frame.ask is joined)
    before, after = ([sum(c) for c in zip(*(z.counts for z in frames[n].zones), strict=True)] for n in (at - 1, at))
    assert before == after, "free blocks of each order, before and after, over all zones"
    stranded = [sum(z.free for z in f.zones if z.role != "main" and not z.owner) for f in frames]
    assert any(stranded) == (chosen["merge"] == LATER) and not stranded[-1]


def test_an_orphan_is_nowhere_to_be_had_and_a_merged_one_is():
    refused = [frame.text for frame in orphans.play().frames if "is refused" in frame.text]
    assert len(refused) == 1 and "wants 96 MiB, 24 free blocks" in refused[0]
    given_now = orphans.play().frames[9]
    assert any(zone.name == "next.private" and zone.pages == 24 * 1024 for zone in given_now.zones)


@settings(max_examples=25)
@given(st.integers(0, 99_999))
def test_be_the_kernel(seed):
    history = leavers.play(seed=seed)
    asks = [frame.ask for frame in history.frames if frame.ask is not None]
    assert len(asks) == 5 and len({ask.key for ask in asks}) == 5
    frames = history.frames
    assert asks[0].answer == frames[1].free - frames[0].free and asks[1].answer == frames[2].free - frames[1].free
    assert asks[3].answer == "root" and asks[4].answer == frames[-1].used
    for ask in asks:
        assert ask.judge(ask.answer).right and not any(ask.judge(wrong).right for wrong in ask.feedback)


def test_zones_that_are_not_aligned_have_something_to_join():
    """C15 and C17 from the other side: only a border inside a block leaves halves that wait for each other."""
    for border in (1, 512, 1000, 1023, 1024, 1536):
        zones = UncheckedZones(0, border, 2048, checked=True)
        zones.start_used()
        for pfn in range(2048):
            zones.free(pfn)
        assert not zones.thefts, "the careful test never crosses the border"
        assert zones.damage() == {"A": (border, border, 0), "B": (2048 - border, 2048 - border, 0)}
        joined = zones.merge()
        naive = len(zones_apart(border)) - 2
        assert len(joined) == naive
        assert zones.areas["A"].counts() == [0] * 10 + [2] and zones.areas["A"].free_pages == 2048
    with pytest.raises(BadRequest):
        UncheckedZones(0, 0, 2048, checked=True)


def zones_apart(border):
    """The largest aligned blocks that two stretches consist of, by the book."""
    blocks = []
    for first, end in ((0, border), (border, 2048)):
        while first < end:
            size = 1024
            while first % size or first + size > end:
                size //= 2
            blocks.append((first, size))
            first += size
    return blocks
