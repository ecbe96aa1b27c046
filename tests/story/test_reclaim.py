"""The stories of unit 08 with every control: who is dropped, what comes back, and how far a shrinker sees."""

from __future__ import annotations

from collections import Counter

import pytest

from zonelab.machine.slab import PER_PAGE
from zonelab.story.reclaim import CLOCK, EXACT, dentries, queue, queues, slab_pages, streaming


def lost(frame):
    return frame.interference.get("web ← db", 0)


@pytest.mark.parametrize("order", [EXACT, CLOCK])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("index", [1, 4, 5, 6])
@pytest.mark.parametrize("film", [1, 4, 6, 8, 16])
def test_every_film_is_seen_to_the_end(order, shared, index, film):
    frames = streaming.play(order=order, shared=shared, index=index, film=film).frames
    assert not any(frame.problem for frame in frames)
    gone = lost(frames[-3])
    if not shared:
        assert not gone, "files in zones of their own: nobody else can drop them"
    *first, last = (frame.ask for frame in frames if frame.ask)
    assert (last.answer == "none of it") == (not gone)
    room = {zone.name: zone.free - zone.low for zone in frames[0].zones}["pair.shared"]
    short = film * 256 > room - (index * 256 if shared else 0)
    assert len(first) == short, "the first question is asked when there is a shortage, and only then"
    if short and order == EXACT and shared:
        assert first[0].answer == "web"


@pytest.mark.parametrize(("index", "film"), [(1, 8), (4, 5), (4, 6), (6, 16)])
def test_by_age_what_is_lost_is_what_the_film_lacks_and_the_loop_reads_all_again(index, film):
    frames = streaming.play(order=EXACT, index=index, film=film).frames
    zone = next(one for one in frames[0].zones if one.name == "pair.shared")
    lacking = (index + film) * 256 - (zone.free - zone.low)
    assert min(index * 256, lacking) <= lost(frames[-3]) <= min(index * 256, lacking + 32), "reclaim by 32"
    assert frames[-2].ask is not None and frames[-2].ask.answer == "all of it"


def test_two_lists_spare_what_is_used_again_and_again():
    for film in (8, 16):
        exact, clock = (lost(streaming.play(order=order, film=film).frames[-3]) for order in (EXACT, CLOCK))
        assert clock < exact / 20
    # The active list is aged when it is the longer one: a working set of more than half the zone is not spared as a whole.
    assert lost(streaming.play(order=CLOCK, index=6, film=16).frames[-3]) > 256


@pytest.mark.parametrize("order", [EXACT, CLOCK])
def test_the_queue_says_who_goes_next(order):
    """What stands at its head before a shortage is what the machine takes first."""
    with streaming.at(2, order=order) as machine:
        zone = next(one for one in machine.zones if one.name == "pair.shared")
        head = Counter(queue(machine, zone)[:32])
    taken = streaming.play(order=order).frames[3].interference
    assert {f"{victim} ← db": pages for victim, pages in head.items()} == taken
    told = queues(order=order)
    assert told["step 1"] == [] and Counter(told["step 3"]) == {"web": 1024, "db": 984}
    assert len(told) == len(streaming.play(order=order))


@pytest.mark.parametrize("turns", [1, 7, 21, 42])
@pytest.mark.parametrize("wanted", [1, 8, 24])
def test_the_farther_it_sees_the_more_it_wastes(turns, wanted):
    thrown = {}
    for reach in ("global", "node", "zone"):
        history = dentries.play(reach=reach, turns=turns, wanted=wanted)
        assert not any(frame.problem for frame in history.frames)
        (ask,) = (frame.ask for frame in history.frames if frame.ask)
        thrown[reach] = int(ask.answer)
        pages = slab_pages(reach=reach, turns=turns, wanted=wanted)
        empty = sum(page["left"] == 0 for page in pages)
        assert empty == min(wanted, len(pages)), "as many as were wanted, or all there are"
        assert all(page["left"] + page["thrown away"] <= PER_PAGE for page in pages)
        here = sum(page["thrown away"] for page in pages)
        assert here == thrown[reach] if reach == "zone" else here <= thrown[reach]
    assert thrown["zone"] <= thrown["node"] <= thrown["global"]
