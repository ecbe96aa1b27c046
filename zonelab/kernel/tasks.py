"""Lines of a script that a worker carries out: mappings, touches, policies, blocks for the kernel."""

from __future__ import annotations

from collections.abc import Iterator

from zonelab.errors import OutOfMemory
from zonelab.kernel.beginning import READAHEAD, Beginning
from zonelab.kernel.evidence import MISSES, REFAULTS, Evidence
from zonelab.kernel.judge import Cause, Row
from zonelab.kernel.reasons import Reasons, Worker
from zonelab.kernel.script import Step
from zonelab.machine.fault import Touched
from zonelab.machine.memory import ABSENT, VMA, Mapping


class Unknown(Exception):
    """A line that zonelab does not carry out; its text says why."""


class Tasks(Reasons):
    """What workers do; ``_w_WORD`` carries out a line ``WORKER WORD ...``.

    Args:
        name: of the experiment; start: the machine as it was; steps: the script; evidence: for differences.

    Attributes:
        files: path → file.
    """

    def __init__(self, name: str, start: Beginning, steps: list[Step], evidence: Evidence) -> None:
        super().__init__(name, start, evidence)
        self.steps = steps
        self.files: dict[str, Mapping] = {}

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
