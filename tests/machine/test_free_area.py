"""Free areas: known sequences of the kernel's allocator, and a brute-force buddy system that must agree on random ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.machine.buddy import FreeArea
from zonelab.machine.node import check_distances, fallback_order
from zonelab.machine.pages import MAX_ORDER
from zonelab.machine.zone import Zone

TAIL = pytest.mark.parametrize("tail", [True, False], ids=["6.12", "2.6.20"])


def whole(tail=True, blocks=1):
    area = FreeArea(tail)
    for block in reversed(range(blocks)):
        area.insert(block << MAX_ORDER, MAX_ORDER)
    return area


def on(area, order):
    """A list as the kernel sees it, head first."""
    return list(reversed(area.lists[order]))


@TAIL
def test_pages_come_in_rising_order_and_a_block_from_the_smallest_list_that_has_one(tail):
    area = whole(tail)
    assert [area.alloc() for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    assert area.counts() == [0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0]
    assert area.alloc(2) == 8
    assert area.counts() == [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0]
    assert (on(area, 1), on(area, 2), on(area, 4)) == ([6], [12], [16])


@pytest.mark.parametrize(("tail", "then"), [(False, [4, 2, 0]), (True, [2, 0, 4])])
def test_a_block_that_will_soon_merge_goes_to_the_tail(tail, then):
    """Page 4's buddy is in use, but the block that both would form has a free buddy: since 2.6.35, it is kept for last."""
    area = whole(tail)
    for _ in range(6):
        area.alloc()
    area.alloc(2)
    for pfn in (0, 2, 4):
        area.free(pfn)
    assert on(area, 0) == then
    assert [area.alloc() for _ in range(3)] == then


@pytest.mark.parametrize(("tail", "first"), [(False, 0), (True, 8)])
def test_the_tail_rule_looks_at_what_was_merged_before(tail, first):
    area = FreeArea(tail)
    area.insert(0, 4)
    assert [area.alloc() for _ in range(16)] == list(range(16))
    for pfn in (2, 3, 8, 0):
        area.free(pfn)
    assert on(area, 0) == ([8, 0] if tail else [0, 8])
    assert area.alloc() == first


@pytest.mark.parametrize(
    ("counts", "order", "fragmentation", "unusable"),
    [
        ([512], 1, 499, 1000),
        ([512], 9, 997, 1000),
        ([1], 10, 0, 1000),
        ([0, 4, 5, 4, 4, 3], 9, 929, 1000),
        ([0, 4, 5, 4, 4, 3], 3, -1000, 127),
        ([0] * 9 + [1], 10, -500, 1000),
        ([0], 3, 0, 1000),
    ],
)
def test_fragmentation_indices_as_the_kernel_computes_them(counts, order, fragmentation, unusable):
    area = FreeArea()
    pfn = 0
    for n, many in enumerate(counts):
        for _ in range(many):
            area.insert(pfn << (n + 1), n)
            pfn += 1
        pfn = 1 << 20
    assert area.fragmentation_index(order) == fragmentation
    assert area.unusable_index(order) == unusable


class Naive:
    """The same by brute force: lists of free blocks, head first, searched from end to end."""

    def __init__(self, tail, blocks):
        self.tail = tail
        self.lists: list[list[int]] = [[] for _ in range(MAX_ORDER)] + [[b << MAX_ORDER for b in range(blocks)]]

    def alloc(self, order):
        for higher in range(order, MAX_ORDER + 1):
            if self.lists[higher]:
                pfn = self.lists[higher].pop(0)
                for split in range(higher - 1, order - 1, -1):
                    self.lists[split].insert(0, pfn + (1 << split))
                return pfn
        return None

    def free(self, pfn, order):
        while order < MAX_ORDER and pfn ^ (1 << order) in self.lists[order]:
            self.lists[order].remove(pfn ^ (1 << order))
            pfn &= ~(1 << order)
            order += 1
        parent = pfn & ~(1 << order)
        soon = self.tail and order < MAX_ORDER - 1 and parent ^ (2 << order) in self.lists[order + 1]
        self.lists[order].insert(len(self.lists[order]) if soon else 0, pfn)


