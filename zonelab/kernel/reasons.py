"""Why the kernel's numbers may differ from ours: for each measurement what the model leaves out, and how much that may come to.

The amounts are counted in the recording (``evidence``) or follow from what the script has done so far.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from zonelab.kernel.beginning import Beginning
from zonelab.kernel.evidence import Evidence
from zonelab.kernel.groups import Groups
from zonelab.kernel.judge import Cause, Causes, Numbers, Row, judge
from zonelab.kernel.recording import Span
from zonelab.kernel.script import Step
from zonelab.machine import BLOCK, PAGE
from zonelab.machine.container import Task
from zonelab.machine.fault import CLUSTER
from zonelab.machine.linux import zones_of
from zonelab.machine.memory import ABSENT, SWAP, VMA, ZERO

TABLE = 512
"""Pages that one page table maps."""
UPPER = 3
"""Levels of page tables above that; each may need a page more for a mapping."""
STOCK = 64
"""Pages that a cpu charges to a group in advance (``MEMCG_CHARGE_BATCH``)."""


@dataclass
class Worker:
    """A worker of the script: its task, its mappings by number, and where they lay in the real one's address space."""

    name: str
    pid: int
    cpu: int
    task: Task
    group: str
    vmas: dict[int, VMA] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    blocks: dict[str, list[int]] = field(default_factory=dict)
    huge: set[int] = field(default_factory=set)

    def tables(self) -> int:
        """Page-table pages of the lowest level that the touched pages of its mappings need."""
        used = set()
        for number, vma in self.vmas.items():
            first = self.places.get(number, (number << 40, 0))[0]
            used |= set(((first + np.flatnonzero(vma.table != ABSENT)) // TABLE).tolist())
        return len(used)


class Reasons:
    """Where a script stands, and what explains a difference there.

    Attributes:
        machine, groups, workers: the simulated machine, its control groups, and the living workers by name.
        pids: of all workers, dead ones too.
        full: nodes that ran down to their low marks at some time.
        blocks, own: group → pages for blocks of a file system, and faults of workers on their own programs, so far.
        at: the line that is carried out; touched: the last one that touched or moved memory.
    """

    def __init__(self, name: str, start: Beginning, evidence: Evidence) -> None:
        self.name, self.start, self.evidence = name, start, evidence
        self.machine = start.machine
        self.groups = Groups(self.machine, start.policy, start.wiring.cpus)
        self.workers: dict[str, Worker] = {}
        self.pids: set[int] = set()
        self.full: set[int] = set()
        self.blocks: Counter[str] = Counter()
        self.own: Counter[str] = Counter()
        self.at = self.touched = 0

    def _row(self, step: Step, what: str, kernel: Numbers, zonelab: Numbers, causes: Causes | None = None) -> Row:
        return judge(self.name, step.text, what, kernel, zonelab, causes)

    def _node_causes(self, node: int, back: bool = False) -> list[Cause]:
        """Why a node that ran down to its marks gave some pages more or fewer than ours; `back`: why it has more or fewer left."""
        tables = sum(worker.tables() for worker in self.workers.values())
        listed, batch = self.evidence.listed(node), self.evidence.batch(node)
        taken, given = self.evidence.strangers(self.at, self.pids)
        boost = self.evidence.boost(node, self.at)
        causes = [
            Cause("page tables come from the same node", -tables - UPPER, 0),
            Cause("per-cpu lists held pages that were not in the buddy lists, or were filled", -batch, listed),
            Cause("watermarks were raised meanwhile (boost)", -boost, 0),
            Cause("other processes, counted in the trace", -taken[node], given[node]),
            Cause("reclaim took pages of others (pgsteal in vmstat)", 0, self.evidence.stolen(self.at)),
        ]
        return [Cause(why, -high, -low) for why, low, high in causes] + causes if back else causes

    def _spill_causes(self, vma: VMA | None) -> Causes:
        def causes(at: int, apart: Numbers) -> list[Cause]:
            nodes = len(self.machine.nodes)
            limited = self._limited(vma) if vma is not None else None
            if limited is not None and vma is not None:
                found = self._limit_causes(limited, mapped=vma.file is not None)
                gone = nodes if vma.anon is None or vma.file is not None else nodes + 1  # to its file, or to swap
                return negative(found) if at == gone else found if at < nodes and self.where(vma)[at] else []
            if at >= nodes and vma is not None:
                return []
            found = self._node_causes(at) if at in self.full else []
            if self.full and vma is not None:  # what one node gave more, another did not have to
                rest = -sum(difference for node, difference in enumerate(apart) if node != at and node in self.full)
                found.append(Cause("what a full node gave more or less", min(rest, 0), max(rest, 0)))
            failed = self.evidence.failed_moves(self.at)
            found.append(Cause("pages that the kernel failed to move (mm_migrate_pages)", -failed, failed))
            return found

        return causes

    def _left_causes(self, span: Span) -> Causes:
        """Why a zone that ran down to its mark has some pages more or fewer left than the mark says."""

        def causes(at: int, apart: Numbers) -> list[Cause]:
            batch = max((cpu.batch for cpu in self.start.info[span].pagesets), default=0)
            drift = sum(cpu.threshold for cpu in self.start.info[span].pagesets)
            taken, given = self.evidence.strangers(self.at, self.pids, since=self.touched)
            return [
                Cause("per-cpu lists are filled a batch at a time, past the mark", -batch, 0),
                Cause("the count that is held against the mark may be off by the cpus' thresholds", -drift, drift),
                Cause("watermarks were raised meanwhile (boost)", 0, self.evidence.boost(span.node, self.at)),
                Cause("other processes since then, counted in the trace", -taken[span.node], given[span.node]),
            ]

        return causes

    def _kill_causes(self, worker: Worker, vma: VMA) -> list[Cause]:
        limited = self._limited(vma)
        if limited is not None:
            return self._limit_causes(limited, tables=worker.tables())
        return [cause for node in sorted(self.full) for cause in self._node_causes(node)]

    def _limited(self, vma: VMA) -> str | None:
        """The path of the memory group that has a limit and pays for this mapping."""
        for path, container in self.groups.containers.items():
            if container is vma.task.container and container.limit is not None:
                return path
        return None

    def _limit_causes(self, path: str, tables: int = 0, mapped: bool = False) -> list[Cause]:
        """A group at its limit: what else than the script's pages is charged to it; `mapped`: only mapped pages are counted."""
        found = self.evidence.stat(path, self.at)
        kernel = found.get("kernel", 0) // PAGE
        listed = found.get("inactive_anon", 0) + found.get("active_anon", 0)
        unmapped = max(0, found.get("file", 0) - found.get("file_mapped", 0)) // PAGE if mapped else 0
        cached = max(0, listed - found.get("anon", 0) - found.get("shmem", 0)) // PAGE
        return [
            Cause("page tables of the mapping are charged, too", -tables - UPPER * (tables > 0), 0),
            Cause("other memory of the kernel, in memory.stat", -kernel, 0),
            Cause("pages in the swap cache are charged, but no longer mapped (memory.stat)", -cached, 0),
            Cause("pages that were read ahead, or lost their mapping, are charged, too (memory.stat)", -unmapped, 0),
            Cause("reclaim goes by clusters", -CLUSTER, CLUSTER),
            Cause("charged in advance, up to 63 pages a cpu", -STOCK + 1, 0),
        ]

    def _charge_causes(self, path: str) -> list[Cause]:
        found = self.evidence.stat(path, self.at)
        kernel = found.get("kernel", 0) // PAGE
        limited = self.groups.containers[path].limit is not None
        return [
            Cause("memory of the kernel, in memory.stat", kernel, kernel),
            Cause("charged in advance, up to 63 pages a cpu", 0, (STOCK - 1) * self.evidence.cpus),
            Cause("the worker's own program", 0, self._under(self.own, path)),
            Cause("blocks of the file system, counted in the trace", 0, self._under(self.blocks, path)),
            *(self._limit_causes(path) if limited else []),
        ]

    def _dying_causes(self, path: str) -> Causes:
        """Why the kernel still knows a removed group that has no page any more; the second of the two numbers."""

        def causes(at: int, apart: Numbers) -> list[Cause]:
            found = self.evidence.stat(path, self.at)
            pages = found.get("file", 0) + found.get("anon", 0)
            removed = sum(where.startswith(path + "/") for where, _ in self.groups.removed)
            held = removed if at and found.get("slab", 0) and not pages else 0
            return [Cause("removed groups live on for slab objects, too (slab, memory.stat)", 0, held)]

        return causes

    def _stat_causes(self, path: str, what: str, ours: Numbers) -> Causes:
        def causes(at: int, apart: Numbers) -> list[Cause]:
            found = []
            if what == "anon":
                found.append(Cause("the worker's own program", 0, self._under(self.own, path)))
            if what == "file":
                found.append(
                    Cause("blocks of the file system, counted in the trace", 0, self._under(self.blocks, path))
                )
            if self.groups.containers[path].limit is not None and ours[at]:
                found += self._limit_causes(path, mapped=what == "file_mapped")
            return found

        return causes

    def where(self, vma: VMA) -> Numbers:
        """Pages of a mapping on each node, nowhere, and in swap. The zero page lies on node 0, with the kernel."""
        table = vma.table
        nodes = np.bincount(self.machine.node_of_block[table[table >= 0] // BLOCK], minlength=len(self.machine.nodes))
        nodes[0] += int((table == ZERO).sum())
        return (*nodes.tolist(), int((table == ABSENT).sum()), int((table <= SWAP).sum()))

    @staticmethod
    def _under(counter: Counter[str], path: str) -> int:
        """What was counted for a group and all groups below it."""
        return sum(count for where, count in counter.items() if where == path or where.startswith(path + "/"))

    def _look_for_full_nodes(self) -> None:
        for node in range(len(self.machine.nodes)):
            if all(zone.room == 0 for zone in zones_of(self.machine, node)):
                self.full.add(node)


def negative(causes: list[Cause]) -> list[Cause]:
    """The same causes of what is counted the other way round."""
    return [Cause(why, -high, -low) for why, low, high in causes]
