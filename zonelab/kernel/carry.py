"""Carry a recording's script out on a simulated machine, and compare what comes of each line.

Each line becomes the same operation in zonelab. Nothing that the recording says about outcomes is used for that; only where the
numbers differ are the explanations looked for in it (``evidence``). Workers have no memory here but what the script maps.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from zonelab.errors import BadFormat, BadRequest, OutOfMemory
from zonelab.kernel import numa_maps
from zonelab.kernel.beginning import READAHEAD, Beginning
from zonelab.kernel.evidence import MISSES, REFAULTS, Evidence, numa_stat, stat
from zonelab.kernel.judge import Cause, Row
from zonelab.kernel.reasons import Reasons, Worker, negative
from zonelab.kernel.script import Step
from zonelab.machine import BLOCK, PAGE
from zonelab.machine.fault import Touched
from zonelab.machine.linux import migrate_nodes, truncate
from zonelab.machine.memory import ABSENT, VMA, Mapping

TMPFS = "/tmpfs/"
IGNORED = ("sleep", "nop")


class Unknown(Exception):
    """A line that zonelab does not carry out; its text says why."""


Action = Callable[..., Iterator[Row]]


def called(action: Action, step: Step, *given: Any) -> Iterator[Row]:
    """Carry a line out, if it has the words that it needs."""
    try:
        inspect.signature(action).bind(step, *given)
    except TypeError:
        raise Unknown(f"{step.text[:60]!r} has not the words that it needs") from None
    return action(step, *given)


class Carrier(Reasons):
    """Carries out one script.

    Args:
        name: of the experiment; start: the machine as it was; steps: the script; evidence: for differences.
    """

    def __init__(self, name: str, start: Beginning, steps: list[Step], evidence: Evidence) -> None:
        super().__init__(name, start, evidence)
        self.steps = steps
        self.files: dict[str, Mapping] = {}

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
                step, "groups below it, and removed ones that live on", numbers, self.groups.descendants(folder)
            )
        elif name != "memory.stat":
            raise Unknown(f"{path}: a file that zonelab does not know")

    # -- lines for a worker

    def _w_map(self, step: Step, worker: Worker, number: str, pages: str, what: str, how: str) -> Iterator[Row]:
        file = None
        if what != "anon":
            if what not in self.files:
                self.files[what] = self.machine.file(what, self._length(what))
            file = self.files[what]
        vma = self.machine.mmap(worker.task, int(pages), file=file, shared=how == "shared")
        worker.vmas[int(number)] = vma
        if "vpn" in step.result:
            vma.start = step.result["vpn"]
            worker.places[int(number)] = step.result["vpn"], step.result["vpn"] + int(pages)
        yield from ()

    def _w_write(self, step: Step, worker: Worker, number: str, first: str, count: str) -> Iterator[Row]:
        yield from self._touch(step, worker, number, int(first), int(count), True)

    def _w_read(self, step: Step, worker: Worker, number: str, first: str, count: str) -> Iterator[Row]:
        yield from self._touch(step, worker, number, int(first), int(count), False)

    def _w_writeperm(self, step: Step, worker: Worker, number: str, seed: str) -> Iterator[Row]:
        """In a random order in the recording; the pages are the same, so ours are touched in rising order."""
        yield from self._touch(step, worker, number, 0, self._vma(worker, number).pages, True)

    def _w_fill(self, step: Step, worker: Worker, number: str, node: str, leave: str) -> Iterator[Row]:
        vma, done = self._vma(worker, number), 0
        while done < vma.pages and sum(zone.free_pages for zone in self.machine.nodes[int(node)].zones) >= int(leave):
            count = min(64, vma.pages - done)
            self.machine.touch(vma, done, count)
            done += count
        yield self._row(
            step,
            "pages written until the node was so full",
            (step.result.get("rc", -1),),
            (done,),
            lambda at, apart: [Cause("looked at every 64 pages", -64, 64), *self._node_causes(int(node), back=True)],
        )

    def _w_unmap(self, step: Step, worker: Worker, number: str, first: str, count: str) -> Iterator[Row]:
        vma = self._vma(worker, number)
        if int(count) == vma.pages:
            self.machine.munmap(vma)
            del worker.vmas[int(number)]
        else:
            self.machine.discard(vma, int(first), int(count))
        yield from ()

    def _w_punch(self, step: Step, worker: Worker, number: str, every: str, first: str) -> Iterator[Row]:
        vma = self._vma(worker, number)
        for page in range(int(first), vma.pages, int(every)):
            self.machine.discard(vma, page)
        yield from ()

    def _w_ring(self, step: Step, worker: Worker, order: str, count: str) -> Iterator[Row]:
        """Blocks of that order for the kernel (the buffers of a packet socket)."""
        yield from self._blocks(step, worker, f"ring {order}", int(order), int(count))

    def _w_unring(self, step: Step, worker: Worker, order: str) -> Iterator[Row]:
        self._give_back(worker, f"ring {order}")
        yield from ()

    def _w_pipe(self, step: Step, worker: Worker, pages: str) -> Iterator[Row]:
        yield from self._blocks(step, worker, "pipe", 0, int(pages))

    def _w_unpipe(self, step: Step, worker: Worker) -> Iterator[Row]:
        self._give_back(worker, "pipe")
        yield from ()

    def _blocks(self, step: Step, worker: Worker, name: str, order: int, count: int) -> Iterator[Row]:
        got = worker.blocks.setdefault(name, [])
        try:
            for _ in range(count):
                got.append(self.machine.alloc_pages(worker.task, order))
        except OutOfMemory:
            pass
        yield self._row(step, f"blocks of order {order}", (max(0, step.result.get("rc", -1)),), (len(got),))

    def _give_back(self, worker: Worker, name: str) -> None:
        for pfn in worker.blocks.pop(name, []):
            self.machine.free_pages(pfn)

    def _w_madvise(self, step: Step, worker: Worker, number: str, advice: str) -> Iterator[Row]:
        vma = self._vma(worker, number)
        if advice == "hugepage":
            worker.huge.add(int(number))
            raise Unknown("zonelab has no huge pages")
        if advice != "dontneed":
            raise Unknown(f"madvise {advice}")
        self.machine.discard(vma, 0, vma.pages)
        yield from ()

    def _w_policy(self, step: Step, worker: Worker, text: str) -> Iterator[Row]:
        mode, _, nodes = text.partition(":")
        policy, task, m = self.start.policy, worker.task, self.machine
        if mode == "default":
            policy.local(m, task)
        elif mode == "prefer":
            policy.prefer(m, task, int(nodes))
        elif mode == "bind":
            policy.bind(m, task, self._online(nodes))
        elif mode == "interleave":
            policy.interleave(m, task, self._online(nodes))
        else:
            raise Unknown(f"memory policy {mode}")
        yield from ()

    def _w_cpu(self, step: Step, worker: Worker, cpu: str) -> Iterator[Row]:
        worker.cpu = int(cpu)
        worker.task.node = self.start.wiring.node_of(worker.cpu)
        yield from ()

    def _w_exit(self, step: Step, worker: Worker) -> Iterator[Row]:
        self._end(worker)
        yield from ()

    def _touch(self, step: Step, worker: Worker, number: str, first: int, count: int, write: bool) -> Iterator[Row]:
        vma = self._vma(worker, number)
        self.touched = self.at
        refaults = self.machine.refaults[worker.task.container.name]
        done, killed, touched = count, 0, Touched()
        resident = int((vma.table != ABSENT).sum())
        try:
            touched = self.machine.touch(vma, first, count, write)
        except OutOfMemory:
            killed, done = 1, int((vma.table != ABSENT).sum()) - resident
        self._look_for_full_nodes()
        theirs = step.ended is not None and step.ended.how == "signal"
        if step.ended is not None or killed:
            progress = step.ended.progress if step.ended is not None else step.result.get("rc", count)
            yield self._row(step, "killed by the OOM killer", (int(theirs),), (killed,))
            yield self._row(
                step, "pages touched by then", (progress,), (done,), lambda at, apart: self._kill_causes(worker, vma)
            )
            self._end(worker)
            return
        back = lost = 0
        limited = self._limited(vma)
        if limited is not None:
            ours = self.machine.refaults[worker.task.container.name] - refaults
            back = self.evidence.grown(limited, self.at, REFAULTS) - ours
            lost = self.evidence.grown(limited, self.at, MISSES) - touched.new if vma.file is not None else 0
        stray = self.evidence.stray_faults(self.at, worker.pid, list(worker.places.values()))
        self.own[worker.group] += stray
        if int(number) in worker.huge:
            raise Unknown("the kernel may have taken huge pages for this mapping; zonelab has none")
        kernel = step.result.get("minflt", 0) + step.result.get("majflt", 0)
        yield self._row(
            step,
            "page faults",
            (kernel,),
            (touched.faults,),
            lambda at, apart: [
                Cause("faults on the worker's own program, counted in the trace", stray, stray),
                Cause(
                    "reclaim took more or fewer pages that came back (refaults, memory.stat)",
                    min(0, back),
                    max(0, back),
                ),
                Cause(
                    "pages that were read ahead were lost, so it began anew (pgmajfault, memory.stat), and each of its marks may "
                    "cost a fault",
                    0,
                    (lost + -(-count // READAHEAD)) * (lost > 0),
                ),
            ],
        )

    # -- small things

    def _online(self, text: str) -> list[int]:
        """The nodes of a policy's mask; Linux passes over those that are not there."""
        return [node for node in mask(text) if node < len(self.machine.nodes)]

    def _worker(self, name: str) -> Worker:
        if name not in self.workers:
            raise Unknown(f"worker {name} is gone")
        return self.workers[name]

    def _vma(self, worker: Worker, number: str) -> VMA:
        if not number.isdigit() or int(number) not in worker.vmas:
            raise Unknown(f"worker {worker.name} has no mapping {number}")
        return worker.vmas[int(number)]

    def _length(self, path: str) -> int:
        """Pages of a file that was there before the script: as many as it ever maps."""
        words = [step.words for step in self.steps]
        return max(int(w[3]) for w in words if len(w) == 6 and w[1] == "map" and w[4] == path)

    def _end(self, worker: Worker) -> None:
        for name in list(worker.blocks):
            self._give_back(worker, name)
        self.machine.exit(worker.task)
        for group in self.groups.sets.values():
            if worker.task in group.tasks:
                group.tasks.remove(worker.task)
        del self.workers[worker.name]


def mask(text: str) -> list[int]:
    """The nodes of a bit mask, decimal or hexadecimal."""
    try:
        bits = int(text, 0)
    except ValueError:
        raise Unknown(f"{text!r} is no mask of nodes") from None
    return [node for node in range(bits.bit_length()) if bits >> node & 1]
