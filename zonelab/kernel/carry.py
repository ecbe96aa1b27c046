"""Carry a recording's script out on a simulated machine, and compare what comes of each line.

Each line becomes the same operation in zonelab. Nothing that the recording says about outcomes is used for that; only where the
numbers differ are the explanations looked for in it (``evidence``). Workers have no memory here but what the script maps.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from zonelab.errors import BadFormat, BadRequest
from zonelab.kernel import numa_maps
from zonelab.kernel.evidence import numa_stat, stat
from zonelab.kernel.judge import Row
from zonelab.kernel.reasons import Worker, negative
from zonelab.kernel.script import Step
from zonelab.kernel.tasks import Tasks, Unknown, mask
from zonelab.machine import BLOCK, PAGE
from zonelab.machine.linux import migrate_nodes, truncate

TMPFS = "/tmpfs/"
"""Where the recorder mounts a tmpfs."""
IGNORED = ("sleep", "nop")
"""Words of lines that do nothing to memory."""


Action = Callable[..., Iterator[Row]]


def called(action: Action, step: Step, *given: Any) -> Iterator[Row]:
    """Carry a line out, if it has the words that it needs."""
    try:
        inspect.signature(action).bind(step, *given)
    except TypeError:
        raise Unknown(f"{step.text[:60]!r} has not the words that it needs") from None
    return action(step, *given)


class Carrier(Tasks):
    """Carries out one script.

    Args:
        name: of the experiment; start: the machine as it was; steps: the script; evidence: for differences.
    """

    def rows(self) -> Iterator[Row]:
        """One or more rows for every line that can be compared."""
        for at, step in enumerate(self.steps):
            self.at = at
            refused = step.result.get("rc", 0) < 0
            try:
                yield from self._do(step)
            except BadFormat:
                raise
            except (Unknown, ValueError) as problem:
                if refused and isinstance(problem, BadRequest):
                    yield self._row(step, "refused", (1,), (1,))
                else:
                    yield Row(self.name, step.text, "this line", (), (), "not modelled", str(problem))
            else:
                if refused:
                    yield self._row(step, "refused", (1,), (0,))
            self._look_for_full_nodes()

    # -- lines

    def _do(self, step: Step) -> Iterator[Row]:
        words = step.words
        worker = self.workers.get(words[0])
        if worker is None or len(words) < 2:
            if words[0] not in IGNORED:
                gone = len(words) > 1 and hasattr(self, f"_w_{words[1]}")
                action = self._action(f"_c_{words[0]}", f"worker {words[0]} is gone" if gone else words[0])
                yield from called(action, step, *words[1:])
        elif words[1] not in IGNORED:
            pid, group = worker.pid, worker.group
            yield from called(self._action(f"_w_{words[1]}", f"{words[1]} by a worker"), step, worker, *words[2:])
            self.blocks[group] += self.evidence.block_pages(self.at, pid)

    def _action(self, name: str, what: str) -> Action:
        action: Action | None = getattr(self, name, None)
        if action is None:
            raise Unknown(what if what.endswith(" is gone") else f"{what}: zonelab has no such operation")
        return action

    def _c_mkdir(self, step: Step, path: str) -> Iterator[Row]:
        self.groups.make(path)
        yield from ()

    def _c_rmdir(self, step: Step, path: str) -> Iterator[Row]:
        self.groups.remove(path)
        yield from ()

    def _c_put(self, step: Step, path: str, *value: str) -> Iterator[Row]:
        self.groups.put(path, " ".join(value))
        yield from ()

    def _c_attach(self, step: Step, name: str, path: str) -> Iterator[Row]:
        worker = self._worker(name)
        self.touched = self.at
        self.groups.enter(worker.task, path)
        if path in self.groups.containers:
            worker.group = path
        yield from ()

    def _c_migrate(self, step: Step, name: str, source: str, target: str) -> Iterator[Row]:
        _, stayed = migrate_nodes(self.machine, self._worker(name).task, mask(source), mask(target))
        yield self._row(
            step, "pages that could not move", (step.result.get("rc", -1),), (stayed,), self._spill_causes(None)
        )

    def _c_spawn(self, step: Step, name: str, *options: str) -> Iterator[Row]:
        given = dict(option.split("=", 1) for option in options)
        cpu = int(given.get("cpu", "0"))
        group = given.get("mg", "/cg")
        if group not in self.groups.containers:
            raise Unknown(f"there is no group {group}")
        task = self.machine.task(self.groups.containers[group], f"{name}.{self.at}", self.start.wiring.node_of(cpu))
        worker = Worker(name, step.result.get("pid", 0), cpu, task, group)
        self.workers[name] = worker
        self.pids.add(worker.pid)
        if "cs" in given:
            self.groups.enter(task, given["cs"])
        yield from ()

    def _c_truncate(self, step: Step, path: str, pages: str) -> Iterator[Row]:
        file = self.files.get(path)
        if file is None:
            self.files[path] = self.machine.file(path, int(pages), tmpfs=path.startswith(TMPFS))
        elif int(pages) <= file.pages:
            truncate(self.machine, file, int(pages))
        else:
            raise Unknown(f"{path} has {file.pages} pages; zonelab lets no file grow")
        yield from ()

    def _c_unlink(self, step: Step, path: str) -> Iterator[Row]:
        if path not in self.files:
            raise Unknown(f"{path} was not made by the script")
        self.machine.unlink(self.files.pop(path))
        yield from ()

    def _c_snap(self, step: Step, label: str, *more: str) -> Iterator[Row]:
        if step.snapshot is None:
            return
        snapshot = self.evidence.recording.snapshots[step.snapshot]
        counted = {(zone.node, zone.zone): zone for zone in snapshot.zoneinfo}
        for span, zone in self.start.zones.items():
            if zone.room == 0 and (span.node, span.zone) in counted:
                kernel = counted[span.node, span.zone].free
                yield self._row(
                    step, f"free pages that {span} keeps", (kernel,), (zone.free_pages,), self._left_causes(span)
                )

    def _c_locate(self, step: Step, name: str, number: str) -> Iterator[Row]:
        if not step.nodes:
            if name in self.workers:
                raise Unknown(f"the kernel had ended worker {name} by now")
            return
        worker = self._worker(name)
        vma = self._vma(worker, number)
        if len(step.nodes) != len(self.machine.nodes) + 2:
            raise Unknown(f"{len(step.nodes) - 2} nodes are counted, and the machine has {len(self.machine.nodes)}")
        causes = self._spill_causes(vma)
        yield self._row(step, "pages on each node, nowhere, in swap", step.nodes, self.where(vma), causes)

    def _c_numamaps(self, step: Step, name: str) -> Iterator[Row]:
        worker = self._worker(name)
        try:
            maps = {one.start: one for one in numa_maps.parse(step.read or "")}
        except BadFormat as error:
            raise Unknown(f"its numa_maps cannot be read: {error}") from None
        for number, (first, _) in worker.places.items():
            one, vma = maps.get(first * PAGE), worker.vmas.get(number)
            if one is None or vma is None:
                continue
            pfns = vma.table[vma.table >= 0]
            mine = int((self.machine.pages.mapping[pfns] == vma.anon.id).sum()) if vma.anon is not None else 0
            nodes = np.bincount(self.machine.node_of_block[pfns // BLOCK], minlength=len(self.machine.nodes)).tolist()
            kernel = (*(one.nodes.get(node, 0) for node in range(len(nodes))), one.counts.get("anon", 0))
            causes = self._spill_causes(vma)
            yield self._row(
                step, f"mapping {number}: pages on each node, private pages", kernel, (*nodes, mine), causes
            )

    def _c_cat(self, step: Step, path: str) -> Iterator[Row]:
        folder, _, name = path.rpartition("/")
        if step.read is None:
            return
        if folder not in self.groups.containers:
            raise Unknown(f"{path}: not a file of a memory group")
        if name == "memory.current":
            kernel, ours = int(step.read) // PAGE, self.groups.current(folder)
            yield self._row(
                step, "pages charged in all", (kernel,), (ours,), lambda at, apart: self._charge_causes(folder)
            )
        elif name == "memory.numa_stat":
            theirs = numa_stat(step.read)
            for what, counts in self.groups.charged(folder).items():
                numbers = tuple(number // PAGE for number in theirs.get(what, (0,) * len(counts)))
                yield self._row(
                    step,
                    f"{what} pages charged, on each node",
                    numbers,
                    counts,
                    self._stat_causes(folder, what, counts),
                )
        elif name == "memory.swap.current":
            pair = (int(step.read) // PAGE,), (self.groups.swapped(folder),)
            yield self._row(step, "pages in swap", *pair, lambda at, apart: negative(self._limit_causes(folder)))
        elif name == "memory.events":
            kills = sum(self.machine.oom_kills[one.name] for one in self.groups.under(folder))
            yield self._row(step, "OOM kills", (stat(step.read).get("oom_kill", 0),), (kills,))
        elif name == "cgroup.stat":
            theirs_stat = stat(step.read)
            numbers = theirs_stat.get("nr_descendants", 0), theirs_stat.get("nr_dying_descendants", 0)
            yield self._row(
                step,
                "groups below it, and removed ones that live on",
                numbers,
                self.groups.descendants(folder),
                self._dying_causes(folder),
            )
        elif name != "memory.stat":
            raise Unknown(f"{path}: a file that zonelab does not know")

    # -- small things

    def _worker(self, name: str) -> Worker:
        if name not in self.workers:
            raise Unknown(f"worker {name} is gone")
        return self.workers[name]
