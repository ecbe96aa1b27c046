"""Who memory is for: containers, sets of containers, mounts, tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zonelab.machine.memory import VMA
    from zonelab.machine.zone import Zone


@dataclass(eq=False, slots=True)
class Trip:
    """A move that is under way: where to, and the new zones there."""

    target: int
    zones: list[Zone]


@dataclass(eq=False, slots=True)
class Container:
    """A group of tasks, and an account that pages are charged to.

    Attributes:
        id: number of the account; what ``pages.owner`` stores.
        node: home node.
        zones: zones of its own: a private zone at home, more while tasks of it live elsewhere; or its fake nodes.
        borrow: zones it may borrow from, in order (the mail's *overcommit*; nothing to do with Linux's
            ``overcommit_memory``, which is about promises of virtual memory).
        limit: pages it may be charged for; None without limit (page ownership only).
        lazy: pages of a private zone that is made on first need; 0 when there is nothing to make.
        charged: pages charged now.
        trip: the move of it, or of one of its tasks, that is under way; None while there is none.
    """

    id: int
    name: str
    node: int
    set: ContainerSet | None = None
    zones: list[Zone] = field(default_factory=list)
    borrow: tuple[Zone, ...] = ()
    limit: int | None = None
    lazy: int = 0
    charged: int = 0
    alive: bool = True
    tasks: list[Task] = field(default_factory=list)
    trip: Trip | None = None

    @property
    def private(self) -> Zone | None:
        """Its (first) zone on its home node; None when it has none (yet)."""
        return self.zone_on(self.node)

    def zone_on(self, node: int) -> Zone | None:
        """Its (first) zone on that node."""
        return next((zone for zone in self.zones if zone.node == node), None)

    def __repr__(self) -> str:
        return f"<container {self.name}: {self.charged} pages charged>"


@dataclass(eq=False, slots=True)
class ContainerSet:
    """Containers that share data, and the zone that it goes to."""

    name: str
    node: int
    members: list[Container]
    shared: Zone | None = None

    def __repr__(self) -> str:
        return f"<set {self.name} {{{', '.join(c.name for c in self.members)}}}>"


@dataclass(eq=False, slots=True)
class Mount:
    """A mounted file system; under the *by mount* reading its page cache has a zone of its own."""

    name: str
    node: int
    zone: Zone | None = None

    def __repr__(self) -> str:
        return f"<mount {self.name}>"


@dataclass(eq=False, slots=True)
class Task:
    """A process: where it runs, and what it has mapped.

    Attributes:
        node: the node of the cpu it runs on.
        local, remote: touches of pages on its own node, and on other nodes.
        access_ns: what those touches cost by the machine's cost model, in nanoseconds.
    """

    pid: int
    name: str
    container: Container
    node: int
    vmas: list[VMA] = field(default_factory=list)
    alive: bool = True
    local: int = 0
    remote: int = 0
    access_ns: float = 0.0

    def __repr__(self) -> str:
        return f"<task {self.name} ({self.pid}) in {self.container.name} on node {self.node}>"
