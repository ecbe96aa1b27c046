"""Policies: who chooses the zonelist of an allocation, and what a new container is given.

The only place where designs differ. A policy answers two questions: ``equip``, what does a container of so many pages
get; and ``zonelist``, from which zones, in which order, may this page come. Subclass one to try another; ten lines do.

======================  ==============================================================================================
``AsQuoted``            the sentence as it stands in our copy of the mail: private mappings go to the shared zone too
``Literal``             the mapping's flag decides: shared mapping → shared zone, private mapping → private zone
``Corrected``           the kind of page decides: what others may come to use → shared zone, the rest → private zone
``ByMount``             as Corrected, but page cache goes to the zone of the mount that the file is on
``FakeNuma``            no software zones: fixed-size fake nodes, handed to containers as their cpuset
``Linux``               (in ``linux``) as PageOwnership, with memory policies and cpusets of tasks
``PageOwnership``       no zones at all: a limit and a counter per container, reclaim from the owner's own pages
======================  ==============================================================================================
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from typing import Literal as OneOf

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine import refuse
from zonelab.machine.pages import BLOCK, BLOCK_MIB, MIB

if TYPE_CHECKING:
    from zonelab.machine.container import Container, Task
    from zonelab.machine.memory import VMA, Mapping
    from zonelab.machine.state import State
    from zonelab.machine.zone import Zone

Kind = OneOf["anon", "copy", "cache", "shmem", "slab"]
"""What a page is wanted for: private anonymous memory; a private copy of a file or forked page; page cache; shmem; slab."""
Zonelist = tuple["Zone", ...]


class Policy:
    """The base: every page may come from any main zone, nearest node first, as on a machine without containers.

    Attributes:
        name: as shown to people.
        reclaim_first: when a container's own zone is down to its low mark, reclaim there before borrowing. The mail does
            not say; Linux spills to other zones before it reclaims, so False is the default.
    """

    name = "no containers"

    def __init__(self, reclaim_first: bool = False) -> None:
        self.reclaim_first = reclaim_first

    def equip(self, machine: State, container: Container, pages: int, at: int | None, contiguous: bool) -> None:
        """Give a new container of `pages` pages what this policy gives; `at` a pfn to carve from, if the caller cares."""

    def zonelist(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zonelist:
        """The zones that this page may come from, in the order in which they are tried."""
        return machine.fallback(task.node)

    def stretch(self, machine: State, task: Task, want: int) -> int:
        """How many of `want` pages with rising offsets the zonelist just given holds for; at least 1."""
        return want

    def new_home(self, machine: State, container: Container, node: int, pages: int) -> list[Zone]:
        """Zones on `node` for a container of `pages` pages that moves there; none if the policy has no zones of its own."""
        return []

    def blocks_for(self, container: Container, pages: int) -> int:
        """How many MAX_ORDER blocks ``new_home`` will carve."""
        return 0


class SoftwareZones(Policy):
    """Zones of one's own. Base of the four readings, which differ in ``pick`` alone."""

    def equip(self, machine: State, container: Container, pages: int, at: int | None, contiguous: bool) -> None:
        if pages:
            container.zones.append(
                machine._carve(f"{container.name}.private", container.node, pages, "private", container, at, contiguous)
            )

    def new_home(self, machine: State, container: Container, node: int, pages: int) -> list[Zone]:
        name = f"{container.name}.private"
        taken = {zone.name for zone in machine.zones}
        if name in taken:
            names = (f"{name}@{node}" + (f".{n}" if n else "") for n in itertools.count())
            name = next(one for one in names if one not in taken)
        return [machine._carve(name, node, pages, "private", container, None, True)]

    def blocks_for(self, container: Container, pages: int) -> int:
        return -(-pages // BLOCK)

    def zonelist(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zonelist:
        zone = self.pick(machine, task, kind, vma, file)
        if zone is None:
            return machine.fallback(task.node)
        return (zone, *(other for other in task.container.borrow if other is not zone))

    def pick(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zone | None:
        """The one zone that this page should come from; None for a task without any."""
        raise NotImplementedError

    def private(self, machine: State, task: Task) -> Zone | None:
        """The private zone: the one on the task's node if there is one, else the one at home, made now if it was to be
        made on first need (C3)."""
        own = task.container
        if own.lazy and not own.zones:
            if machine._looking:
                raise BadRequest(
                    f"{own.name} has no zone yet: it is made at the first fault that needs it; touch a page first"
                )
            pages, own.lazy = own.lazy, 0
            try:
                self.equip(machine, own, pages, None, True)
            except BadRequest:
                own.lazy = pages
                raise
        return own.zone_on(task.node) or own.private

    def shared(self, machine: State, task: Task) -> Zone | None:
        """The shared zone of the set; a container without one has to take its private zone (C9)."""
        group = task.container.set
        return group.shared if group and group.shared else self.private(machine, task)


class AsQuoted(SoftwareZones):
    """C5 as quoted: shared mappings to the shared zone, private mappings to the shared zone."""

    name = "as quoted"

    def pick(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zone | None:
        return self.shared(machine, task)


class Literal(SoftwareZones):
    """The mapping's flag decides. The rule knows nothing of pages without a mapping (``read``); we count those private."""

    name = "literal"

    def pick(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zone | None:
        return self.shared(machine, task) if vma is not None and vma.shared else self.private(machine, task)


class Corrected(SoftwareZones):
    """The kind of page decides: page cache and shmem can be used by others, so they are shared, whoever maps them how.

    Args:
        cache_key: whose zone page cache goes to (C13): that of the *set*, of the faulting *container*, or of the *mount*.
    """

    name = "corrected"

    def __init__(self, reclaim_first: bool = False, cache_key: OneOf["set", "container", "mount"] = "set") -> None:
        super().__init__(reclaim_first)
        if cache_key not in ("set", "container", "mount"):
            raise BadRequest(f"cache_key is {cache_key!r}; it can be 'set', 'container' or 'mount'")
        self.cache_key = cache_key

    def pick(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zone | None:
        if kind in ("anon", "copy", "slab"):
            return self.private(machine, task)
        if kind == "cache" and self.cache_key == "container":
            return self.private(machine, task)
        if kind == "cache" and self.cache_key == "mount" and file and file.mount and file.mount.zone:
            return file.mount.zone
        return self.shared(machine, task)


class ByMount(Corrected):
    """Page cache by mount; a file on a mount without a zone is treated as in Corrected."""

    name = "by mount"

    def __init__(self, reclaim_first: bool = False) -> None:
        super().__init__(reclaim_first, cache_key="mount")


class FakeNuma(Policy):
    """``numa=fake=`` and cpusets: equal pieces of each node, given to containers; what Google ran in 2007.

    Simplified: Linux cuts all of memory at boot; we cut a piece off when it is given to a container, and leave the rest
    in the main zone. A piece is aligned to blocks, not to its own size.

    Args:
        fake_mib: size of a fake node; Linux 6.12 takes no less than 32 MiB, we take whole blocks.
    """

    name = "fake NUMA"

    def __init__(self, fake_mib: int = 32, reclaim_first: bool = False) -> None:
        super().__init__(reclaim_first)
        if not refuse.whole(fake_mib) or fake_mib <= 0 or fake_mib % BLOCK_MIB:
            raise BadRequest(
                f"a fake node of {refuse.shown(fake_mib)} MiB: its size must be a positive multiple of {BLOCK_MIB} MiB, one block"
            )
        self.fake_pages = int(fake_mib) * MIB

    def _fakes(self, machine: State, container: Container, node: int, pages: int) -> list[Zone]:
        count = -(-pages // self.fake_pages)
        room = self._room(machine, node)
        if count > room:
            raise BadRequest(
                f"{container.name} needs {count} fake nodes of {self.fake_pages // MIB} MiB; node {node} has room for {room}"
            )
        names = (f"{container.name}.fake{number}" for number in itertools.count())
        taken = {zone.name for zone in machine.zones}
        free = (name for name in names if name not in taken)
        return [machine._carve(next(free), node, self.fake_pages, "fake", container, None, True) for _ in range(count)]

    def _room(self, machine: State, node: int) -> int:
        """How many fake nodes can still be cut, so that a request that would fail half way is refused before."""
        free = machine.nodes[node].free_blocks()
        size = self.fake_pages // BLOCK
        stretches = np.split(free, np.flatnonzero(np.diff(free) > 1) + 1)
        room = sum(len(stretch) // size for stretch in stretches)
        keeps_one = room * size == len(machine.nodes[node].main.blocks)  # the main zone has to keep a block
        return room - keeps_one

    def equip(self, machine: State, container: Container, pages: int, at: int | None, contiguous: bool) -> None:
        container.zones.extend(self._fakes(machine, container, container.node, pages))

    def new_home(self, machine: State, container: Container, node: int, pages: int) -> list[Zone]:
        return self._fakes(machine, container, node, pages)

    def blocks_for(self, container: Container, pages: int) -> int:
        return -(-pages // self.fake_pages) * (self.fake_pages // BLOCK)

    def zonelist(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zonelist:
        own = task.container
        if not own.zones:
            return machine.fallback(task.node)
        near = sorted(own.zones, key=lambda zone: machine.distances[task.node][zone.node])
        return (*near, *(zone for zone in own.borrow if zone not in near))


class PageOwnership(Policy):
    """Static page ownership, what became memcg: pages lie where the nodes' order says; who touched first pays, up to a limit.

    Placement and accounting are two things here: the zonelist is that of the machine, the limit is the container's.
    """

    name = "page ownership"

    def equip(self, machine: State, container: Container, pages: int, at: int | None, contiguous: bool) -> None:
        container.limit = pages or None
