"""Free areas of both profiles against worked examples of mm/page_alloc.c, mm/vmstat.c, and a bare set of free pages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.machine.buddy import FreeArea

PAGES = 1024
ORDERS = range(11)
DO = ["alloc", "free", "free", "claim"]
BOTH = pytest.mark.parametrize("tail_rule", [False, True], ids=["2.6.20", "6.12"])


def boot(tail_rule, order=10):
    area = FreeArea(tail_rule)
    area.insert(0, order)
    return area


def head_first(area):
    return {order: list(reversed(blocks)) for order, blocks in enumerate(area.lists) if blocks}


@BOTH
def test_six_pages_and_then_four_in_one_block(tail_rule):
    area = boot(tail_rule)
    assert [area.alloc() for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    assert area.counts() == [0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0]
    assert area.alloc(2) == 8, "6 and 7 are a block of order 1 only; 8 heads the list of order 3"
    assert area.counts() == [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0]
    upper_halves = {order: [1 << order] for order in range(4, 10)}
    assert head_first(area) == {1: [6], 2: [12], **upper_halves}


@pytest.mark.parametrize(("tail_rule", "order_0"), [(False, [4, 2, 0]), (True, [2, 0, 4])], ids=["2.6.20", "6.12"])
def test_a_page_that_may_merge_twice_is_used_last(tail_rule, order_0):
    """4's buddy 5 is busy, but 6-7 is free: were 5 freed, 4-5 would merge on. ``buddy_merge_likely()``, since 2.6.35."""
    area = boot(tail_rule)
    for order in (0, 0, 0, 0, 0, 0, 2):
        area.alloc(order)
    assert [area.free(pfn) for pfn in (0, 2, 4)] == [0, 0, 0]
    assert head_first(area)[0] == order_0
    assert [area.alloc() for _ in range(3)] == order_0


@pytest.mark.parametrize(("tail_rule", "order_0"), [(False, [0, 8]), (True, [8, 0])], ids=["2.6.20", "6.12"])
def test_sixteen_pages(tail_rule, order_0):
    area = boot(tail_rule, order=4)
    assert [area.alloc() for _ in range(16)] == list(range(16)) and area.alloc() is None
    assert [area.free(pfn) for pfn in (2, 3, 8, 0)] == [0, 1, 0, 0]
    assert head_first(area) == {0: order_0, 1: [2]}
    assert area.alloc() == order_0[0]


@pytest.mark.parametrize(("order", "listed"), [(8, [1 << 12, 0]), (9, [0, 1 << 12])], ids=["tail", "head"])
def test_a_pair_of_the_largest_order_has_nothing_to_wait_for(order, listed):
    """0's buddy is busy, the buddy of their pair is free; but a pair of order 10 would not merge any further."""
    area = FreeArea(tail_rule=True)
    area.insert(1 << 12, order)
    area.insert(2 << order, order + 1)
    assert area.free(0, order) == order and head_first(area)[order] == listed


@pytest.mark.parametrize(
    ("counts", "order", "index", "unusable"),
    [
        ([512], 1, 499, 1000),
        ([512], 9, 997, 1000),
        ([1], 10, 0, 1000),
        ([0, 4, 5, 4, 4, 3], 9, 929, 1000),
        ([0, 4, 5, 4, 4, 3], 3, -1000, 127),
        ([0] * 9 + [1], 10, -500, 1000),
        ([], 0, 0, 1000),
    ],
)
@BOTH
def test_indices_of_known_lists(tail_rule, counts, order, index, unusable):
    area = FreeArea(tail_rule)
    for at, size in enumerate(size for size, blocks in enumerate(counts) for _ in range(blocks)):
        area.insert(at << 11, size)  # far from each other: no two are buddies
    assert (area.fragmentation_index(order), area.unusable_index(order)) == (index, unusable)


def span(pfn, order):
    return set(range(pfn, pfn + (1 << order)))


def free_blocks(free):
    """Merged as far as can be, the blocks that a set of free pages makes: the largest aligned ones. All by brute force."""
    blocks, left = [], set(free)
    for order in reversed(ORDERS):
        for pfn in range(0, PAGES, 1 << order):
            if span(pfn, order) <= left:
                blocks.append((pfn, order))
                left -= span(pfn, order)
    return blocks


def agrees(area, free):
    """Does the free area say of these free pages what it must?"""
    blocks = free_blocks(free)
    listed = [(pfn, order) for order, area_list in enumerate(area.lists) for pfn in area_list]
    assert sorted(listed) == sorted(blocks), "all merged that can be, nothing twice"
    assert sum(1 << order for _, order in listed) == area.free_pages == len(free)
    assert area.counts() == [sum(order == size for _, order in blocks) for size in ORDERS]
    assert area.largest() == max((order for _, order in blocks), default=-1)
    around = {page: order for pfn, order in blocks for page in span(pfn, order)}
    assert [area.holds(page) for page in range(PAGES)] == [around.get(page) for page in range(PAGES)]
    for want in ORDERS:
        fits = sum(1 << order for _, order in blocks if order >= want)
        asked = len(free) * 1000 // 2**want  # the free pages in units of what is wanted, in thousandths
        index = 0 if not blocks else -1000 if fits else 1000 - (1000 + asked) // len(blocks)
        assert area.fragmentation_index(want) == index
        assert area.unusable_index(want) == ((len(free) - fits) * 1000 // len(free) if free else 1000)


@BOTH
@settings(deadline=None, max_examples=30)
@given(steps=st.lists(st.tuples(st.sampled_from(DO), st.integers(0, 2**20)), max_size=60))
def test_a_bare_set_of_pages_agrees(tail_rule, steps):
    area, free = boot(tail_rule), set(range(PAGES))
    held: list[tuple[int, int]] = []
    for what, pick in steps:
        order, place = pick % 7, pick // 7 % PAGES
        got: int | None = None
        if what == "alloc":
            fit = [(size, pfn) for pfn, size in free_blocks(free) if size >= order]
            got = area.alloc(order)
            assert (min(fit)[0], got) in fit if fit else got is None, "the first part of a smallest block that fits"
        elif what == "claim":
            pfn = place >> order << order
            got = pfn if area.claim(pfn, order) else None
            assert (got == pfn) == (span(pfn, order) <= free)
        elif held:
            pfn, size = held.pop(pick % len(held))
            end = area.free(pfn, size)
            free |= span(pfn, size)
            assert (pfn & -(1 << end), end) in free_blocks(free)
        if got is not None:
            assert span(got, order) <= free, "handed out twice"
            free -= span(got, order)
            held.append((got, order))
        assert area.free_pages == len(free)
    agrees(area, free)
    for pfn, size in held:
        area.free(pfn, size)
    assert head_first(area) == {10: [0]}, "all free, all merged"
