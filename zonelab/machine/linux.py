"""What a Linux of today does about nodes: memory policies, cpusets, low zones, and the moves that follow from them.

A task has a *memory policy* (``set_mempolicy``) and lies in a *cpuset*, which says from which nodes it may take memory at all.
Charging is another matter: a container is a memory cgroup here, with a limit and a counter (see ``PageOwnership``).

==================================== ==============================================================================
``Linux``                            the policy: ``confine`` a task to nodes, ``prefer`` one, ``bind``, ``interleave``
``low_zone``                         a DMA zone: the first blocks of a node, kept for those who need them
``migrate_nodes``                    move a task's pages from nodes to nodes (``migrate_pages(2)``, ``memory_migrate``)
``attach``                           put a task into another container; charges stay where they are
``truncate``                         cut a file, and free what is behind its new end
==================================== ==============================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine import migrate, refuse
from zonelab.machine.container import Container, Task
from zonelab.machine.memory import ABSENT, SWAP, VMA, Mapping
from zonelab.machine.pages import BLOCK, PINNED, Pfns, Run, expand
from zonelab.machine.policy import Kind, PageOwnership, Zonelist
from zonelab.machine.zone import Zone

if TYPE_CHECKING:
    from zonelab.machine.state import State

Mode = Literal["local", "prefer", "bind", "interleave"]


class Linux(PageOwnership):
    """Memory policies and cpusets. Without either a page comes from the node of the task's cpu, else from the nearest.

    Simplified: one policy a task, none for single VMAs (``mbind``); when a cpuset changes, a policy's nodes are not renumbered:
    those that are not allowed any more are left out, and all allowed ones are used if none is left.
    """

    name = "Linux"

    def __init__(self) -> None:
        super().__init__()
        self._allowed: dict[int, tuple[int, ...]] = {}
        self._modes: dict[int, tuple[Mode, tuple[int, ...]]] = {}

    # -- what a task asks for, and what it may have

    def confine(self, machine: State, task: Task, nodes: Iterable[int]) -> None:
        """Put a task into a cpuset with these nodes (``cpuset.mems``). What it has already stays where it is (C12)."""
        self._allowed[task.pid] = self._nodes(machine, task, nodes)

    def local(self, machine: State, task: Task) -> None:
        """Memory of the node that the task runs on (``MPOL_DEFAULT``, ``MPOL_LOCAL``)."""
        refuse.living(machine, task, "task")
        self._modes.pop(task.pid, None)

    def prefer(self, machine: State, task: Task, node: int) -> None:
        """That node first, then those nearest to it (``MPOL_PREFERRED``)."""
        self._modes[task.pid] = ("prefer", self._nodes(machine, task, [node]))

    def bind(self, machine: State, task: Task, nodes: Iterable[int]) -> None:
        """Those nodes and no other, nearest first (``MPOL_BIND``)."""
        self._modes[task.pid] = ("bind", self._nodes(machine, task, nodes))

    def interleave(self, machine: State, task: Task, nodes: Iterable[int]) -> None:
        """The nodes in turn, by the page's offset in its mapping (``MPOL_INTERLEAVE``, ``offset_il_node()``)."""
        self._modes[task.pid] = ("interleave", self._nodes(machine, task, nodes))

    def allowed(self, machine: State, task: Task) -> tuple[int, ...]:
        """The nodes of the task's cpuset; all of them without one."""
        return self._allowed.get(task.pid) or tuple(range(len(machine.nodes)))

    def _nodes(self, machine: State, task: Task, nodes: Iterable[int]) -> tuple[int, ...]:
        refuse.living(machine, task, "task")
        chosen = tuple(sorted({refuse.known_node(machine, node) for node in nodes}))
        if not chosen:
            raise BadRequest(f"no nodes for {task.name}: a policy or cpuset needs at least one")
        return chosen

    # -- what follows

    def zonelist(self, machine: State, task: Task, kind: Kind, vma: VMA | None, file: Mapping | None) -> Zonelist:
        may = self.allowed(machine, task)
        mode, nodes = self._modes.get(task.pid, ("local", ()))
        nodes = tuple(node for node in nodes if node in may) or may
        first = task.node
        if mode == "prefer":
            first = nodes[0]
        elif mode == "interleave":
            place = machine.index + (vma.start if vma is not None and file is None else 0)
            first = nodes[place % 2**32 % len(nodes)]  # offset_il_node() keeps 32 bits of it
        order = machine.fallback(first)
        within = nodes if mode == "bind" else may
        return tuple(zone for main in order if main.node in within for zone in zones_of(machine, main.node))

    def stretch(self, machine: State, task: Task, want: int) -> int:
        return 1 if self._modes.get(task.pid, ("local", ()))[0] == "interleave" else want


def zones_of(machine: State, node: int) -> list[Zone]:
    """The zones of a node that belong to nobody in particular, highest first: its main zone, then its low zones."""
    return [zone for zone in machine.nodes[node].zones if zone.role == "main"]