@TAIL
@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10), st.integers(0, 10**6)), max_size=200))
def test_agrees_with_brute_force(tail, steps):
    area, naive = whole(tail, 3), Naive(tail, 3)
    held: list[tuple[int, int]] = []
    for what, order, pick in steps:
        if what < 0.6 or not held:
            order = order if what < 0.3 else order % 3
            pfn = area.alloc(order)
            assert pfn == naive.alloc(order)
            if pfn is not None:
                held.append((pfn, order))
        else:
            block = held.pop(pick % len(held))
            area.free(*block)
            naive.free(*block)
        assert [on(area, n) for n in range(MAX_ORDER + 1)] == naive.lists
        assert area.free_pages == sum(n << order for order, n in enumerate(area.counts()))
    for block in held:
        area.free(*block)
    assert area.counts() == [0] * MAX_ORDER + [3], "all freed, all merged"


@TAIL
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_bulk_operation_is_that_many_single_ones(tail, data):
    bulk, single = whole(tail, 3), whole(tail, 3)
    held: set[int] = set()
    for _ in range(data.draw(st.integers(1, 12))):
        if data.draw(st.booleans()) or not held:
            want = data.draw(st.integers(1, 1500))
            taken = [pfn for first, length in bulk.take(want) for pfn in range(first, first + length)]
            alone = [pfn for pfn in (single.alloc() for _ in range(want)) if pfn is not None]
            assert taken == alone
            held.update(taken)
        else:
            first = data.draw(st.sampled_from(sorted(held)))
            length = 1
            while first + length in held and length < 700:
                length += 1
            bulk.give(first, length)
            for pfn in range(first, first + length):
                single.free(pfn)
            held -= set(range(first, first + length))
        assert [on(bulk, n) for n in range(11)] == [on(single, n) for n in range(11)]


@settings(deadline=None, max_examples=60)
@given(pfns=st.lists(st.integers(0, 1023), min_size=1, max_size=40, unique=True))
def test_a_given_page_can_be_claimed_once(pfns):
    area = whole()
    for pfn in pfns:
        assert area.holds(pfn) is not None and area.claim(pfn)
        assert area.holds(pfn) is None and not area.claim(pfn)
    assert area.free_pages == 1024 - len(pfns)
    for pfn in pfns:
        area.free(pfn)
    assert area.counts() == [0] * MAX_ORDER + [1]


@pytest.mark.parametrize(
    ("distances", "order"),
    [
        (
            [[10 if a == b else 20 for b in range(4)] for a in range(4)],
            [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]],
        ),
        (
            [[10, 16, 22, 22], [16, 10, 22, 22], [22, 22, 10, 16], [22, 22, 16, 10]],
            [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]],
        ),
    ],
)
def test_fallback_goes_to_the_nearest_and_spreads_equals(distances, order):
    assert fallback_order(check_distances(distances, 4)) == order


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([[10, 20]], "2"),
        ([[10, 20], [21]], "2"),
        ([[10, 5], [20, 10]], "5"),
        ([[20, 20], [20, 10]], "20"),
    ],
)
def test_distances_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(BadRequest, match=message):
        check_distances(wrong, 2)


@pytest.mark.parametrize(
    ("profile", "mib", "marks"),
    [("6.12", 64, (256, 320, 384)), ("6.12", 4, (64, 80, 96)), ("2.6.20", 64, (256, 320, 384))],
)
def test_watermarks_of_known_machines(profile, mib, marks):
    import numpy as np

    zone = Zone(0, "Normal", 0, "main", None, np.arange(mib // 4), profile)
    zone.set_watermarks(mib * 256)
    assert (zone.min, zone.low, zone.high) == marks
