"""A move, page by page: nothing but the frame changes; what cannot go is told apart; calling it off loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.machine import BLOCK, Corrected, FakeNuma, Machine, PageOwnership


def contents(machine):
    """What every page in memory holds and who pays: (mapping, index, owner) of each, without where it lies."""
    pages = machine.pages
    used = np.flatnonzero(pages.owner)
    return sorted(
        zip(pages.mapping[used].tolist(), pages.index[used].tolist(), pages.owner[used].tolist(), strict=True)
    )


def tables(machine):
    """Every page table entry, as the content that it leads to."""
    out = []
    for task in machine.tasks:
        for vma in task.vmas:
            for entry in vma.table.tolist():
                at = (int(machine.pages.mapping[entry]), int(machine.pages.index[entry])) if entry >= 0 else entry
                out.append((task.name, vma.name, at))
    return out


def ages(machine):
    used = np.flatnonzero(machine.pages.owner)
    return sorted(machine.pages.stamp[used].tolist())


class Busy:
    """web with a heap, a forked child, a shared library, and a pinned page; db uses the library, too."""

    def __init__(self, pages=900, pinned=3):
        m = self.m = Machine(nodes=2, node_mib=32)
        self.web, self.db = m.container("web", private_mib=8), m.container("db", private_mib=4)
        m.container_set("pair", [self.web, self.db], shared_mib=4)
        self.server, self.base = m.task(self.web, "server"), m.task(self.db, "base")
        self.heap = m.mmap(self.server, pages=pages, name="heap")
        m.touch(self.heap, 0, pages)
        self.child = m.fork(self.server, "child")
        m.touch(self.child.vmas[0], 0, pages // 3)
        libc = m.file("libc", pages=200)
        for task in (self.server, self.base):
            m.touch(m.mmap(task, file=libc), 0, 150, write=False)
        if pinned:
            m.pin(self.heap, 500, pinned)


def test_every_page_that_can_go_has_gone_and_is_the_same():
    busy = Busy()
    m = busy.m
    before, where, old = contents(m), tables(m), ages(m)
    plan = m.plan_move(busy.web, 1)
    assert {why: len(pfns) for why, pfns in plan.staying.items()} == {
        "pinned: a device or the kernel holds the frame itself": 3,
        "shared with db, which stays": 150,
    }
    report = m.move(busy.web, 1)
    assert (report.moved, report.stayed) == (plan.pages, 153) == (900 + 300 - 3, 153)
    assert (contents(m), tables(m), ages(m)) == (before, where, old)
    assert busy.heap.anon is not None
    private = np.flatnonzero((m.pages.owner == busy.web.id) & (m.pages.mapping == busy.heap.anon.id))
    there = m.node_of_block[private // BLOCK] == 1
    assert int((~there).sum()) == 3 and (private[~there] == busy.heap.table[500:503]).all()
    assert busy.web.node == busy.server.node == busy.child.node == 1
    m.check()


@settings(deadline=None, max_examples=20)
@given(pages=st.integers(501, 1300), step=st.integers(1, 400), stop=st.integers(0, 6), freed=st.integers(0, 200))
def test_called_off_at_any_moment_nothing_is_lost(pages, step, stop, freed):
    busy = Busy(pages, pinned=0)
    m = busy.m
    before, where = contents(m), tables(m)
    homes = {zone.name: len(zone.blocks) for zone in m.zones}
    steps = m.moving(busy.web, 1, step)
    progress = None
    for _ in range(stop):
        progress = next(steps, progress)
        m.check()
        assert (contents(m), tables(m)) == (before, where)
    finished = progress is not None and progress.done == progress.total and next(steps, None) is None
    steps.close()
    assert (contents(m), tables(m)) == (before, where)
    assert busy.web.node == (1 if finished else 0)
    if not finished:
        assert {zone.name: len(zone.blocks) for zone in m.zones} == homes
        assert (m.node_of_block[busy.heap.table // BLOCK] == 0).all(), "all pages are back on node 0"
    m.check()


def test_progress_tells_each_page_and_its_old_and_new_frame():
    busy = Busy(pages=520, pinned=0)
    for step in busy.m.moving(busy.web, 1):
        assert len(step.source) == len(step.target) == 1
        old, new = int(step.source[0]), int(step.target[0])
        assert busy.m.node_of_block[old // BLOCK] == 0 and busy.m.node_of_block[new // BLOCK] == 1
        assert busy.m.pages.owner[old] == 0 and busy.m.pages.owner[new] > 0


@pytest.mark.parametrize("why", ["full", "fragmented"])
def test_no_room_on_the_target_is_told_before_anything_is_done(why):
    busy = Busy()
    m = busy.m
    taker = m.task(m.root, node=1)
    wall = m.mmap(taker, pages=8 * BLOCK - 700, name="wall")
    m.touch(wall, 0, 7 * BLOCK)
    if why == "fragmented":  # every second block has one page left in it: half of the node is free, in no stretch
        for block in range(7):
            m.discard(wall, block * BLOCK, BLOCK if block % 2 else BLOCK - 1)
    before = m.digest()
    plan = m.plan_move(busy.web, 1)
    assert plan.problem and plan.problem.startswith(f"node 1 is too {why}"), plan.problem
    for command in (lambda: m.move(busy.web, 1), lambda: next(m.moving(busy.web, 1, 10))):
        with pytest.raises(BadRequest, match=f"too {why}"):
            command()
    assert m.digest() == before


def test_a_task_that_goes_alone_leaves_what_its_siblings_use():
    busy = Busy(pinned=0)
    m = busy.m
    before = contents(m)
    report = m.move(busy.child, 1)
    assert report.moved == 300 and report.staying == {"shared with task server, which stays": 600}
    assert contents(m) == before
    assert (busy.server.node, busy.child.node, busy.web.node) == (0, 1, 0)
    m.check()


def test_a_page_that_is_replaced_on_the_way_is_passed_over():
    busy = Busy(pages=900, pinned=0)
    m = busy.m
    steps = m.moving(busy.web, 1, 200)
    next(steps)
    m.discard(busy.heap, 200, 100)  # its own since the child has copies
    report = None
    while report is None:
        try:
            next(steps)
        except StopIteration as end:
            report = end.value
    assert report.staying["freed, replaced or pinned while the move was under way"] == 100
    m.check()


def test_a_page_that_is_pinned_on_the_way_keeps_its_frame():
    busy = Busy(pages=900, pinned=0)
    m = busy.m
    steps = m.moving(busy.web, 1, 200)
    next(steps)
    m.pin(busy.heap, 100, 200)  # half of them have moved, half have not
    frames = busy.heap.table[100:300].copy()
    steps.close()
    assert (busy.heap.table[100:300] == frames).all(), "neither on nor back"
    m.check()


def test_pages_of_an_orphaned_shared_zone_stay():
    m = Machine(nodes=2, node_mib=32)
    a, b = m.container("a", 0, 4), m.container("b", 0, 4)
    m.container_set("s", [a], shared_mib=4)
    libc = m.file("libc", pages=50)
    for container in (a, b):
        m.touch(m.mmap(m.task(container), file=libc), 0, 50, write=False)
    m.exit(a, merge=False)
    assert list(m.plan_move(b, 1).staying) == ["lies in s.shared, which is an orphan and stays"]


def test_zones_of_tasks_that_move_one_by_one_have_names_of_their_own():
    m = Machine(nodes=2, node_mib=32)
    web = m.container("web", 0, 4)
    for _ in range(3):
        task = m.task(web)
        m.touch(m.mmap(task, pages=50), 0, 50)
    for task in list(web.tasks):
        m.move(task, 1)
    names = [zone.name for zone in m.zones]
    assert len(names) - 1 == len(set(names)), names  # the two main zones are both called Normal


def test_fake_nodes_that_do_not_fit_are_refused_before_anything_is_cut():
    m = Machine(nodes=1, node_mib=16, policy=FakeNuma(4))
    before = m.digest()
    with pytest.raises(BadRequest, match="needs 4 fake nodes of 4 MiB; node 0 has room for 3"):
        m.container("a", 0, 16)
    assert m.digest() == before
    m.container("a", 0, 12)


@pytest.mark.parametrize("stop", [1, 40, 89])
@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("policy", [Corrected, lambda: FakeNuma(4), PageOwnership])
def test_a_container_that_ends_on_the_way_leaves_no_zone_behind(policy, merge, stop):
    m = Machine(nodes=2, node_mib=32, policy=policy())
    web = m.container("web", private_mib=4)
    task, log = m.task(web), m.file("log", pages=450)
    m.touch(m.mmap(task, pages=450), 0, 450)
    m.write(task, log, 0, 450)
    steps = m.moving(web, 1, step=10)
    for _ in range(stop):
        next(steps)
    m.exit(web, merge=merge)
    assert all(zone.owner is not web for zone in m.zones), "the new zones are orphans as soon as it ends"
    with pytest.raises(StopIteration) as end:
        next(steps)
    report = end.value.value
    assert (report.moved, report.stayed) == (10 * stop, 900 - 10 * stop)
    assert f"web ended while the move was under way: {report.stayed}" == ": ".join(map(str, *report.staying.items()))
    if not merge:
        for zone in m.zones:
            if zone.role != "main":
                m.merge(zone)
    assert {zone.role for zone in m.zones} == {"main"}
    m.check()


@pytest.mark.parametrize("whose", ["task", "container"])
def test_a_task_that_ends_on_the_way(whose):
    busy = Busy(pinned=0)
    m = busy.m
    before = [zone.name for zone in m.zones]
    steps = m.moving(busy.child, 1, 10)
    next(steps)
    m.exit(busy.child if whose == "task" else busy.web)
    assert list(steps) == []
    assert busy.web.trip is None
    assert [zone.name for zone in m.zones] == [n for n in before if whose == "task" or n != "web.private"]
    m.check()


def test_a_move_that_is_called_off_after_its_container_ended():
    busy = Busy()
    m = busy.m
    steps = m.moving(busy.web, 1, 10)
    next(steps)
    m.exit(busy.web, merge=False)
    steps.close()
    assert sorted(zone.name for zone in m.zones if zone.owner is None) == sorted(
        ["Normal", "Normal", "web.private", "web.private@1"]
    )
    m.check()


def test_one_move_at_a_time():
    busy = Busy(pinned=0)
    m = busy.m
    first, second = m.moving(busy.web, 1, 10), m.moving(busy.web, 1, 10)
    next(first)
    before = m.digest()
    for refused in (lambda: next(second), lambda: m.moving(busy.web, 1), lambda: m.move(busy.child, 1)):
        with pytest.raises(BadRequest, match="web is on its way to node 1 already"):
            refused()
    assert m.digest() == before
    first.close()
    late = m.moving(busy.web, 1, 10)
    m.move(busy.web, 1)
    with pytest.raises(BadRequest, match="web is on node 1 already"):
        next(late)
    m.move(busy.web, 0)
    m.check()
