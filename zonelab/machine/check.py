"""Is the machine in order? Every invariant, and a digest of all state."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from zonelab.errors import BrokenInvariant
from zonelab.machine.memory import ABSENT, SWAP, by_mapping, users
from zonelab.machine.pages import KERNEL, MAX_ORDER

if TYPE_CHECKING:
    from zonelab.machine.state import State


def check(m: State) -> None:
    """Raise BrokenInvariant, with the numbers, at the first thing that is not as it must be. O(pages)."""
    _zones(m)
    _pages(m)
    _tables(m)
    _accounts(m)


def _require(holds: bool | np.bool_, what: str) -> None:
    if not holds:
        raise BrokenInvariant(what)


def _zones(m: State) -> None:
    seen = np.zeros(len(m.block_zone), int)
    free = np.zeros(m.total_pages, np.uint8)
    for zone in m.zones:
        seen[zone.blocks] += 1
        _require(
            (m.block_zone[zone.blocks] == zone.id).all(), f"the block table disagrees with {zone.name} about its blocks"
        )
        _require((m.node_of_block[zone.blocks] == zone.node).all(), f"{zone.name} has blocks of another node")
        _require(zone in m.nodes[zone.node].zones, f"node {zone.node} does not know {zone.name}")
        _require(len(zone.blocks) > 0, f"{zone.name} has no blocks")
        total = 0
        for order, area in enumerate(zone.free_area.lists):
            if not area:
                continue
            heads = np.fromiter(area, np.int64)
            total += len(heads) << order
            _require((heads % (1 << order) == 0).all(), f"{zone.name}: a free block of order {order} is not aligned")
            _require(
                (m.block_zone[heads >> MAX_ORDER] == zone.id).all(), f"{zone.name}: a free block lies in another zone"
            )
            if order < MAX_ORDER:
                pair = heads[np.isin(heads ^ (1 << order), heads)]
                _require(not len(pair), f"{zone.name}: buddies of order {order} at {pair[:2].tolist()} are both free")
            for head in heads.tolist():
                free[head : head + (1 << order)] += 1
        _require(total == zone.free_pages, f"{zone.name}: {zone.free_pages} free by the counter, {total} on the lists")
    _require((seen == 1).all(), f"blocks in no zone or in two: {np.flatnonzero(seen != 1)[:5].tolist()}")
    used = m.pages.owner > 0
    wrong = np.flatnonzero(free + used.astype(np.uint8) != 1)
    _require(not len(wrong), f"pages neither free nor owned, or both, or free twice: pfn {wrong[:5].tolist()}")


def _pages(m: State) -> None:
    used = m.pages.owner > 0
    for name in ("mapping", "index", "stamp", "flags"):
        dirt = np.flatnonzero(getattr(m.pages, name)[~used])
        _require(not len(dirt), f"{len(dirt)} free pages remember a {name}")
    kernel = m.pages.flags & KERNEL > 0
    _require(
        ((m.pages.stamp > 0) == (used & ~kernel)).all(), "a page is on an LRU list that should not be, or the reverse"
    )
    _require(int(m.pages.stamp.max(initial=0)) <= m.clock, "a page was used in the future")


def _tables(m: State) -> None:
    """Every used page is where its mapping and index say; every entry points to a page that says so."""
    pfns = np.flatnonzero(m.pages.owner).astype(np.int64)
    for mapping, at, index in by_mapping(m.pages, m.mappings, pfns):
        mine = pfns[at]
        if mapping.kind == "slab":
            filled = np.sort(np.fromiter(m._dentries.filled, np.int64))
            _require(np.array_equal(filled, mine), "slab pages and the dentry cache disagree")
        elif mapping.kind == "kernel":
            ours = [np.arange(pfn, pfn + (1 << order)) for pfn, order in sorted(m.kernel_blocks.items())]
            _require(
                bool(ours) and np.array_equal(np.concatenate(ours), mine), "kernel blocks and the page arrays disagree"
            )
            _require((index == mine).all(), "a kernel page does not know its own place")
        elif mapping.kind == "anon":
            mapped = np.zeros(len(mine), bool)
            for _, mask, _ in users(mapping, mine, index):
                mapped |= mask
            _require(mapped.all(), f"{int((~mapped).sum())} anonymous pages of {mapping.name} are mapped by nobody")
        else:
            _require(
                (mapping.cache[index] == mine).all(), f"the page cache of {mapping.name} does not point at its pages"
            )
    slots: dict[int, tuple[int, int]] = {}
    for thing in m.mappings:
        if thing is None:
            continue
        cached = np.flatnonzero(thing.cache >= 0)
        there = thing.cache[cached]
        ok = (m.pages.mapping[there] == thing.id) & (m.pages.index[there] == cached)
        _require(ok.all(), f"the page cache of {thing.name} points at pages of something else")
        for place in np.flatnonzero(thing.cache <= SWAP).tolist():
            slot = SWAP - int(thing.cache[place])
            _require(slot not in slots, f"swap slot {slot} is used twice")
            slots[slot] = (thing.id, place)
        for vma in thing.vmas:
            _require(vma in vma.task.vmas and vma.alive, f"{thing.name} knows a VMA that is gone")
            place_of = np.flatnonzero(vma.table >= 0)
            there = vma.table[place_of]
            ids = m.pages.mapping[there]
            allowed = [x.id for x in (vma.file, vma.anon) if x is not None]
            _require(np.isin(ids, allowed).all(), f"{vma.name} of {vma.task.name} maps pages of a stranger")
            _require(
                (m.pages.index[there] == place_of + vma.offset).all(),
                f"{vma.name} of {vma.task.name} maps the wrong page",
            )
            for entry in np.flatnonzero(vma.table <= SWAP).tolist():
                slot = SWAP - int(vma.table[entry])
                _require(vma.anon is not None, "a shared mapping has a swap entry of its own")
                key = (vma.anon.id if vma.anon else 0, entry + vma.offset)
                _require(slots.setdefault(slot, key) == key, f"swap slot {slot} holds two different pages")
            _require(bool((vma.table >= SWAP - 2**40).all() and ABSENT == -1), "a page table entry is nonsense")
    _require(
        slots.keys() == m.swap.slots.keys(), f"swap slots in use {sorted(m.swap.slots)}, referred to {sorted(slots)}"
    )


def _accounts(m: State) -> None:
    counts = np.bincount(m.pages.owner, minlength=len(m.accounts))
    _require(len(counts) == len(m.accounts), "a page is charged to an account that never was")
    for account in m.accounts[1:]:
        assert account is not None
        _require(
            account.charged == counts[account.id],
            f"{account.name} is charged {account.charged} pages by its counter, {counts[account.id]} by the pages",
        )
        _require(
            account.alive or not account.charged, f"{account.name} is gone and still pays for {account.charged} pages"
        )
        if account.limit is not None:
            _require(
                account.charged <= account.limit,
                f"{account.name} is charged {account.charged} of {account.limit} pages",
            )
    total, free, used = m.conserved()
    _require(total == free + used, f"{total} pages are not {free} free and {used} used")
    bill = sum(m.rule.bill(m).values())
    _require(bill == used, f"the bill comes to {bill} pages, {used} are in use")


def digest(m: State) -> str:
    """blake2b over every array, table, list and counter; free-list order included."""
    out = blake2b(digest_size=16)
    for array in (*m.pages.arrays(), m.block_zone):
        out.update(array.tobytes())
    for zone in m.zones:
        out.update(
            repr(
                (zone.id, zone.name, zone.role, zone.min, zone.low, zone.high, zone.reserve, zone.blocks.tolist())
            ).encode()
        )
        for area in zone.free_area.lists:
            out.update(np.fromiter(area, np.int64, len(area)).tobytes())
    for thing in m.mappings:
        if thing is not None:
            out.update(repr((thing.id, thing.kind, thing.name, thing.pages)).encode())
            out.update(thing.cache.tobytes() + thing.shadow.tobytes())
    for account in m.accounts[1:]:
        assert account is not None
        zones = [zone.name for zone in account.zones], [zone.name for zone in account.borrow]
        group = account.set.name if account.set else None
        out.update(
            repr(
                (account.name, account.charged, account.alive, account.node, account.limit, account.lazy, group, zones)
            ).encode()
        )
    for task in m.tasks:
        out.update(repr((task.pid, task.name, task.container.name, task.node, task.local, task.remote)).encode())
        for vma in task.vmas:
            out.update(
                repr(
                    (
                        vma.name,
                        vma.pages,
                        vma.shared,
                        vma.offset,
                        vma.start,
                        vma.ahead,
                        vma.file and vma.file.id,
                        vma.anon and vma.anon.id,
                    )
                ).encode()
            )
            out.update(vma.table.tobytes())
    lists = (
        [s.name for s in m.sets],
        [x.name for x in m.mounts],
        [f.name for f in m.files],
        sorted(m.swap.slots.items()),
    )
    counters = sorted(m.interference.items()), sorted(m.refaults.items()), sorted(m.oom_kills.items())
    out.update(
        repr(
            (lists, counters, m.clock, m.evictions, m.writebacks, list(m._dentries.page_of.items()), m.kernel_blocks)
        ).encode()
    )
    return out.hexdigest()