def low_zone(machine: State, node: int, name: str, blocks: int, reserve: int = 0) -> Zone:
    """Make the first `blocks` blocks of a node's main zone a zone of its own, which comes last in every zonelist.

    Linux has such zones for devices that cannot reach all of memory: *DMA*, the first 16 MiB, and *DMA32*, up to 4 GiB. Make
    the higher one first.

    Args:
        reserve: pages that it keeps, above each of its marks, from those who could have had a higher zone.

    Raises:
        BadRequest: these blocks are not all free, or the main zone would have none left.
    """
    node = refuse.known_node(machine, node)
    home = machine.nodes[node].main
    at = int(home.blocks[0]) * BLOCK
    zone = machine._carve(name, node, blocks * BLOCK, "main", None, at, True)
    zone.reserve = reserve
    return zone


def remap(node: int, source: Sequence[int], target: Sequence[int]) -> int:
    """The node of `target` at the place that `node` has in `source` (``node_remap()``); itself if it is in neither."""
    return target[source.index(node) % len(target)] if node in source else node


def migrate_nodes(machine: State, task: Task, source: Iterable[int], target: Iterable[int]) -> tuple[int, int]:
    """Move what a task has mapped on `source` nodes to `target` nodes; returns pages that moved, and that had to stay.

    ``do_migrate_pages()`` with ``MPOL_MF_MOVE_ALL``, as cpusets and root do it: pages that others map as well go along, and
    nobody's charge changes. A page takes its place among the source nodes over to the target nodes. The target is
    filled down to its min watermark, deeper than a first touch would; what does not fit stays. Page tables do not move.

    Raises:
        BadRequest: a node that is not there.
    """
    refuse.living(machine, task, "task")
    old = sorted({refuse.known_node(machine, node) for node in source})
    new = sorted({refuse.known_node(machine, node) for node in target})
    if not old or not new:
        raise BadRequest(f"moving {task.name} from nodes {old} to {new}: both must name at least one")
    pairs = {s: remap(s, old, new) for s in old if len(old) == len(new) or s not in new}
    pairs = {s: d for s, d in pairs.items() if s != d}
    moved = stayed = 0
    while pairs:  # a node whose target is no source any more goes first, so that nothing moves twice
        start = next((s for s, d in pairs.items() if d not in pairs), next(iter(pairs)))
        end = pairs.pop(start)
        pfns = _mapped_on(machine, task, start)
        room = expand(_take(machine, end, len(pfns)))
        if len(room):
            migrate.migrate_pages(machine, pfns[: len(room)], room)
            machine.emit(
                "moved",
                None,
                pages=len(room),
                source=f"node {start}",
                target=f"node {end}",
                done=len(room),
                total=len(pfns),
            )
        moved += len(room)
        stayed += len(pfns) - len(room)
    return moved, stayed


def _mapped_on(machine: State, task: Task, node: int) -> Pfns:
    """A task's pages on a node by rising address: mmap gives addresses from the top, so the last VMA comes first."""
    tables = [vma.table[vma.table >= 0] for vma in reversed(task.vmas)]
    pfns = np.concatenate(tables) if tables else np.empty(0, np.int64)
    pfns = pfns[machine.node_of_block[pfns // BLOCK] == node]
    pfns = pfns[machine.pages.flags[pfns] & PINNED == 0]
    once: Pfns = pfns[np.sort(np.unique(pfns, return_index=True)[1])]
    return once


def _take(machine: State, node: int, want: int) -> list[Run]:
    """Up to `want` pages of one node and no other (``__GFP_THISNODE``): down to the low marks, then to the min marks."""
    runs: list[Run] = []
    for mark in ("low", "min"):
        for zone in zones_of(machine, node):
            count = min(want, zone.free_pages - getattr(zone, mark) - zone.reserve)
            if count > 0:
                runs += zone.free_area.take(count)
                want -= count
    return runs


def attach(machine: State, task: Task, container: Container) -> None:
    """Put a task into another container. What it has so far stays charged to the old one, as in cgroup v2."""
    refuse.living(machine, task, "task")
    refuse.living(machine, container, "container")
    old = task.container
    old.tasks.remove(task)
    container.tasks.append(task)
    task.container = container
    machine.emit("attach", task=task.name, container=container.name, left=old.name)


def truncate(machine: State, file: Mapping, pages: int) -> int:
    """Cut a file to `pages` pages, 0 for all of it; returns pages freed (``truncate_pagecache()``).

    What is behind the new end leaves every page table, private copies included.

    Raises:
        BadRequest: the file is shorter than that already.
    """
    refuse.living(machine, file, "file")
    if not refuse.whole(pages) or not 0 <= pages <= file.pages:
        raise BadRequest(f"cut {file.name} to {refuse.shown(pages)} pages: it has {file.pages}, so from 0 to that")
    freed = 0
    for vma in file.vmas:
        first = max(0, pages - vma.offset)
        if first < vma.pages:
            freed += machine._unmap(vma, first, vma.pages - first)
    tail = file.cache[pages:]
    for slot in tail[tail <= SWAP].tolist():
        machine._release_slot(SWAP - slot)
    gone = tail[tail >= 0].copy()
    tail[:] = ABSENT
    file.shadow[pages:] = 0
    machine.release(gone)
    freed += len(gone)
    machine.emit("truncate", mapping=file.name, pages=pages, freed=freed)
    return freed


__all__ = ["Linux", "attach", "low_zone", "migrate_nodes", "remap", "truncate", "zones_of"]
