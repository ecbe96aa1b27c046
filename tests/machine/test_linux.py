"""Memory policies, cpusets, low zones, and the moves that follow from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonelab.errors import BadRequest, OutOfMemory
from zonelab.machine import BLOCK, Linux, Machine
from zonelab.machine.linux import attach, low_zone, migrate_nodes, remap, truncate, zones_of
from zonelab.machine.node import fallback_order

RING = [[10, 20, 30, 20], [20, 10, 20, 30], [30, 20, 10, 20], [20, 30, 20, 10]]


def machine(nodes=4, **options):
    policy = Linux()
    return Machine(nodes=nodes, node_mib=16, policy=policy, **options), policy


def on_nodes(m, vma):
    """Pages of a VMA on each node."""
    return np.bincount(m.node_of_block[vma.table[vma.table >= 0] // BLOCK], minlength=len(m.nodes)).tolist()


def test_without_a_policy_memory_comes_from_the_node_of_the_cpu():
    m, _ = machine()
    task = m.task(node=2)
    vma = m.mmap(task, pages=100)
    m.touch(vma, 0, 50)
    task.node = 1  # the scheduler moves it; what it has stays (C12)
    m.touch(vma, 0, 100)
    assert on_nodes(m, vma) == [0, 50, 50, 0]


def test_a_preferred_node_comes_first_and_the_others_by_their_distance_from_it():
    m, policy = machine(distances=RING)
    task = m.task(node=0)
    policy.prefer(m, task, 2)
    vma = m.mmap(task, pages=5000)
    order = [zone.node for zone in m.zonelist(vma)]
    assert order[0] == 2 and order[3] == 0, "node 0 is the farthest from node 2, wherever the task runs"
    room = m.nodes[2].main.room
    m.touch(vma, 0, 5000)
    assert on_nodes(m, vma)[2] == room and m.nodes[2].main.free_pages == m.nodes[2].main.low


def test_bind_takes_no_other_node_but_goes_down_to_the_min_mark():
    m, policy = machine()
    task = m.task(node=0)
    policy.bind(m, task, [1, 3])
    vma = m.mmap(task, pages=m.total_pages)
    with pytest.raises(OutOfMemory):
        m.touch(vma, 0, m.total_pages)
    assert [on_nodes(m, vma)[node] > 0 for node in range(4)] == [False, True, False, True]
    assert [m.nodes[node].main.free_pages - m.nodes[node].main.min for node in (1, 3)] == [0, 0]
    m.check()


@given(
    nodes=st.sets(st.integers(0, 3), min_size=1),
    pages=st.integers(1, 300),
    chunks=st.lists(st.integers(1, 50), max_size=9),
)
def test_interleave_goes_by_the_offset_in_whatever_portions_the_pages_are_touched(nodes, pages, chunks):
    m, policy = machine()
    task = m.task(node=3)
    policy.interleave(m, task, nodes)
    vma = m.mmap(task, pages=pages)
    done = 0
    for chunk in [*chunks, pages]:
        count = min(chunk, pages - done)
        if count:
            m.touch(vma, done, count)
            done += count
    ring = sorted(nodes)
    assert m.node_of_block[vma.table // BLOCK].tolist() == [ring[page % len(ring)] for page in range(pages)]
    policy.local(m, task)
    other = m.mmap(task, pages=5)
    m.touch(other, 0, 5)
    assert on_nodes(m, other) == [0, 0, 0, 5]


def test_a_cpuset_limits_every_policy_and_moves_nothing_by_itself():
    m, policy = machine()
    task = m.task(node=0)
    vma = m.mmap(task, pages=300)
    m.touch(vma, 0, 100)
    policy.confine(m, task, [1])
    m.touch(vma, 0, 200)
    policy.prefer(m, task, 3)  # not allowed: the cpuset wins
    m.touch(vma, 0, 300)
    assert on_nodes(m, vma) == [100, 200, 0, 0]
    assert policy.allowed(m, task) == (1,)


@pytest.mark.parametrize("nodes", [[], [4], [-1], ["0"]])
def test_nodes_that_are_not_there_are_refused(nodes):
    m, policy = machine()
    task = m.task()
    before = m.digest()
    for ask in (policy.confine, policy.bind, policy.interleave):
        with pytest.raises(BadRequest):
            ask(m, task, nodes)
    with pytest.raises(BadRequest):
        migrate_nodes(m, task, [0], nodes)
    assert m.digest() == before


# -- low zones


def test_a_low_zone_comes_last_and_keeps_its_reserve():
    m, _ = machine(nodes=2)
    dma = low_zone(m, 0, "DMA", 1, reserve=57)
    assert zones_of(m, 0) == [m.nodes[0].main, dma] and dma.pages == BLOCK
    task = m.task(node=0)
    vma = m.mmap(task, pages=m.total_pages)
    with pytest.raises(OutOfMemory):
        m.touch(vma, 0, m.total_pages)
    assert dma.free_pages == dma.min + 57
    assert m.nodes[0].main.free_pages == m.nodes[0].main.min
    m.check()


def test_spilling_goes_through_the_low_zone_of_the_node_before_the_next_node():
    m, _ = machine(nodes=2)
    dma = low_zone(m, 0, "DMA", 1, reserve=57)
    task = m.task(node=0)
    vma = m.mmap(task, pages=m.nodes[0].pages)
    m.touch(vma, 0, m.nodes[0].pages)
    assert dma.free_pages == dma.low + 57 and dma.room == 0
    assert on_nodes(m, vma)[0] == m.nodes[0].pages - m.nodes[0].main.low - dma.low - 57


def test_kernel_blocks_keep_the_reserve_too():
    m, _ = machine(nodes=1)
    dma = low_zone(m, 0, "DMA", 1, reserve=500)
    task = m.task()

    def take_all():
        while True:
            m.alloc_pages(task, 5)

    with pytest.raises(OutOfMemory):
        take_all()
    assert dma.min + 500 <= dma.free_pages < dma.min + 500 + 32
    m.check()


# -- moves


def test_memory_migrate_takes_shared_pages_along_and_leaves_the_charge():
    m, _ = machine()
    a, b = m.container("a", private_mib=0), m.container("b", private_mib=0)
    mover, stayer = m.task(a, node=0), m.task(b, node=0)
    file = m.file("s", pages=50, tmpfs=True)
    private = m.mmap(mover, pages=30)
    ours, theirs = m.mmap(mover, file=file, shared=True), m.mmap(stayer, file=file, shared=True)
    own = m.mmap(stayer, pages=20)
    m.touch(private, 0, 30)
    m.touch(ours, 0, 50)
    m.touch(theirs, 0, 50)
    m.touch(own, 0, 20)
    assert migrate_nodes(m, mover, [0], [1]) == (80, 0)
    assert [on_nodes(m, vma)[1] for vma in (private, ours, theirs, own)] == [30, 50, 50, 0]
    assert (a.charged, b.charged) == (80, 20)
    m.check()


def test_a_full_target_takes_what_fits_above_its_min_marks():
    m, policy = machine(nodes=2)
    filler, mover = m.task(node=1), m.task(node=0)
    policy.bind(m, filler, [1])
    m.touch(m.mmap(filler, pages=m.nodes[1].main.free_pages - 1000), 0, m.nodes[1].main.free_pages - 1000)
    vma = m.mmap(mover, pages=2000)
    m.touch(vma, 0, 2000)
    fits = m.nodes[1].main.free_pages - m.nodes[1].main.min
    assert migrate_nodes(m, mover, [0], [1]) == (fits, 2000 - fits)
    assert on_nodes(m, vma) == [2000 - fits, fits] and (m.node_of_block[vma.table[:fits] // BLOCK] == 1).all()
    assert m.nodes[1].main.free_pages == m.nodes[1].main.min
    m.check()


def test_nodes_are_mapped_by_their_place_and_nothing_moves_twice():
    m, policy = machine()
    task = m.task(node=0)
    policy.interleave(m, task, range(4))
    vma = m.mmap(task, pages=40)
    m.touch(vma, 0, 40)
    assert migrate_nodes(m, task, [0, 1], [1, 2]) == (20, 0)
    assert m.node_of_block[vma.table // BLOCK].tolist() == [1, 2, 2, 3] * 10
    assert [remap(node, [0, 1, 2, 3], [1]) for node in range(4)] == [1, 1, 1, 1]
    assert migrate_nodes(m, task, [0, 1, 2, 3], [2]) == (20, 0), "what is on node 2 already stays there"
    assert on_nodes(m, vma) == [0, 0, 40, 0]
    m.check()


def test_pinned_pages_stay():
    m, _ = machine(nodes=2)
    task = m.task(node=0)
    vma = m.mmap(task, pages=10)
    m.touch(vma, 0, 10)
    m.pin(vma, 3, 2)
    assert migrate_nodes(m, task, [0], [1]) == (8, 0)
    assert on_nodes(m, vma) == [2, 8]


def test_a_charge_does_not_follow_a_task_to_another_container():
    m, _ = machine()
    a, b = m.container("a", private_mib=0), m.container("b", private_mib=0)
    task = m.task(a)
    vma = m.mmap(task, pages=30)
    m.touch(vma, 0, 10)
    attach(m, task, b)
    m.touch(vma, 0, 30)
    assert (a.charged, b.charged) == (10, 20) and task in b.tasks and task not in a.tasks
    m.check()


@given(pages=st.integers(1, 60), keep=st.integers(0, 60), swap=st.booleans())
def test_truncate_frees_what_is_behind_the_end_for_everybody(pages, keep, swap):
    m = Machine(nodes=1, node_mib=16, policy=Linux(), swap_mib=1 if swap else 0)
    one, other = m.task(), m.task()
    file = m.file("s", pages=pages, tmpfs=True)
    shared, private = m.mmap(one, file=file, shared=True), m.mmap(other, file=file)
    m.touch(shared, 0, pages)
    m.touch(private, 0, pages, write=False)
    m.touch(private, 0, (pages + 1) // 2)
    before = m.conserved()[2]
    if keep > pages:
        with pytest.raises(BadRequest):
            truncate(m, file, keep)
        return
    copies = max(0, (pages + 1) // 2 - keep)
    assert truncate(m, file, keep) == pages - keep + copies == before - m.conserved()[2]
    assert (shared.table[keep:] < 0).all() and (private.table[keep:] < 0).all()
    assert (shared.table[:keep] >= 0).all()
    m.check()


def test_interleave_starts_where_the_address_says():
    m, policy = machine()
    task = m.task()
    policy.interleave(m, task, [0, 1, 2])
    vma = m.mmap(task, pages=6)
    vma.start = 512  # 512 = 3 × 170 + 2
    m.touch(vma, 0, 6)
    assert m.node_of_block[vma.table // BLOCK].tolist() == [2, 0, 1, 2, 0, 1]


def test_a_node_without_cpus_is_tried_a_trifle_earlier():
    even = [[10 if a == b else 20 for b in range(4)] for a in range(4)]
    assert fallback_order(even)[0] == [0, 1, 2, 3]
    assert fallback_order(even, frozenset({3}))[0] == [0, 3, 1, 2]
    assert fallback_order(RING, frozenset({2}))[0] == [0, 1, 3, 2], "distance counts first"


def test_interleave_keeps_32_bits_of_the_address():
    m, policy = machine()
    task = m.task()
    policy.interleave(m, task, [0, 1, 2])
    vma = m.mmap(task, pages=3)
    vma.start = 2**32  # leaves 1 when divided by 3, but has no bit among the lowest 32
    m.touch(vma, 0, 3)
    assert m.node_of_block[vma.table // BLOCK].tolist() == [0, 1, 2]
