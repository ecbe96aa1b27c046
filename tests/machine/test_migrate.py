"""Moves, frame by frame: a moved page is the same page elsewhere, one that stays has a true reason, an abort undoes all.

What moves and what does not is worked out here from the page tables alone, one page at a time.
"""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.machine import BLOCK, AsQuoted, ByMount, Corrected, FakeNuma, Literal, Machine, PageOwnership
from zonelab.machine.container import Task
from zonelab.machine.pages import KERNEL, PINNED

POLICIES = [AsQuoted, Literal, Corrected, ByMount, PageOwnership, lambda: FakeNuma(4)]
busy_machines = st.builds(lambda policy, seed: Busy(policy(), seed), st.sampled_from(POLICIES), st.integers(0, 2**32))


class Busy:
    """web and db share a set, a library and a mount; server, its child and a helper are web's. Sizes are random."""

    def __init__(self, policy, seed=1):
        m = self.m = Machine(nodes=2, node_mib=48, policy=policy)
        dice = self.dice = Random(seed)
        self.web, db = m.container("web", private_mib=8), m.container("db", private_mib=4)
        m.container_set("pair", [self.web, db], shared_mib=4)
        server, helper, base = m.task(self.web, "server"), m.task(self.web, "helper"), m.task(db, "base")
        shop = m.mount("shop", mib=4)
        libc, log = m.file("libc", pages=200, mount=shop), m.file("log", pages=100)
        for task in (server, base, helper):
            m.touch(m.mmap(task, file=libc, shared=dice.random() < 0.5), dice.randrange(100), 100, write=False)
        m.touch(m.mmap(server, file=m.file("tmp", pages=60, tmpfs=True)), 0, dice.randrange(1, 60), write=False)
        heap, ring = m.mmap(server, pages=500), m.mmap(helper, pages=80, shared=True)
        m.touch(heap, 0, dice.randrange(300, 500))
        m.touch(ring, 0, 50)
        self.child = m.fork(server, "child")
        m.touch(dice.choice([server, self.child]).vmas[-1], 0, dice.randrange(1, 300))
        (m.read if dice.random() < 0.5 else m.write)(server, log, 0, 60)
        m.pin(heap, dice.randrange(290), dice.randrange(1, 10))
        m.dentries(helper, 100)
        m.alloc_pages(server, dice.randrange(3))
        self.movers = [self.web, server, helper, self.child]


def frames(m):
    """Every page in memory: payer, mapping, index, age and flags, by pfn."""
    used = np.flatnonzero(m.pages.owner)
    return dict(
        zip(used.tolist(), zip(*(array[used].tolist() for array in m.pages.arrays()), strict=True), strict=True)
    )


def entries(m):
    """Every page table and page cache."""
    tables = [vma.table.tolist() for task in m.tasks for vma in task.vmas]
    return tables + [file.cache.tolist() for file in m.mappings if file is not None]


def layout(m):
    """Zones with their blocks, marks and free blocks, and where everybody is at home."""
    zones = [
        (z.name, z.blocks.tolist(), z.min, z.low, z.high, [set(area) for area in z.free_area.lists]) for z in m.zones
    ]
    homes = [(c.name, c.node, c.charged, [zone.name for zone in c.zones]) for c in m.containers]
    return zones, homes, [(task.name, task.node) for task in m.tasks]


def reasons(m, who):
    """For each page on node 0 that is `who`'s: why it has to stay, if it has to."""
    container = getattr(who, "container", who)
    going = [who] if who in m.tasks else list(container.tasks)
    users: dict[int, set[Task]] = {}
    for task in m.tasks:
        for vma in task.vmas:
            for pfn in vma.table[vma.table >= 0].tolist():
                users.setdefault(pfn, set()).add(task)
    why: dict[int, set[str]] = {}
    for pfn, (owner, _, _, _, flags) in frames(m).items():
        zone, mine = m.zone_of(pfn), not users.get(pfn, set()).isdisjoint(going)
        if len(going) == len(container.tasks):
            mine = mine or owner == container.id or zone in container.zones
        if mine and zone.node == 0:
            others = [task for task in users.get(pfn, ()) if task not in going]
            names = [f"task {t.name}" if t.container is container else t.container.name for t in others]
            why[pfn] = {f"shared with {name}, which stays" for name in names}
            why[pfn] |= {"slab objects have kernel pointers to them and cannot move"} if flags & KERNEL else set()
            why[pfn] |= {"pinned: a device or the kernel holds the frame itself"} if flags & PINNED else set()
            if zone.role in ("shared", "mount"):
                why[pfn].add(f"lies in {zone.name}, which belongs to {zone.owner.name} and stays")
    return why


