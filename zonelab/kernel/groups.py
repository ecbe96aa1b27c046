"""The control groups that a script makes: cpusets (cgroup v1) and memory groups (cgroup v2), by their paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from zonelab.errors import BadFormat, BadRequest
from zonelab.kernel.judge import Numbers
from zonelab.kernel.numactl import node_ids
from zonelab.machine import BLOCK, PAGE, Linux, Machine, refuse
from zonelab.machine.container import Container, Task
from zonelab.machine.linux import attach, migrate_nodes
from zonelab.machine.memory import by_mapping, mapcount

CPUSETS, MEMORY = "/cs", "/cg"
"""Where the recorder mounts the two."""
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass
class Cpuset:
    """The nodes that its tasks may use, and whether their pages follow when those change (``cpuset.memory_migrate``)."""

    nodes: tuple[int, ...]
    cpus: tuple[int, ...] = ()
    migrate: bool = False
    tasks: list[Task] = field(default_factory=list)


class Groups:
    """All control groups of one script, carried out on a machine.

    Attributes:
        sets: path → cpuset; `containers`: path → memory group, as a container without a zone.
        removed: memory groups that are gone but for what they are charged (``dying``), with their old paths.
    """

    def __init__(self, machine: Machine, policy: Linux, cpus: Iterable[Iterable[int]]) -> None:
        self.machine, self.policy = machine, policy
        everything = tuple(range(len(machine.nodes)))
        every_cpu = tuple(sorted({cpu for own in cpus for cpu in own}))
        self.sets: dict[str, Cpuset] = {CPUSETS: Cpuset(everything, every_cpu)}
        self.containers: dict[str, Container] = {MEMORY: machine.root}
        self.removed: list[tuple[str, Container]] = []
        self.base = machine.root.charged

    def make(self, path: str) -> None:
        """``mkdir``."""
        if path.startswith(CPUSETS + "/"):
            self.sets[path] = Cpuset(())
        elif path.startswith(MEMORY + "/"):
            name = path if not any(path == old for old, _ in self.removed) else f"{path}#{len(self.removed) + 1}"
            self.containers[path] = self.machine.container(name, private_mib=0)
        else:
            raise BadRequest(f"mkdir {path}: no cgroup")

    def remove(self, path: str) -> None:
        """``rmdir``. A memory group stays in the dark as long as pages are charged to it (Linux 6.1 reparents none of them)."""
        if path in self.sets:
            del self.sets[path]
        elif path in self.containers and path != MEMORY:
            self.removed.append((path, self.containers.pop(path)))
        else:
            raise BadRequest(f"rmdir {path}: there is no such group")

    def put(self, path: str, value: str) -> int:
        """Write a group's file; returns pages that had to stay, where that moves pages."""
        folder, _, name = path.rpartition("/")
        if name == "cgroup.subtree_control":
            return 0
        if folder in self.sets and name in ("cpuset.mems", "cpuset.cpus"):
            try:
                listed = tuple(node_ids(value, 1))
            except BadFormat as error:
                raise BadRequest(f"{path}: {error}") from None
            if name == "cpuset.mems":
                return self._change(self.sets[folder], listed)
            if not set(listed) <= set(self.sets[CPUSETS].cpus):
                raise BadRequest(f"{path}: cpus {value} are not all there")
            self.sets[folder].cpus = listed
            return 0
        if folder in self.sets and name == "cpuset.memory_migrate":
            self.sets[folder].migrate = value.strip() == "1"
            return 0
        if folder in self.containers and name == "memory.max":
            self.containers[folder].limit = limit(value)
            return 0
        raise BadRequest(f"put {path}: a file that zonelab does not know")

    def enter(self, task: Task, path: str) -> int:
        """Put a task into a group; returns pages that had to stay, where that moves pages (``cpuset_attach()``)."""
        if path in self.containers:
            attach(self.machine, task, self.containers[path])
            return 0
        if path not in self.sets:
            raise BadRequest(f"attach to {path}: there is no such group")
        new = self.sets[path]
        if not new.cpus or not new.nodes:
            raise BadRequest(f"attach to {path}: it has no cpus or no nodes yet")
        old = next((other for other in self.sets.values() if task in other.tasks), self.sets[CPUSETS])
        if task in old.tasks:
            old.tasks.remove(task)
        new.tasks.append(task)
        self.policy.confine(self.machine, task, new.nodes)
        if new.migrate and old.nodes != new.nodes:
            return migrate_nodes(self.machine, task, old.nodes, new.nodes)[1]
        return 0

    def _change(self, group: Cpuset, nodes: tuple[int, ...]) -> int:
        for node in nodes:
            refuse.known_node(self.machine, node)
        old, group.nodes = group.nodes, nodes
        stayed = 0
        for task in group.tasks:
            self.policy.confine(self.machine, task, nodes)
            if group.migrate and old:
                stayed += migrate_nodes(self.machine, task, old, nodes)[1]
        return stayed

    # -- what a group shows

    def under(self, path: str) -> list[Container]:
        """A memory group and all groups below it, removed ones too."""
        every = [*self.containers.items(), *self.removed]
        return [one for where, one in every if one is self.containers.get(path) or where.startswith(path + "/")]

    def current(self, path: str) -> int:
        """``memory.current``, in pages."""
        return sum(one.charged for one in self.under(path)) - (self.base if path == MEMORY else 0)

    def charged(self, path: str) -> dict[str, Numbers]:
        """``memory.numa_stat``: *anon*, *file*, *shmem* and *file_mapped* pages on each node. O(pages)."""
        m = self.machine
        pages = np.flatnonzero(np.isin(m.pages.owner, [one.id for one in self.under(path)])).astype(np.int64)
        out = {name: np.zeros(len(m.nodes), np.int64) for name in ("anon", "file", "shmem", "file_mapped")}
        for mapping, where, _ in by_mapping(m.pages, m.mappings, pages):
            pfns = pages[where]
            nodes = np.bincount(m.node_of_block[pfns // BLOCK], minlength=len(m.nodes))
            if mapping.kind == "anon":
                out["anon"] += nodes
            elif mapping.kind in ("file", "shmem"):
                out["file"] += nodes
                if mapping.kind == "shmem":
                    out["shmem"] += nodes
                mapped = pfns[mapcount(m.mappings, m.pages, pfns) > 0]
                out["file_mapped"] += np.bincount(m.node_of_block[mapped // BLOCK], minlength=len(m.nodes))
        return {name: tuple(counts.tolist()) for name, counts in out.items()}

    def swapped(self, path: str) -> int:
        """``memory.swap.current``, in pages."""
        ids = {one.id for one in self.under(path)}
        return sum(owner in ids for owner in self.machine.swap.slots.values())

    def descendants(self, path: str) -> tuple[int, int]:
        """``cgroup.stat``: groups below this one, and those that were removed but are still charged for something."""
        living = sum(where.startswith(path + "/") for where in self.containers)
        dying = sum(where.startswith(path + "/") and one.charged > 0 for where, one in self.removed)
        return living, dying


def limit(value: str) -> int | None:
    """``memory.max``: bytes, or with a unit, or *max*; in pages."""
    value = value.strip()
    if value == "max":
        return None
    unit = UNITS.get(value[-1:].upper(), 1)
    digits = value[:-1] if unit > 1 else value
    if not digits.isdigit():
        raise BadRequest(f"memory.max {value!r}: bytes, or a number with K, M or G, or max")
    return int(digits) * unit // PAGE
