"""The state of a machine, and the few things that every room does with it.

``Machine`` adds the commands; the rooms (faults, reclaim, moves, slab) work on what is here: zones and the block table,
page arrays, accounts, counters; reporting an event, freeing pages, carving and merging zones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine import refuse
from zonelab.machine.charge import FirstTouch, Rule
from zonelab.machine.container import Container, ContainerSet, Mount, Task
from zonelab.machine.events import Event
from zonelab.machine.memory import ABSENT, SWAP, VMA, Mapping, mapcount
from zonelab.machine.node import LOCAL, Node, check_distances, fallback_order
from zonelab.machine.pages import BLOCK, BLOCK_MIB, MAX_ORDER, MIB, Pages, Pfns, as_slice, runs_of
from zonelab.machine.policy import Corrected, Policy, Zonelist
from zonelab.machine.reclaim import ExactLRU, Swap, TwoListClock
from zonelab.machine.slab import DentryCache
from zonelab.machine.zone import Profile, Role, Zone

MAX_IDS = 65535
"""Containers, zones and mappings are numbered in 16 bits: at most this many of each at a time."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost model, in nanoseconds. Round figures for a server of today; a student may well change them.

    Attributes:
        local_ns: one touch of memory on the task's own node; on another it is in proportion to the distance.
        copy_page_ns: one page migrated: allocate, unmap, copy 4 KiB, map, flush.
    """

    local_ns: float = 100.0
    copy_page_ns: float = 2000.0

    def access_ns(self, distance: int) -> float:
        return self.local_ns * distance / LOCAL


class State:
    """Everything a machine knows. Made by ``Machine(...)``, which documents the arguments and attributes."""

    def __init__(
        self,
        nodes: int = 2,
        node_mib: int | Sequence[int] = 256,
        distances: list[list[int]] | None = None,
        profile: Profile = "6.12",
        policy: Policy | None = None,
        rule: Rule | None = None,
        lru: Literal["exact", "clock"] = "exact",
        swap_mib: int = 0,
        costs: Costs | None = None,
        on_event: Callable[[Event], None] | None = None,
        fault_around: int = 1,
        readahead: int = 1,
    ) -> None:
        sizes = refuse.node_sizes(nodes, node_mib)
        nodes = len(sizes)
        if profile not in ("2.6.20", "6.12"):
            raise BadRequest(f"profile {profile!r}: it can be '2.6.20' or '6.12'")
        if lru not in ("exact", "clock"):
            raise BadRequest(f"lru {lru!r}: it can be 'exact' or 'clock'")
        swap_pages = refuse.size(swap_mib, "a swap area", zero=True)
        self.fault_around = refuse.window(fault_around, "fault_around")
        self.readahead = refuse.window(readahead, "readahead")
        self.distances = check_distances(distances, nodes)
        self.profile: Profile = profile
        self.policy = Corrected() if policy is None else policy
        self.rule = FirstTouch() if rule is None else rule
        self.costs = Costs() if costs is None else costs
        refuse.made(self.policy, Policy, "policy", "Corrected")
        refuse.rule(self.rule)
        refuse.made(self.costs, Costs, "costs", "Costs")
        if not (on_event is None or callable(on_event)):
            raise BadRequest(f"on_event={refuse.shown(on_event)}: it must be a function that takes an Event")
        self.lru = ExactLRU() if lru == "exact" else TwoListClock()
        self.swap = Swap(swap_pages)
        self.on_event = on_event
        self.total_pages = sum(sizes) * MIB
        self.pages = Pages(self.total_pages)
        blocks = self.total_pages >> MAX_ORDER
        self.block_zone = np.zeros(blocks, np.uint16)
        self.node_of_block = np.zeros(blocks, np.uint8)
        self.dirty = np.zeros(blocks, bool)
        self.nodes: list[Node] = []
        self._zones: list[Zone | None] = []
        start = 0
        for number, size in enumerate(sizes):
            own = np.arange(start, start + size // BLOCK_MIB)
            main = self._new_zone("Normal", number, "main", None, own)
            main.free_area.fill((own[::-1] * BLOCK).tolist())  # so that the lowest is the head of the list
            self.node_of_block[own] = number
            self.nodes.append(Node(number, start * BLOCK, main))
            start += len(own)
        self._order = fallback_order(self.distances)
        root = Container(1, "root", 0)
        self.accounts: list[Container | None] = [None, root]
        self.sets: list[ContainerSet] = []
        self.mounts: list[Mount] = []
        self.files: list[Mapping] = []
        self.tasks: list[Task] = []
        slab, kernel = Mapping(1, "slab", "dentries", 0), Mapping(2, "kernel", "kernel", 0)
        self.mappings: list[Mapping | None] = [None, slab, kernel]
        self._free_mappings: list[int] = []
        self._dentries = DentryCache(slab)
        self.kernel_blocks: dict[int, int] = {}
        self.interference: Counter[tuple[str, str]] = Counter()
        self.refaults: Counter[str] = Counter()
        self.oom_kills: Counter[str] = Counter()
        self.clock = self.evictions = self.writebacks = 0
        self.spent_ns = 0.0
        self.last_route: int | None = None
        self.index = 0
        """Offset, in its mapping, of the page that is being allocated, for a policy that goes by it."""
        self._next_event = 0
        self._next_pid = 1
        self._looking = False
        self.emit("boot", nodes=nodes, pages=self.total_pages)

    def __repr__(self) -> str:
        total, free, used = self.conserved()
        return f"<machine of {len(self.nodes)} nodes, policy {self.policy.name}: {total} pages = {free} free + {used} used>"

    # -- look

    @property
    def zones(self) -> list[Zone]:
        return [zone for zone in self._zones if zone is not None]

    @property
    def root(self) -> Container:
        """The account of tasks outside of any container, and of pages whose container is gone."""
        assert self.accounts[1] is not None
        return self.accounts[1]

    @property
    def kernel(self) -> Mapping:
        """What ``alloc_pages`` gives out holds this; the index of such a page is its own pfn."""
        assert self.mappings[2] is not None
        return self.mappings[2]

    @property
    def containers(self) -> list[Container]:
        return [c for c in self.accounts[2:] if c is not None and c.alive]

    def zone_of(self, pfn: int) -> Zone:
        """The zone that a page lies in: one look into the block table (C16). O(1).

        The pfn is not checked, since every fault comes by here: beyond the machine it is an IndexError.
        """
        zone = self._zones[int(self.block_zone[pfn >> MAX_ORDER])]
        assert zone is not None
        return zone

    def fallback(self, node: int) -> Zonelist:
        """The main zones, nearest to `node` first (``ZONELIST_FALLBACK``)."""
        refuse.known_node(self, node)
        return tuple(self.nodes[n].main for n in self._order[node])

    def conserved(self) -> tuple[int, int, int]:
        """``(total, free, used)`` pages, counted apart: total = free + used whatever happens."""
        charged = sum(c.charged for c in self.accounts if c is not None)
        return self.total_pages, sum(zone.free_pages for zone in self.zones), charged

    # -- what every room does

    def emit(self, kind: str, cause: int | None = None, /, **data: Any) -> int | None:
        """Report an event; returns its number, None if nobody listens."""
        if self.on_event is None:
            return None
        seq = self._next_event
        self._next_event += 1
        self.on_event(Event(seq, kind, cause, data))
        return seq

    def tick(self, touches: int) -> None:
        """Advance the clock of the LRU stamps; renumber them before 32 bits run out."""
        self.clock += touches
        if self.clock >= 2**32 - 2**26:
            stamps, rank = np.unique(self.pages.stamp, return_inverse=True)
            self.pages.stamp[:] = rank + int(stamps[0] != 0)
            self.clock = len(stamps)
            self.lru.forget()

    def accessed(self, task: Task, pfns: Pfns, times: int = 1) -> None:
        """Count `times` touches of each of these pages by `task`, local or remote, and what they cost."""
        row = self.distances[task.node]
        if len(pfns) == 1:
            nodes = [(int(self.node_of_block[pfns[0] >> MAX_ORDER]), 1)]
        else:
            nodes = list(enumerate(np.bincount(self.node_of_block[pfns >> MAX_ORDER]).tolist()))
        for node, count in nodes:
            if node == task.node:
                task.local += count * times
            else:
                task.remote += count * times
            task.access_ns += count * times * self.costs.access_ns(row[node])

    def refault(self, account: Container, pages: int, cause: int | None) -> None:
        self.refaults[account.name] += pages
        self.emit("refault", cause, account=account.name, pages=pages)

    def pages_of(self, account: Container) -> Pfns:
        """All pages charged to an account, rising. O(blocks that are not wholly free)."""
        if not account.charged:
            return np.empty(0, np.int64)
        used = np.ones(len(self.block_zone), bool)
        for zone in self.zones:
            whole = zone.free_area.lists[MAX_ORDER]
            used[np.fromiter(whole, np.int64, len(whole)) >> MAX_ORDER] = False
        blocks = np.flatnonzero(used)
        inside, at = np.nonzero(self.pages.owner.reshape(-1, BLOCK)[blocks] == account.id)
        found: Pfns = blocks[inside] * BLOCK + at
        return found

    def recharge(self, pfns: Pfns, account: Container) -> None:
        """Charge pages to another account."""
        self._uncharge(pfns)
        self.pages.owner[pfns] = account.id
        account.charged += len(pfns)
        self.dirty[pfns >> MAX_ORDER] = True

    def release(self, pfns: Pfns, uncharge: bool = True) -> None:
        """Free pages, in this order: forget them, uncharge them, give them back to the zones they lie in."""
        if not len(pfns):
            return
        if uncharge:
            self._uncharge(pfns)
        self.pages.clear(pfns)
        self.dirty[pfns >> MAX_ORDER] = True
        for first, length in runs_of(pfns):
            while length:  # a run may go across the border of two zones
                zone = self.zone_of(first)
                part = min(length, BLOCK - first % BLOCK)
                while part < length and self.block_zone[(first + part) >> MAX_ORDER] == zone.id:
                    part = min(length, part + BLOCK)
                zone.free_area.give(first, part)
                first, length = first + part, length - part

    def _uncharge(self, pfns: Pfns) -> None:
        owners = self.pages.owner[as_slice(pfns)]
        if not len(owners):
            return
        if (owners == owners[0]).all():
            counts = {int(owners[0]): len(owners)}
        else:
            counts = {int(o): int(n) for o, n in zip(*np.unique(owners, return_counts=True), strict=True)}
        for owner, count in counts.items():
            account = self.accounts[owner]
            if account is not None:
                account.charged -= count

    def _new_zone(self, name: str, node: int, role: Role, owner: Any, blocks: np.ndarray) -> Zone:
        number = next((i for i, zone in enumerate(self._zones) if zone is None), len(self._zones))
        if number > MAX_IDS:
            raise BadRequest(f"{MAX_IDS + 1:,} zones at a time is the limit (zone ids have 16 bits); retire one first")
        zone = Zone(number, name, node, role, owner, blocks.astype(np.int64), self.profile)
        self._zones[number : number + 1] = [zone]
        self.block_zone[blocks] = number
        zone.set_watermarks(self.total_pages)
        return zone

    def _carve(
        self, name: str, node: int, pages: int, role: Role, owner: Any, at: int | None, contiguous: bool
    ) -> Zone:
        count = -(-pages // BLOCK)
        home = self.nodes[node]
        blocks = home.choose_blocks(count, at, contiguous)
        zone = self._new_zone(name, node, role, owner, np.empty(0, np.int64))
        self._hand_over(home.main, zone, blocks)
        home.zones.append(zone)
        self._watermarks()
        self.emit("carve", zone=name, source=home.main.name, node=node, blocks=count, pfn=int(blocks[0]) * BLOCK)
        return zone

    def _hand_over(self, source: Zone, target: Zone, blocks: np.ndarray) -> None:
        """Wholly free blocks, which ``Node.choose_blocks`` has chosen, change zones."""
        for block in reversed(blocks.tolist()):
            source.free_area.claim(block * BLOCK, MAX_ORDER)
            target.free_area.insert(block * BLOCK, MAX_ORDER)
        self._rename_blocks(source, target, blocks)

    def _rename_blocks(self, source: Zone, target: Zone, blocks: np.ndarray) -> None:
        self.block_zone[blocks] = target.id
        source.blocks = source.blocks[self.block_zone[source.blocks] == source.id]
        target.blocks = np.sort(np.concatenate([target.blocks, blocks]))
        self.dirty[blocks] = True
        self.lru.forget()

    def _merge(self, zone: Zone) -> None:
        home = self.nodes[zone.node]
        live = zone.used
        blocks = zone.blocks
        home.main.free_area.absorb(zone.free_area)
        self._rename_blocks(zone, home.main, blocks)
        home.zones.remove(zone)
        self._zones[zone.id] = None
        for account in self.containers:
            account.borrow = tuple(other for other in account.borrow if other is not zone)
        self._watermarks()
        self.emit("merge", zone=zone.name, target=home.main.name, blocks=len(blocks), live=live)

    def _watermarks(self) -> None:
        for zone in self._zones:
            if zone is not None:
                zone.set_watermarks(self.total_pages)

    def _free(self) -> int:
        return sum(zone.free_pages for zone in self.zones)

    def _mapping(self, kind: Literal["file", "shmem", "anon"], name: str, pages: int) -> Mapping:
        free = self._free_mappings
        number = free[-1] if free else self._number(self.mappings, "mappings at a time")
        mapping = Mapping(number, kind, name, pages)  # if there is no memory for its arrays, nothing has happened yet
        self.mappings[number : number + 1] = [mapping]
        if free:
            free.pop()
        return mapping

    def _unmap(self, vma: VMA, offset: int, pages: int) -> int:
        table = vma.table[offset : offset + pages]
        entries = table.copy()
        table[:] = ABSENT
        freed = entries[entries >= 0]
        if vma.anon is None:
            freed = freed[:0]
        else:
            freed = freed[self.pages.mapping[freed] == vma.anon.id]
            if len(vma.anon.vmas) > 1 and len(freed):
                freed = freed[mapcount(self.mappings, self.pages, freed) == 0]
            for slot in (SWAP - entries[entries <= SWAP]).tolist():
                if not any((SWAP - other.table == slot).any() for other in vma.anon.vmas):
                    self._release_slot(slot)
        self.release(freed)
        return len(freed)

    def _release_slot(self, slot: int) -> None:
        if not self.swap.free:
            self.lru.forget()
        self.swap.release(slot)

    def _drop_vma(self, vma: VMA) -> int:
        freed = self._unmap(vma, 0, vma.pages)
        vma.alive = False
        vma.task.vmas.remove(vma)
        for mapping in (vma.file, vma.anon):
            if mapping is not None:
                mapping.vmas.remove(vma)
                if not mapping.vmas and (mapping.kind == "anon" or not mapping.keep):
                    freed += self._drop_mapping(mapping)
        self.emit("munmap", task=vma.task.name, vma=vma.name, freed=freed)
        return freed

    def _drop_mapping(self, mapping: Mapping) -> int:
        pfns = mapping.cache[mapping.cache >= 0]
        for slot in (SWAP - mapping.cache[mapping.cache <= SWAP]).tolist():
            self._release_slot(slot)
        self.release(pfns)
        mapping.alive = False
        self.mappings[mapping.id] = None
        self._free_mappings.append(mapping.id)
        return len(pfns)

    def _end(self, task: Task) -> None:
        for vma in list(task.vmas):
            self._drop_vma(vma)
        task.alive = False
        task.container.tasks.remove(task)
        self.tasks.remove(task)

    def _number(self, things: list[Any], what: str) -> int:
        if len(things) > MAX_IDS:
            raise BadRequest(f"{MAX_IDS:,} {what} is the limit (their ids have 16 bits)")
        return len(things)