@settings(deadline=None, max_examples=40)
@given(busy=busy_machines, n=st.integers(0, 3), step=st.integers(1, 300))
def test_a_moved_page_is_the_same_page_elsewhere(busy, n, step):
    m, who = busy.m, busy.movers[n]
    before, tables, why, digest = frames(m), entries(m), reasons(m, who), m.digest()
    plan = m.plan_move(who, 1)
    assert m.digest() == digest, "a plan changes nothing"
    assert sorted(plan.moving.tolist()) == sorted(pfn for pfn in why if not why[pfn])
    staying = [(pfn, reason) for reason, pfns in plan.staying.items() for pfn in pfns.tolist()]
    assert sorted(pfn for pfn, _ in staying) == sorted(pfn for pfn in why if why[pfn])
    assert all(reason in why[pfn] for pfn, reason in staying)
    went: dict[int, int] = {}
    for progress in m.moving(who, 1, step):
        went.update(zip(progress.source.tolist(), progress.target.tolist(), strict=True))
        assert len(went) == progress.done and frames(m) == {went.get(pfn, pfn): page for pfn, page in before.items()}
    assert set(went) == set(plan.moving.tolist()) and all(m.zone_of(pfn).node == 1 for pfn in went.values())
    assert entries(m) == [[went.get(entry, entry) for entry in table] for table in tables]
    assert {task.node for task in ([who] if who in m.tasks else busy.web.tasks)} == {1}
    m.check()


@settings(deadline=None, max_examples=25)
@given(busy=busy_machines, n=st.integers(0, 3), step=st.integers(1, 200), stop=st.integers(1, 4), full=st.booleans())
def test_an_abort_half_way_undoes_all(busy, n, step, stop, full):
    """Called off by the caller, or because somebody else took the room meanwhile."""
    m, who = busy.m, busy.movers[n]
    before, tables, where = frames(m), entries(m), layout(m)
    total = m.plan_move(who, 1).pages
    assume(total > step)
    steps = m.moving(who, 1, step)
    for _ in range(min(stop, (total - 1) // step)):
        next(steps)
    if full:
        taken = [run for zone in m.zones if zone.node == 1 for run in zone.free_area.take(zone.free_pages)]
        with pytest.raises(BadRequest, match="pages of room are missing there by now"):
            next(steps)
        for first, length in taken:
            m.zone_of(first).free_area.give(first, length)
    steps.close()
    assert (frames(m), entries(m), layout(m)) == (before, tables, where)
    m.check()


@pytest.mark.parametrize("policy", POLICIES[:5])
@pytest.mark.parametrize("how", ["full", "fragmented"])
def test_no_room_on_the_target(policy, how):
    """Zones need a stretch of free blocks and are refused; without zones, what fits above the min mark goes."""
    busy = Busy(policy())
    m = busy.m
    wall = m.mmap(m.task(node=1), pages=12 * BLOCK)
    m.touch(wall, 0, 12 * BLOCK - m.nodes[1].main.low)
    for block in range(0, 12 if how == "fragmented" else 0, 2):
        m.discard(wall, block * BLOCK, min(BLOCK, wall.pages - block * BLOCK))
    before, digest, plan = frames(m), m.digest(), m.plan_move(busy.web, 1)
    if plan.blocks:
        assert plan.problem is not None and f"node 1 is too {how}: the new zone needs {plan.blocks}" in plan.problem
        with pytest.raises(BadRequest, match=f"too {how}"):
            m.move(busy.web, 1)
        assert m.digest() == digest
        return
    room = m.nodes[1].main.free_pages - m.nodes[1].main.min
    wanted = sum(not why for why in reasons(m, busy.web).values())
    report = m.move(busy.web, 1)
    assert report.moved == min(room, wanted) and (how == "full") == (room < wanted)
    assert report.staying.get("node 1 has no room for it", 0) == wanted - report.moved
    assert sorted(frames(m).values()) == sorted(before.values()) and m.nodes[1].main.free_pages >= m.nodes[1].main.min
    m.check()


@pytest.mark.parametrize(("wall", "refused"), [(16, True), (12, False)])
def test_a_plan_knows_that_the_main_zone_keeps_a_block(wall, refused):
    m = Machine(nodes=2, node_mib=32)
    web = m.container("web", private_mib=16)
    heap = m.mmap(m.task(web), pages=3000)
    m.touch(heap, 0, 3000)
    m.carve("wall", 1, wall)  # leaves the main zone of node 1 as many blocks as web needs, or one more
    plan, digest = m.plan_move(web, 1), m.digest()
    assert (plan.problem is not None) == refused
    if refused:
        assert plan.longest == plan.blocks == 4
        assert plan.problem and "too full" in plan.problem and "must keep one" in plan.problem
        with pytest.raises(BadRequest, match="must keep one"):
            m.move(web, 1)
        assert m.digest() == digest
    else:
        assert m.move(web, 1).moved == 3000
    m.check()
