"""Machine: boots nodes, and takes the commands that a notebook calls.

Each command checks what it is asked for before it changes anything, and raises :class:`BadRequest` with the numbers if it
cannot be done. The work itself is done a floor below: faults in ``fault``, reclaim in ``reclaim``, moves in ``migrate``.

============== ============================================================================================
boot           ``Machine(nodes, node_mib, …)``
who            ``container`` ``container_set`` ``mount`` ``task`` ``fork`` ``exit``
zones          ``carve`` ``grow`` ``shrink`` ``merge``
memory         ``file`` ``mmap`` ``touch`` ``read`` ``write`` ``discard`` ``munmap`` ``unlink`` ``pin``
nodes          ``plan_move`` ``move`` ``moving``
slab           ``dentries`` ``lookup_dentries`` ``shrink_dentries``
look           ``zonelist`` ``bill`` ``conserved`` ``check`` ``digest`` and the attributes below
============== ============================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine import fault, migrate
from zonelab.machine.charge import Bill, FirstTouch, Rule
from zonelab.machine.check import check, digest
from zonelab.machine.container import Container, ContainerSet, Mount, Task
from zonelab.machine.events import Event
from zonelab.machine.memory import ABSENT, SWAP, VMA, Mapping, mapcount
from zonelab.machine.node import LOCAL, Node, check_distances, fallback_order
from zonelab.machine.pages import BLOCK, BLOCK_MIB, KERNEL, MAX_ORDER, MIB, PINNED, Pages, Pfns, as_slice, pages_of_mib, runs_of
from zonelab.machine.policy import Corrected, Kind, Policy, Zonelist
from zonelab.machine.reclaim import ExactLRU, Swap, TwoListClock
from zonelab.machine.slab import DentryCache, Reach, Shrunk
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


class Machine:
    """A NUMA machine whose memory is handed to containers.

    Args:
        nodes: how many nodes.
        node_mib: MiB on each node, a multiple of 4; one number, or a list with one for each.
        distances: nodes × nodes, as ``numactl --hardware`` prints them; 10 and 20 by default.
        profile: *6.12* or *2.6.20*: allocator and watermark rules of that kernel.
        policy: who chooses zonelists.
        rule: who pays.
        lru: *exact* or *clock*.
        swap_mib: size of the swap area; none by default.
        costs: the cost model.

    Attributes:
        nodes, zones: the nodes; the living zones, by id.
        block_zone: uint16[block] → zone id; ``node_of_block``: block → node.
        pages: the page arrays.
        accounts: by id; 0 is nobody, 1 is root, the tasks outside of any container.
        sets, mounts, files, tasks: what was made so far and is alive.
        interference: (victim, cause) → pages that victim lost to reclaim because cause needed memory.
        refaults: account → pages that came back after reclaim had taken them.
        oom_kills: account → times it ran out of memory.
        on_event: called with every Event; None for no events (which is faster).
        dirty: bool[block]; set when a block's pages changed hands; whoever draws may clear it.
    """

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
    ) -> None:
        if not isinstance(nodes, int) or not 1 <= nodes <= 64:
            raise BadRequest(f"{nodes} nodes: a machine has 1 to 64")
        sizes = [node_mib] * nodes if isinstance(node_mib, int) else list(node_mib)
        if len(sizes) != nodes:
            raise BadRequest(f"{len(sizes)} sizes for {nodes} nodes: give one number, or one for each node")
        for size in sizes:
            if not isinstance(size, int) or size < 2 * BLOCK_MIB or size % BLOCK_MIB:
                raise BadRequest(f"a node of {size} MiB: it must be a multiple of {BLOCK_MIB} MiB, at least {2 * BLOCK_MIB}")
        if profile not in ("2.6.20", "6.12"):
            raise BadRequest(f"profile {profile!r}: it can be '2.6.20' or '6.12'")
        if lru not in ("exact", "clock"):
            raise BadRequest(f"lru {lru!r}: it can be 'exact' or 'clock'")
        if swap_mib < 0:
            raise BadRequest(f"{swap_mib} MiB of swap: it cannot be negative")
        self.distances = check_distances(distances, nodes)
        self.profile: Profile = profile
        self.policy, self.rule, self.costs = policy or Corrected(), rule or FirstTouch(), costs or Costs()
        self.lru = ExactLRU() if lru == "exact" else TwoListClock()
        self.swap = Swap(pages_of_mib(swap_mib))
        self.on_event = on_event
        self.total_pages = sum(sizes) * MIB
        self.pages = Pages(self.total_pages)
        blocks = self.total_pages >> MAX_ORDER
        self.block_zone = np.zeros(blocks, np.uint16)
        self.node_of_block = np.zeros(blocks, np.uint8)
        self.dirty = np.ones(blocks, bool)
        self.nodes: list[Node] = []
        self._zones: list[Zone | None] = []
        start = 0
        for number, size in enumerate(sizes):
            own = np.arange(start, start + size // BLOCK_MIB)
            main = self._new_zone("Normal", number, "main", None, own)
            for block in reversed(own.tolist()):  # so that the lowest is the head of the list
                main.free_area.insert(block * BLOCK, MAX_ORDER)
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
        slab = Mapping(1, "slab", "dentries", 0)
        self.mappings: list[Mapping | None] = [None, slab]
        self._free_mappings: list[int] = []
        self._dentries = DentryCache(slab)
        self.interference: Counter[tuple[str, str]] = Counter()
        self.refaults: Counter[str] = Counter()
        self.oom_kills: Counter[str] = Counter()
        self.clock = self.evictions = self.writebacks = 0
        self.spent_ns = 0.0
        self.last_route: int | None = None
        self._next_event = 0
        self._next_pid = 1
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
    def containers(self) -> list[Container]:
        return [c for c in self.accounts[2:] if c is not None and c.alive]

    def zone_of(self, pfn: int) -> Zone:
        """The zone that a page lies in: one look into the block table (C16). O(1)."""
        zone = self._zones[self.block_zone[pfn >> MAX_ORDER]]
        assert zone is not None
        return zone

    def fallback(self, node: int) -> Zonelist:
        """The main zones, nearest to `node` first (``ZONELIST_FALLBACK``)."""
        return tuple(self.nodes[n].main for n in self._order[node])

    def zonelist(self, vma: VMA, write: bool = True) -> Zonelist:
        """The zonelist that a fault on this VMA would use for the page it ends up with (C3)."""
        self._living(vma, "VMA", vma.name)
        kind: Kind
        if vma.file is None:
            kind = "anon"
        elif write and not vma.shared:
            kind = "copy"
        else:
            kind = "shmem" if vma.file.kind == "shmem" else "cache"
        return self.policy.zonelist(self, vma.task, kind, vma, vma.file)

    def conserved(self) -> tuple[int, int, int]:
        """``(total, free, used)`` pages, counted apart: total = free + used whatever happens."""
        charged = sum(c.charged for c in self.accounts if c is not None)
        return self.total_pages, sum(zone.free_pages for zone in self.zones), charged

    def bill(self, rule: Rule | None = None) -> Bill:
        """Pages each account pays for, under the machine's charging rule or another one; adds up to the pages in use."""
        return (rule or self.rule).bill(self)

    def check(self) -> None:
        """Raise BrokenInvariant if anything is not as it must be. O(pages)."""
        check(self)

    def digest(self) -> str:
        """A hash of all state, order of free lists included: equal digests, equal machines. O(pages)."""
        return digest(self)

    # -- who

    def container(
        self,
        name: str,
        node: int = 0,
        private_mib: float = 32,
        borrow: Sequence[Zone] = (),
        at: int | None = None,
        contiguous: bool = True,
        lazy: bool = False,
    ) -> Container:
        """A new container, equipped by the policy: a private zone, fake nodes, or a limit of `private_mib` MiB.

        Args:
            private_mib: rounded up to whole blocks of 4 MiB where it becomes a zone (C18); 0 for a container without.
            borrow: zones that its zonelists end with (C6), in order.
            at: pfn where the zone shall start; the lowest place that fits by default.
            contiguous: whether the zone must be one stretch.
            lazy: make the zone on the first fault that needs it (C3).
        """
        self._new_name(name)
        self._node(node)
        pages = self._size(private_mib, "a private zone", zero=True)
        self._zones_given(borrow)
        container = Container(self._number(self.accounts, "containers"), name, node, borrow=tuple(borrow))
        if lazy:
            container.lazy = pages
        else:
            self.policy.equip(self, container, pages, at, contiguous)
        self.accounts.append(container)
        self.emit("account", name=name)
        return container

    def container_set(
        self, name: str, members: Sequence[Container], node: int | None = None, shared_mib: float = 16, contiguous: bool = True
    ) -> ContainerSet:
        """Containers that share data, with a shared zone of `shared_mib` MiB (0: none) on `node` (of the first member)."""
        self._new_name(name)
        if not members:
            raise BadRequest(f"set {name} has no members; give it at least one container")
        for member in members:
            self._living(member, "container", member.name)
            if member.set is not None:
                raise BadRequest(f"container {member.name} is in set {member.set.name} already; a container is in one set at most")
        node = members[0].node if node is None else node
        self._node(node)
        pages = self._size(shared_mib, "a shared zone", zero=True)
        group = ContainerSet(name, node, list(members))
        if pages and self.policy.blocks_for(members[0], BLOCK):  # a policy that has no zones needs none here
            group.shared = self._carve(f"{name}.shared", node, pages, "shared", group, None, contiguous)
        for member in members:
            member.set = group
        self.sets.append(group)
        self.emit("set", name=name, members=[member.name for member in members])
        return group

    def mount(self, name: str, node: int = 0, mib: float = 0) -> Mount:
        """A mounted file system, with a zone of `mib` MiB for its page cache (0: none; used by the *mount* key only)."""
        self._new_name(name)
        self._node(node)
        pages = self._size(mib, "a mount's zone", zero=True)
        mount = Mount(name, node)
        if pages:
            mount.zone = self._carve(f"{name}.mount", node, pages, "mount", mount, None, True)
        self.mounts.append(mount)
        self.emit("mount", name=name)
        return mount

    def task(self, container: Container | None = None, name: str | None = None, node: int | None = None) -> Task:
        """A new task in a container (None: root), running on `node` (the container's)."""
        container = container or self.root
        self._living(container, "container", container.name)
        node = container.node if node is None else node
        self._node(node)
        task = Task(self._next_pid, name or f"{container.name}.{self._next_pid}", container, node)
        self._next_pid += 1
        container.tasks.append(task)
        self.tasks.append(task)
        self.emit("task", task=task.name, container=container.name, node=node)
        return task

    def fork(self, task: Task, name: str | None = None) -> Task:
        """A child with a copy of the page tables: all pages are shared until one of the two writes (``copy_page_range()``)."""
        self._living(task, "task", task.name)
        child = Task(self._next_pid, name or f"{task.container.name}.{self._next_pid}", task.container, task.node)
        self._next_pid += 1
        for vma in task.vmas:
            twin = VMA(child, vma.name, vma.pages, vma.shared, vma.offset, vma.file, vma.anon, vma.table.copy())
            child.vmas.append(twin)
            for mapping in (vma.file, vma.anon):
                if mapping is not None:
                    mapping.vmas.append(twin)
        task.container.tasks.append(child)
        self.tasks.append(child)
        self.emit("fork", parent=task.name, task=child.name)
        return child

    def exit(self, who: Task | Container, merge: bool = True) -> int:
        """A task or a whole container ends; returns the pages freed.

        Private memory is freed. What others may use stays where it is: the page cache and named shared memory. When a
        container ends, its account is closed and such pages are charged to root from then on (*reparented*); its zones
        are orphans, and are merged into the main zone at once, or later with ``merge`` if `merge` is False (C15). The last
        member of a set takes the set's shared zone with it.
        """
        self._living(who, "task" if isinstance(who, Task) else "container", who.name)
        if who is self.root:
            raise BadRequest("root cannot exit: it is the account of everything outside of a container")
        before = self._free()
        if isinstance(who, Task):
            self._end(who)
            freed = self._free() - before
            self.emit("exit", name=who.name, freed=freed)
            return freed
        for task in list(who.tasks):
            self._end(task)
        freed = self._free() - before
        left = np.flatnonzero(self.pages.owner == who.id).astype(np.int64)
        self.recharge(left, self.root)
        self.emit("exit", name=who.name, freed=freed, left=len(left), heir=self.root.name)
        who.alive = False
        orphans = list(who.zones)
        if who.set is not None:
            who.set.members.remove(who)
            if not who.set.members:
                self.sets.remove(who.set)
                if who.set.shared is not None:
                    orphans.append(who.set.shared)
        who.zones = []
        for zone in orphans:
            zone.owner = None
            if merge:
                self._merge(zone)
        return freed

    # -- zones

    def carve(self, name: str, node: int, mib: float, at: int | None = None, contiguous: bool = True) -> Zone:
        """A software zone that belongs to nobody yet, out of wholly free blocks of the node's main zone (C16, C17, C18)."""
        self._new_name(name)
        self._node(node)
        return self._carve(name, node, self._size(mib, "a zone"), "spare", None, at, contiguous)

    def grow(self, zone: Zone, mib: float, contiguous: bool = False) -> None:
        """Add `mib` MiB, in whole blocks, to a software zone; with `contiguous` right behind its last block."""
        self._software(zone)
        count = -(-self._size(mib, "growth") // BLOCK)
        node = self.nodes[zone.node]
        at = (int(zone.blocks[-1]) + 1) * BLOCK if contiguous else None
        self._hand_over(node.main, zone, node.choose_blocks(count, at, contiguous=False))
        self._watermarks()
        self.emit("grow", zone=zone.name, blocks=count)

    def shrink(self, zone: Zone, mib: float) -> int:
        """Give `mib` MiB, in whole blocks, back to the main zone; returns the pages that had to move out of them first.

        The emptiest blocks go. Refused if what they hold does not fit in the rest of the zone, or cannot move.
        """
        self._software(zone)
        count = -(-self._size(mib, "a zone's shrinking") // BLOCK)
        if count >= len(zone.blocks):
            raise BadRequest(
                f"{zone.name} has {len(zone.blocks)} blocks of {BLOCK_MIB} MiB and must keep one; "
                f"give back at most {(len(zone.blocks) - 1) * BLOCK_MIB} MiB, or merge the zone"
            )
        pages = zone.blocks[:, None] * BLOCK + np.arange(BLOCK)
        used = (self.pages.owner[pages] > 0).sum(axis=1)
        stuck = ((self.pages.flags[pages] & (PINNED | KERNEL)) > 0).any(axis=1)
        order = np.lexsort((-zone.blocks, used, stuck))[:count]
        if stuck[order].any():
            raise BadRequest(
                f"{zone.name} cannot give {count} blocks: only {int((~stuck).sum())} of its {len(zone.blocks)} hold no pinned or "
                "kernel pages"
            )
        inside = int(used[order].sum())
        outside = zone.free_pages - int((BLOCK - used[order]).sum())
        if inside > outside:
            raise BadRequest(
                f"{zone.name} cannot give {count} blocks: they hold {inside:,} pages, and the rest of the zone has room for "
                f"{outside:,}; free {inside - outside:,} pages first, or give back less"
            )
        blocks = np.sort(zone.blocks[order])
        moved = migrate.evacuate(self, zone, blocks)
        main = self.nodes[zone.node].main
        for block in reversed(blocks.tolist()):
            main.free_area.insert(block * BLOCK, MAX_ORDER)
        self._rename_blocks(zone, main, blocks)
        self._watermarks()
        self.emit("shrink", zone=zone.name, blocks=count, moved=moved)
        return moved

    def merge(self, zone: Zone) -> None:
        """Merge an orphaned (or ownerless) software zone into its node's main zone (C15). O(free blocks)."""
        self._software(zone)
        if zone.owner is not None:
            raise BadRequest(f"{zone.name} belongs to {zone.owner.name}, which is alive; only an orphaned zone can be merged")
        self._merge(zone)

    # -- memory

    def file(self, name: str, pages: int | None = None, mib: float | None = None, mount: Mount | None = None, tmpfs: bool = False) -> Mapping:
        """A file of so many pages or MiB; none of it is in memory. `tmpfs`: it has no disk behind it, only swap."""
        if any(file.name == name for file in self.files):
            raise BadRequest(f"there is a file {name!r} already; choose another name, or unlink it first")
        count = self._pages(pages, mib, "a file")
        mapping = self._mapping("shmem" if tmpfs else "file", name, count)
        mapping.mount = mount
        self.files.append(mapping)
        self.emit("file", name=name, pages=count)
        return mapping

    def mmap(
        self,
        task: Task,
        pages: int | None = None,
        mib: float | None = None,
        file: Mapping | None = None,
        shared: bool = False,
        offset: int = 0,
        name: str | None = None,
    ) -> VMA:
        """Map a file, or anonymous memory; nothing is allocated (C2).

        Args:
            pages, mib: length; the rest of the file by default.
            shared: ``MAP_SHARED``; else ``MAP_PRIVATE``.
            offset: first page of the file.
        """
        self._living(task, "task", task.name)
        if file is not None:
            self._living(file, "file", file.name)
            if not 0 <= offset < file.pages:
                raise BadRequest(f"offset {offset} lies outside of {file.name}, which has pages 0 to {file.pages - 1}")
            if pages is None and mib is None:
                pages = file.pages - offset
        elif offset:
            raise BadRequest(f"offset {offset} without a file: anonymous memory has none")
        count = self._pages(pages, mib, "a mapping")
        if file is not None and offset + count > file.pages:
            raise BadRequest(
                f"{count} pages from offset {offset} reach beyond the end of {file.name} ({file.pages} pages); "
                f"map at most {file.pages - offset}"
            )
        label = name or (file.name if file is not None else f"anon{len(task.vmas)}")
        how = ("shared" if shared else "private") + (f", file {file.name}" if file is not None else ", anonymous")
        if shared and file is None:
            file = self._mapping("shmem", f"{task.name}:{label}", count)
            file.keep = False
        anon = None if shared else self._mapping("anon", f"{task.name}:{label}", count)
        vma = VMA(task, label, count, shared, offset, file, anon, np.full(count, ABSENT, np.int64))
        for mapping in (file, anon):
            if mapping is not None:
                mapping.vmas.append(vma)
        task.vmas.append(vma)
        self.emit("mmap", task=task.name, vma=label, pages=count, how=how)
        return vma

    def touch(self, vma: VMA, offset: int = 0, pages: int = 1, write: bool = True) -> fault.Touched:
        """Touch pages [offset, offset + pages) of a VMA, in rising order: a page fault for each that needs one.

        Raises:
            OutOfMemory: part of the way; the pages before it are there.
        """
        self._living(vma, "VMA", vma.name)
        self._range(offset, pages, vma.pages, f"{vma.name} of {vma.task.name}")
        return fault.touch(self, vma, offset, pages, write)

    def read(self, task: Task, file: Mapping, offset: int = 0, pages: int = 1) -> fault.Touched:
        """``read`` a file: pages of the page cache, without any VMA. May raise OutOfMemory like ``touch``."""
        return self._io(task, file, offset, pages, write=False)

    def write(self, task: Task, file: Mapping, offset: int = 0, pages: int = 1) -> fault.Touched:
        """``write`` a file: as ``read``, and the pages are dirty."""
        return self._io(task, file, offset, pages, write=True)

    def discard(self, vma: VMA, offset: int = 0, pages: int = 1) -> int:
        """Take pages out of the page table and free those that nobody else uses (``MADV_DONTNEED``); returns pages freed."""
        self._living(vma, "VMA", vma.name)
        self._range(offset, pages, vma.pages, f"{vma.name} of {vma.task.name}")
        return self._unmap(vma, offset, pages)

    def munmap(self, vma: VMA) -> int:
        """Give up a mapping; returns the pages freed. The page cache stays."""
        self._living(vma, "VMA", vma.name)
        return self._drop_vma(vma)

    def unlink(self, file: Mapping) -> int:
        """Delete a file that nobody maps, and its pages; returns the pages freed."""
        self._living(file, "file", file.name)
        if file.vmas:
            raise BadRequest(f"{file.name} is mapped by {', '.join(sorted({v.task.name for v in file.vmas}))}; unmap it first")
        self.files.remove(file)
        freed = self._drop_mapping(file)
        self.emit("unlink", mapping=file.name, freed=freed)
        return freed

    def pin(self, vma: VMA, offset: int = 0, pages: int = 1, pinned: bool = True) -> None:
        """Pin resident pages, as a device that reads them does (``pin_user_pages()``): neither reclaimed nor moved."""
        self._living(vma, "VMA", vma.name)
        self._range(offset, pages, vma.pages, f"{vma.name} of {vma.task.name}")
        pfns = vma.table[offset : offset + pages]
        if (pfns < 0).any():
            raise BadRequest(f"{int((pfns < 0).sum())} of {pages} pages of {vma.name} are not in memory; touch them before pinning")
        if pinned:
            self.pages.flags[pfns] |= PINNED
        else:
            self.pages.flags[pfns] &= ~np.uint8(PINNED)
        self.lru.forget()

    # -- nodes

    def plan_move(self, who: Container | Task, node: int) -> migrate.MovePlan:
        """What moving a container or a task to `node` would do; nothing is changed."""
        self._can_move(who, node)
        return migrate.plan_move(self, who, node)

    def moving(self, who: Container | Task, node: int, step: int = 1) -> Generator[migrate.Progress, None, migrate.MoveReport]:
        """Move a container or a task `step` pages at a time; close the generator to call the move off without loss."""
        self._can_move(who, node)
        if step < 1:
            raise BadRequest(f"a step of {step} pages: it must be at least 1")
        return migrate.moving(self, who, node, step)

    def move(self, who: Container | Task, node: int) -> migrate.MoveReport:
        """Move a container or a task with all its data to `node` (C19).

        Raises:
            BadRequest: no room there, or not in one stretch; nothing was changed.
        """
        steps = self.moving(who, node, step=self.total_pages)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                report: migrate.MoveReport = end.value
                return report

    # -- slab

    def dentries(self, task: Task, count: int) -> range:
        """`task` looks up `count` names: dentries are made for them; returns their ids."""
        self._living(task, "task", task.name)
        if count < 1:
            raise BadRequest(f"{count} dentries: it must be at least 1")
        return self._dentries.add(self, task, count)

    def lookup_dentries(self, ids: range | list[int]) -> None:
        """Names are looked up again: their dentries become the youngest."""
        self._dentries.use(ids)

    def shrink_dentries(self, zone: Zone, pages: int, reach: Reach = "global") -> Shrunk:
        """Throw away dentries, oldest first, until `pages` slab pages came back in `zone` or none are left within reach."""
        self._known(zone)
        if pages < 1:
            raise BadRequest(f"{pages} pages wanted from the shrinker: it must be at least 1")
        return self._dentries.shrink(self, zone, pages, reach)

    # -- used by the rooms below, not by notebooks

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

    def _carve(self, name: str, node: int, pages: int, role: Role, owner: Any, at: int | None, contiguous: bool) -> Zone:
        count = -(-pages // BLOCK)
        home = self.nodes[node]
        blocks = home.choose_blocks(count, at, contiguous)
        if count == len(home.main.blocks):
            raise BadRequest(f"{name} would take all {count} blocks of node {node}; the main zone must keep at least one")
        zone = self._new_zone(name, node, role, owner, np.empty(0, np.int64))
        self._hand_over(home.main, zone, blocks)
        home.zones.append(zone)
        self._watermarks()
        self.emit("carve", zone=name, source=home.main.name, node=node, blocks=count, pfn=int(blocks[0]) * BLOCK)
        return zone

    def _hand_over(self, source: Zone, target: Zone, blocks: np.ndarray) -> None:
        """Wholly free blocks change zones."""
        if len(blocks) >= len(source.blocks):
            raise BadRequest(f"zone {source.name} on node {source.node} must keep at least one block")
        for block in reversed(blocks.tolist()):
            source.free_area.claim(block * BLOCK, MAX_ORDER)
            target.free_area.insert(block * BLOCK, MAX_ORDER)
        self._rename_blocks(source, target, blocks)

    def _rename_blocks(self, source: Zone, target: Zone, blocks: np.ndarray) -> None:
        source.blocks = np.setdiff1d(source.blocks, blocks, assume_unique=True)
        target.blocks = np.union1d(target.blocks, blocks)
        self.block_zone[blocks] = target.id
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
        number = self._free_mappings.pop() if self._free_mappings else self._number(self.mappings, "mappings")
        mapping = Mapping(number, kind, name, pages)
        self.mappings[number : number + 1] = [mapping]
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

    def _io(self, task: Task, file: Mapping, offset: int, pages: int, write: bool) -> fault.Touched:
        self._living(task, "task", task.name)
        self._living(file, "file", file.name)
        self._range(offset, pages, file.pages, file.name)
        return fault.file_io(self, task, file, offset, pages, write)

    # -- refusals

    def _can_move(self, who: Container | Task, node: int) -> None:
        self._living(who, "task" if isinstance(who, Task) else "container", who.name)
        self._node(node)
        if who is self.root:
            raise BadRequest("root cannot be moved: it has no zone and no node of its own")
        if who.node == node:
            raise BadRequest(f"{who.name} is on node {node} already; choose another of the nodes 0 to {len(self.nodes) - 1}")

    def _node(self, node: int) -> None:
        if not isinstance(node, int | np.integer) or not 0 <= node < len(self.nodes):
            raise BadRequest(f"there is no node {node}; this machine has nodes 0 to {len(self.nodes) - 1}")

    def _living(self, thing: Any, what: str, name: str) -> None:
        known: bool = thing.alive
        if known and isinstance(thing, Container):
            known = thing.id < len(self.accounts) and self.accounts[thing.id] is thing
        elif known and isinstance(thing, Mapping):
            known = thing.id < len(self.mappings) and self.mappings[thing.id] is thing
        elif known:
            known = (thing.task if isinstance(thing, VMA) else thing) in self.tasks
        if not known:
            raise BadRequest(f"{what} {name} is gone, or belongs to another machine; make a new one")

    def _known(self, zone: Zone) -> None:
        if not (zone.id < len(self._zones) and self._zones[zone.id] is zone):
            raise BadRequest(f"zone {zone.name} is gone, or belongs to another machine; this one has {[z.name for z in self.zones]}")

    def _software(self, zone: Zone) -> None:
        self._known(zone)
        if zone.role == "main":
            raise BadRequest(f"{zone.name} is the main zone of node {zone.node}: software zones are cut from it, not the other way")

    def _zones_given(self, zones: Sequence[Zone]) -> None:
        for zone in zones:
            self._known(zone)

    def _new_name(self, name: str) -> None:
        if not name or not isinstance(name, str) or any(c.isspace() for c in name):
            raise BadRequest(f"{name!r} is no good as a name: it must have at least one character and no blanks")
        taken = {c.name for c in self.accounts if c is not None and c.alive} | {x.name for x in (*self.sets, *self.mounts)}
        taken |= {zone.name for zone in self.zones}
        if name in taken:
            raise BadRequest(f"the name {name!r} is taken; names here are {', '.join(sorted(taken))}")

    def _number(self, things: list[Any], what: str) -> int:
        if len(things) > MAX_IDS:
            raise BadRequest(f"{MAX_IDS:,} {what} in the life of a machine is the limit (their ids have 16 bits)")
        return len(things)

    def _size(self, mib: float, what: str, zero: bool = False) -> int:
        if not isinstance(mib, int | float | np.number) or not np.isfinite(mib) or mib < 0 or (mib == 0 and not zero):
            raise BadRequest(f"{what} of {mib} MiB: the size must be {'0 or more' if zero else 'more than 0'}, in MiB")
        return pages_of_mib(float(mib))

    def _pages(self, pages: int | None, mib: float | None, what: str) -> int:
        if (pages is None) == (mib is None):
            raise BadRequest(f"{what} needs a length: give pages or mib, one of the two")
        count = self._size(mib, what) if mib is not None else pages
        if not isinstance(count, int | np.integer) or not 1 <= count < 2**31:
            raise BadRequest(f"{what} of {count} pages: it must have at least 1 page, and less than {2**31:,}")
        return int(count)

    def _range(self, offset: int, pages: int, length: int, what: str) -> None:
        if pages < 1 or offset < 0 or offset + pages > length:
            raise BadRequest(f"pages {offset} to {offset + pages - 1} are not all inside {what}, which has pages 0 to {length - 1}")


