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

from collections.abc import Generator, Sequence

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine import fault, migrate, refuse
from zonelab.machine.charge import Bill, Rule
from zonelab.machine.check import check, digest
from zonelab.machine.container import Container, ContainerSet, Mount, Task
from zonelab.machine.memory import ABSENT, VMA, Mapping
from zonelab.machine.pages import BLOCK, BLOCK_MIB, KERNEL, MAX_ORDER, PINNED
from zonelab.machine.policy import Kind, Zonelist
from zonelab.machine.slab import Reach, Shrunk
from zonelab.machine.state import Costs, State
from zonelab.machine.zone import Zone


class Machine(State):
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
        fault_around: pages that a read fault on a file looks at for pages to map, a power of two; 1: its own only. Linux: 16.
        readahead: pages of a file that are read together when one of them is missing; 1: that one only. Linux: 32.

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
        kernel_blocks: first pfn → order of every block that ``alloc_pages`` gave out.
        dirty: bool[block]; set when a block's pages changed hands; whoever draws may clear it.
    """

    # -- look

    def zonelist(self, vma: VMA, write: bool = True) -> Zonelist:
        """The zonelist that a fault on this VMA would use for the page it ends up with (C3).

        Refused while the container's zone is yet to be made by its first fault: a look makes none.
        """
        refuse.living(self, vma, "VMA")
        kind: Kind
        if vma.file is None:
            kind = "anon"
        elif write and not vma.shared:
            kind = "copy"
        else:
            kind = "shmem" if vma.file.kind == "shmem" else "cache"
        self._looking = True
        try:
            return self.policy.zonelist(self, vma.task, kind, vma, vma.file)
        finally:
            self._looking = False

    def bill(self, rule: Rule | None = None) -> Bill:
        """Pages each account pays for, under the machine's charging rule or another one; adds up to the pages in use."""
        rule = self.rule if rule is None else rule
        refuse.rule(rule)
        return rule.bill(self)

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
            at: pfn where the zone shall start; the lowest place that fits by default, and always if it is lazy.
            contiguous: whether the zone must be one stretch.
            lazy: make the zone on the first fault that needs it (C3).
        """
        refuse.new_name(self, name, zone="private")
        node = refuse.known_node(self, node)
        pages = refuse.size(private_mib, "a private zone", zero=True)
        if lazy or not pages:
            refuse.no_place(at, "a lazy container's zone goes where there is room then" if lazy else "private_mib is 0")
        at = refuse.place(self, node, at)
        refuse.zones_given(self, borrow)
        container = Container(
            self._number(self.accounts, "containers in the life of a machine"), name, node, borrow=tuple(borrow)
        )
        if lazy:
            container.lazy = pages
        else:
            self.policy.equip(self, container, pages, at, contiguous)
        self.accounts.append(container)
        self.emit("account", name=name)
        return container

    def container_set(
        self,
        name: str,
        members: Sequence[Container],
        node: int | None = None,
        shared_mib: float = 16,
        contiguous: bool = True,
    ) -> ContainerSet:
        """Containers that share data, with a shared zone of `shared_mib` MiB (0: none) on `node` (of the first member)."""
        refuse.new_name(self, name, zone="shared")
        refuse.new_members(self, name, members)
        node = refuse.known_node(self, members[0].node if node is None else node)
        pages = refuse.size(shared_mib, "a shared zone", zero=True)
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
        refuse.new_name(self, name, zone="mount")
        node = refuse.known_node(self, node)
        pages = refuse.size(mib, "a mount's zone", zero=True)
        mount = Mount(name, node)
        if pages:
            mount.zone = self._carve(f"{name}.mount", node, pages, "mount", mount, None, True)
        self.mounts.append(mount)
        self.emit("mount", name=name)
        return mount

    def task(self, container: Container | None = None, name: str | None = None, node: int | None = None) -> Task:
        """A new task in a container (None: root), running on `node` (the container's)."""
        container = self.root if container is None else container
        refuse.living(self, container, "container")
        node = refuse.known_node(self, container.node if node is None else node)
        refuse.new_task_name(self, name)
        task = Task(self._next_pid, name or f"{container.name}.{self._next_pid}", container, node)
        self._next_pid += 1
        container.tasks.append(task)
        self.tasks.append(task)
        self.emit("task", task=task.name, container=container.name, node=node)
        return task

    def fork(self, task: Task, name: str | None = None) -> Task:
        """A child with a copy of the page tables: all pages are shared until one of the two writes (``copy_page_range()``)."""
        refuse.living(self, task, "task")
        refuse.new_task_name(self, name)
        child = Task(self._next_pid, name or f"{task.container.name}.{self._next_pid}", task.container, task.node)
        for vma in task.vmas:
            twin = VMA(child, vma.name, vma.pages, vma.shared, vma.offset, vma.file, vma.anon, vma.table.copy())
            child.vmas.append(twin)
        self._next_pid += 1  # from here on there is memory for the child
        for twin in child.vmas:
            for mapping in (twin.file, twin.anon):
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
        refuse.living(self, who, "task" if isinstance(who, Task) else "container")
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
        left = self.pages_of(who)
        self.recharge(left, self.root)
        self.emit("exit", name=who.name, freed=freed, left=len(left), heir=self.root.name)
        who.alive = False
        orphans = [*who.zones, *(who.trip.zones if who.trip else ())]
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
        refuse.new_name(self, name)
        node = refuse.known_node(self, node)
        pages = refuse.size(mib, "a zone")
        return self._carve(name, node, pages, "spare", None, refuse.place(self, node, at), contiguous)

    def grow(self, zone: Zone, mib: float, contiguous: bool = False) -> None:
        """Add `mib` MiB, in whole blocks, to a software zone; with `contiguous` right behind its last block."""
        refuse.software(self, zone)
        count = -(-refuse.size(mib, "growth") // BLOCK)
        node = self.nodes[zone.node]
        at = (int(zone.blocks[-1]) + 1) * BLOCK if contiguous else None
        self._hand_over(node.main, zone, node.choose_blocks(count, at, contiguous=False))
        self._watermarks()
        self.emit("grow", zone=zone.name, blocks=count)

    def shrink(self, zone: Zone, mib: float) -> int:
        """Give `mib` MiB, in whole blocks, back to the main zone; returns the pages that had to move out of them first.

        The emptiest blocks go. Refused if what they hold does not fit in the rest of the zone, or cannot move.
        """
        refuse.software(self, zone)
        count = -(-refuse.size(mib, "a zone's shrinking") // BLOCK)
        if count >= len(zone.blocks):
            most = (len(zone.blocks) - 1) * BLOCK_MIB
            raise BadRequest(
                f"{zone.name} has {len(zone.blocks)} blocks of {BLOCK_MIB} MiB and must keep one; "
                + (f"give back at most {most} MiB, or merge the zone" if most else "merge the zone instead")
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
        refuse.software(self, zone)
        if zone.owner is not None:
            raise BadRequest(
                f"{zone.name} belongs to {zone.owner.name}, which is alive; only an orphaned zone can be merged"
            )
        self._merge(zone)

    # -- memory

    def file(
        self,
        name: str,
        pages: int | None = None,
        mib: float | None = None,
        mount: Mount | None = None,
        tmpfs: bool = False,
    ) -> Mapping:
        """A file of so many pages or MiB; none of it is in memory. `tmpfs`: it has no disk behind it, only swap."""
        refuse.new_file_name(self, name)
        if mount is not None:
            refuse.living(self, mount, "mount")
        count = refuse.pages(pages, mib, "a file")
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
        refuse.living(self, task, "task")
        if file is not None:
            refuse.living(self, file, "file")
        offset = refuse.offset(offset, file)
        if file is not None and pages is None and mib is None:
            pages = file.pages - offset
        if name is not None:
            refuse.label(name, "VMA")
        count = refuse.pages(pages, mib, "a mapping")
        if file is not None and offset + count > file.pages:
            raise BadRequest(
                f"{count} pages from offset {offset} reach beyond the end of {file.name} ({file.pages} pages); "
                f"map at most {file.pages - offset}"
            )
        label = name or (file.name if file is not None else f"anon{len(task.vmas)}")
        how = ("shared" if shared else "private") + (f", file {file.name}" if file is not None else ", anonymous")
        table = np.full(count, ABSENT, np.int64)  # before anything is registered: there may be no memory for it
        if shared and file is None:
            file = self._mapping("shmem", f"{task.name}:{label}", count)
            file.keep = False
        anon = None if shared else self._mapping("anon", f"{task.name}:{label}", count)
        vma = VMA(task, label, count, shared, offset, file, anon, table)
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
        refuse.living(self, vma, "VMA")
        offset, pages = refuse.page_range(offset, pages, vma.pages, f"{vma.name} of {vma.task.name}")
        return fault.touch(self, vma, offset, pages, write)

    def read(self, task: Task, file: Mapping, offset: int = 0, pages: int = 1) -> fault.Touched:
        """``read`` a file: pages of the page cache, without any VMA. May raise OutOfMemory like ``touch``."""
        return self._io(task, file, offset, pages, write=False)

    def write(self, task: Task, file: Mapping, offset: int = 0, pages: int = 1) -> fault.Touched:
        """``write`` a file: as ``read``, and the pages are dirty."""
        return self._io(task, file, offset, pages, write=True)

    def discard(self, vma: VMA, offset: int = 0, pages: int = 1) -> int:
        """Take pages out of the page table and free those that nobody else uses (``MADV_DONTNEED``); returns pages freed."""
        refuse.living(self, vma, "VMA")
        offset, pages = refuse.page_range(offset, pages, vma.pages, f"{vma.name} of {vma.task.name}")
        freed = self._unmap(vma, offset, pages)
        self.emit("discard", task=vma.task.name, vma=vma.name, page=offset, pages=pages, freed=freed)
        return freed

    def munmap(self, vma: VMA) -> int:
        """Give up a mapping; returns the pages freed. The page cache stays."""
        refuse.living(self, vma, "VMA")
        return self._drop_vma(vma)

    def unlink(self, file: Mapping) -> int:
        """Delete a file that nobody maps, and its pages; returns the pages freed."""
        refuse.can_unlink(self, file)
        self.files.remove(file)
        freed = self._drop_mapping(file)
        self.emit("unlink", mapping=file.name, freed=freed)
        return freed

    def pin(self, vma: VMA, offset: int = 0, pages: int = 1, pinned: bool = True) -> None:
        """Pin resident pages, as a device that reads them does (``pin_user_pages()``): neither reclaimed nor moved."""
        refuse.living(self, vma, "VMA")
        offset, pages = refuse.page_range(offset, pages, vma.pages, f"{vma.name} of {vma.task.name}")
        pfns = vma.table[offset : offset + pages]
        if (pfns < 0).any():
            raise BadRequest(
                f"{int((pfns < 0).sum())} of {pages} pages of {vma.name} are not in memory; touch them before pinning"
            )
        if pinned:
            self.pages.flags[pfns] |= PINNED
        else:
            self.pages.flags[pfns] &= ~np.uint8(PINNED)
        self.lru.forget()
        self.emit("pin", vma=vma.name, page=offset, pages=pages, pinned=pinned)

    # -- nodes

    def plan_move(self, who: Container | Task, node: int) -> migrate.MovePlan:
        """What moving a container or a task to `node` would do; nothing is changed."""
        return migrate.plan_move(self, who, refuse.can_move(self, who, node))

    def moving(
        self, who: Container | Task, node: int, step: int = 1
    ) -> Generator[migrate.Progress, None, migrate.MoveReport]:
        """Move a container or a task `step` pages at a time; close the generator to call the move off without loss.

        One move of a container or of its tasks at a time. If what moves ends on the way, so does the move.
        """
        node = refuse.can_set_out(self, who, node)
        step = refuse.positive(step, "a step of {} pages")
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

    # -- the kernel's own memory

    def alloc_pages(self, task: Task, order: int = 0) -> int:
        """A block of 2**order pages for the kernel, on behalf of `task`: its first pfn. It can be neither moved nor reclaimed.

        The zonelist is that of a private page. Raises OutOfMemory when no zone has such a block, even if it has the pages:
        that is fragmentation.
        """
        refuse.living(self, task, "task")
        if not refuse.whole(order) or not 0 <= order <= MAX_ORDER:
            raise BadRequest(f"order {refuse.shown(order)}: it goes from 0 to {MAX_ORDER}, which is {BLOCK:,} pages")
        return fault.alloc_pages(self, task, int(order))

    def free_pages(self, pfn: int) -> int:
        """Free a block that ``alloc_pages`` gave; returns the order of the free block that it has become part of."""
        order = self.kernel_blocks.get(pfn) if refuse.whole(pfn) else None
        if order is None:
            have = ", ".join(f"{p:,} (order {o})" for p, o in sorted(self.kernel_blocks.items())[:5])
            raise BadRequest(f"no block of the kernel starts at pfn {refuse.shown(pfn)}; there are {have or 'none'}")
        pfn = int(pfn)
        del self.kernel_blocks[pfn]
        zone = self.zone_of(pfn)
        self._uncharge(np.arange(pfn, pfn + (1 << order)))
        self.pages.clear(slice(pfn, pfn + (1 << order)))
        self.dirty[pfn >> MAX_ORDER] = True
        end = zone.free_area.free(pfn, order)
        self.emit("free", zone=zone.name, pfn=pfn, order=order, end_order=end, end=pfn & ~((1 << end) - 1))
        return end

    def dentries(self, task: Task, count: int) -> range:
        """`task` looks up `count` names: dentries are made for them; returns their ids."""
        refuse.living(self, task, "task")
        return self._dentries.add(self, task, refuse.positive(count, "{} dentries"))

    def lookup_dentries(self, ids: range | list[int]) -> None:
        """Names are looked up again: their dentries become the youngest. Those thrown away meanwhile are passed over."""
        refuse.dentry_ids(ids)
        self._dentries.use(ids)

    def shrink_dentries(self, zone: Zone, pages: int, reach: Reach = "global") -> Shrunk:
        """Throw away dentries, oldest first, until `pages` slab pages came back in `zone` or none are left within reach."""
        refuse.known(self, zone)
        pages = refuse.positive(pages, "{} pages wanted from the shrinker")
        return self._dentries.shrink(self, zone, pages, reach)

    def _io(self, task: Task, file: Mapping, offset: int, pages: int, write: bool) -> fault.Touched:
        refuse.living(self, task, "task")
        refuse.living(self, file, "file")
        offset, pages = refuse.page_range(offset, pages, file.pages, file.name)
        return fault.file_io(self, task, file, offset, pages, write)


__all__ = ["Costs", "Machine"]
