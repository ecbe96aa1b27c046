"""Seven days in the life of a machine, each the same under every policy: what unit 12 holds policies against.

A workload is a generator function ``(day) -> Iterator[str]``: it drives the machine of a :class:`Day` and says what it did, phase by phase.
Its random choices depend on the seed alone, never on what the policy did; where the machine refuses or runs out of memory, the
day counts that and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from zonelab.errors import BadRequest, OutOfMemory
from zonelab.kernel.recording import Recording, recorded
from zonelab.kernel.script import steps
from zonelab.machine import MIB, Machine, PageOwnership, Policy, Proportional
from zonelab.machine.container import Container, Task
from zonelab.machine.memory import VMA, Mapping
from zonelab.story.controls import Seed
from zonelab.story.scenario import Scenario, Step, step

PIECE = 256
"""Pages touched at a time, so that a shortage is met where it begins."""


@dataclass
class Day:
    """A machine under a policy, and what is counted in the course of a workload.

    Attributes:
        denied: pages beyond a container's share that could not be had although as many were free somewhere.
        broken: pages within its share that could not be had: a promise that was not kept.
        failed_moves, refused: moves and containers' zones that were refused.
        stranded: at each phase, free pages in zones that belong to somebody.
        unfair: at each phase, the part of the bill (0 to 1) that would have to be moved to make it the proportional one.
    """

    policy: Policy
    seed: int = 1
    nodes: int = 2
    node_mib: int = 96
    denied: int = 0
    broken: int = 0
    refused: int = 0
    moves: int = 0
    failed_moves: int = 0
    stranded: list[int] = field(default_factory=list)
    unfair: list[float] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    share: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        self.machine = Machine(nodes=self.nodes, node_mib=self.node_mib, policy=self.policy)

    def container(self, name: str, mib: float, node: int = 0) -> Container:
        """A container of so many MiB; without a zone of its own if there is no room for one."""
        self.share[name] = int(mib * MIB)
        try:
            return self.machine.container(name, node=node, private_mib=mib)
        except BadRequest:
            self.refused += 1
            return self.machine.container(name, node=node, private_mib=0)

    def together(self, name: str, members: list[Container], mib: float) -> None:
        """A set with a shared zone of so many MiB; without if there is no room."""
        try:
            self.machine.container_set(name, members, shared_mib=mib)
        except BadRequest:
            self.refused += 1
            self.machine.container_set(name, members, shared_mib=0)

    def task(self, container: Container) -> Task:
        task = self.machine.task(container)
        self.tasks.append(task)
        return task

    def heap(self, task: Task, mib: float, first: float = 1.0) -> VMA:
        """Private memory of so many MiB; the first part of it is written."""
        vma = self.machine.mmap(task, mib=mib, name="heap")
        self.touch(vma, int(vma.pages * first))
        return vma

    def touch(self, vma: VMA, pages: int | None = None, first: int = 0, write: bool = True) -> None:
        """Touch pages of a mapping, a piece at a time; what cannot be had is counted."""
        end = vma.pages if pages is None else min(vma.pages, first + pages)
        self._pieces(vma.task.container, first, end, lambda at, count: self.machine.touch(vma, at, count, write=write))

    def read(self, task: Task, file: Mapping, pages: int | None = None, first: int = 0) -> None:
        """Read pages of a file, as ``read()`` does."""
        end = file.pages if pages is None else min(file.pages, first + pages)
        self._pieces(task.container, first, end, lambda at, count: self.machine.read(task, file, at, count))

    def _pieces(self, who: Container, first: int, end: int, do: Callable[[int, int], Any]) -> None:
        for at in range(first, end, PIECE):
            try:
                do(at, min(PIECE, end - at))
            except OutOfMemory as problem:
                missing = end - at - min(PIECE, end - at) + problem.wanted
                promised = max(0, self.share[who.name] - who.charged)
                self.broken += min(missing, promised)
                if self.machine.conserved()[1] >= problem.wanted:
                    self.denied += max(0, missing - promised)
                return

    def move(self, container: Container, node: int) -> None:
        self.moves += 1
        try:
            self.machine.move(container, node)
        except BadRequest:
            self.failed_moves += 1
            for task in container.tasks:  # the task runs there all the same; its memory stays behind
                task.node = node

    def look(self) -> None:
        """Take the measures of this moment."""
        machine = self.machine
        self.stranded.append(sum(zone.free_pages for zone in machine.zones if zone.role != "main"))
        now, fair = machine.bill(), machine.bill(Proportional())
        used = sum(fair.values())
        if used:
            wrong = sum(abs(float(now.get(name, 0)) - float(fair.get(name, 0))) for name in now.keys() | fair.keys())
            self.unfair.append(wrong / 2 / float(used))


Workload = Callable[[Day], Iterator[str]]


def web_and_batch(day: Day) -> Iterator[str]:
    """A web server with a steady working set, and a batch job that reads more than fits."""
    web, batch = day.container("web", 32), day.container("batch", 32)
    server, job = day.task(web), day.task(batch)
    pages, input_ = day.machine.file("pages", mib=12), day.machine.file("input", mib=60)
    heap = day.heap(server, 14)
    day.read(server, pages)
    yield "The web server has its heap and its pages in memory."
    work = day.heap(job, 16)
    for part in range(3):
        day.read(job, input_, 20 * MIB, part * 20 * MIB)
        day.touch(work)
        day.touch(heap, heap.pages // 2, day.dice.randrange(2) * heap.pages // 2)
        day.read(server, pages)
        yield f"Part {part + 1} of the batch job's input is read; the web server answers meanwhile."


def shared_library(day: Day) -> Iterator[str]:
    """Two sets of two containers run the same program."""
    members = [day.container(name, 12, node=at // 2) for at, name in enumerate(("a", "b", "c", "d"))]
    day.together("ab", members[:2], 16)
    day.together("cd", members[2:], 16)
    library = day.machine.file("library", mib=10)
    order = day.dice.sample(range(4), 4)
    yield "Two sets are there, one on each node."
    for at in order:
        task = day.task(members[at])
        day.touch(day.machine.mmap(task, file=library, name="library"), write=False)
        day.heap(task, 6)
        yield f"{members[at].name} has loaded the library, and has its heap."
    for at in order:
        for vma in members[at].tasks[0].vmas:
            day.touch(vma, write=vma.file is None)
    yield "All of them work."


def noisy_neighbour(day: Day) -> Iterator[str]:
    """A quiet container in the same set as one that wants more and more."""
    quiet, noisy = day.container("quiet", 20), day.container("noisy", 20)
    day.together("pair", [quiet, noisy], 16)
    one, two = day.task(quiet), day.task(noisy)
    table = day.machine.file("table", mib=10)
    day.read(one, table)
    heap = day.heap(one, 8)
    yield "The quiet one has what it needs."
    greedy = day.machine.mmap(two, mib=48, name="greedy")
    for part in range(4):
        day.touch(greedy, 12 * MIB, part * 12 * MIB)
        day.read(two, day.machine.file(f"log{part}", mib=6))
        day.touch(heap)
        day.read(one, table)
        yield f"The noisy one wants {12 * (part + 1)} MiB and reads its logs."


def growing_cache(day: Day) -> Iterator[str]:
    """A cache grows and grows, while another container sleeps; then that one wakes up and wants what it was promised."""
    idle, cache = day.container("idle", 48), day.container("cache", 160, node=1)
    sleeper = day.task(idle)
    heap = day.heap(sleeper, 46, first=0.1)
    yield "A large share is given to one that sleeps, and a larger one to a cache."
    store = day.machine.mmap(day.task(cache), mib=160, name="store")
    at = 0
    while at < store.pages:
        part = day.dice.randrange(30, 50) * MIB
        day.touch(store, part, at)
        at += part
        yield f"The cache wants {min(at, store.pages) // MIB} MiB."
    day.touch(heap)
    yield "The sleeper wakes and writes to all of its heap."


def churn(day: Day) -> Iterator[str]:
    """Containers of all sizes come and go."""
    alive: list[Container] = []
    for number in range(24):
        if len(alive) > 7 or (alive and day.dice.random() < 0.35):
            gone = alive.pop(day.dice.randrange(len(alive)))
            day.machine.exit(gone)
        mib = day.dice.randrange(1, 23)
        one = day.container(f"c{number}", mib, node=day.dice.randrange(2))
        day.heap(day.task(one), max(1, mib * 3 // 4))
        alive.append(one)
        if number % 6 == 5:
            yield f"{number + 1} containers have come, {len(alive)} are there."


def migration_storm(day: Day) -> Iterator[str]:
    """The scheduler sends containers from node to node."""
    members = [day.container(name, 12, node=at % 2) for at, name in enumerate(("a", "b", "c", "d"))]
    day.together("all", members, 8)
    common = day.machine.file("common", mib=3)
    heaps = []
    for one in members:
        task = day.task(one)
        heaps.append(day.heap(task, day.dice.randrange(5, 11)))
        day.touch(day.machine.mmap(task, file=common, name="common"), write=False)
    yield "Four containers, two on each node."
    for _ in range(3):
        for at in day.dice.sample(range(4), 2):
            day.move(members[at], 1 - members[at].tasks[0].node)
        for heap in heaps:
            day.touch(heap)
        yield "Two of them were moved, and all work where they are."


def from_a_recording(day: Day) -> Iterator[str]:
    """What two containers did in our recording e2 of a real kernel: who maps, reads and writes what, in that order."""
    groups = {"A": day.container("A", 24), "B": day.container("B", 24, node=1)}
    day.together("pair", list(groups.values()), 24)
    tasks = {name: day.task(one) for name, one in groups.items()}
    files: dict[str, Mapping] = {}
    maps: dict[tuple[str, str], VMA] = {}
    for number, words in enumerate(_script(), 1):
        who, what = words[0], words[1]
        if what == "map":
            pages, name, shared = int(words[3]), words[4], words[5] == "shared"
            if name == "anon":
                maps[who, words[2]] = day.machine.mmap(tasks[who], pages=pages, shared=shared)
            else:
                if name not in files:
                    files[name] = day.machine.file(f"s{len(files)}", pages=pages, tmpfs=name.startswith("/tmpfs"))
                maps[who, words[2]] = day.machine.mmap(tasks[who], file=files[name], shared=shared)
        else:
            first, count = int(words[3]), int(words[4])
            day.touch(maps[who, words[2]], count, first, write=what == "write")
        if number % 6 == 0:
            yield f"{number} lines of the recording's script."
    yield "The script is at its end."


@cache
def _script() -> list[list[str]]:
    """The lines of recording e2 in which a container maps or touches memory."""
    lines = steps(Recording(recorded("numa4/e2_containers"), "e2"))
    return [line.words for line in lines if line.words[0] in ("A", "B") and line.words[1] in ("map", "read", "write")]


WORKLOADS: dict[str, Workload] = {
    "web + batch": web_and_batch,
    "shared library": shared_library,
    "noisy neighbour": noisy_neighbour,
    "growing cache": growing_cache,
    "churn": churn,
    "migration storm": migration_storm,
    "a recording": from_a_recording,
}


def workload_story(name: str, policy: Callable[[], Policy] = PageOwnership) -> Scenario:
    """A workload as a story for a lab, under a policy.

    Raises:
        BadRequest: no such workload.
    """
    if name not in WORKLOADS:
        raise BadRequest(f"there is no workload {name!r}; there are {', '.join(WORKLOADS)}")
    work = WORKLOADS[name]

    def story(seed: Any = Seed(1, "day")) -> Generator[Step, None, None]:
        day = Day(policy(), seed)
        yield step(
            day.machine,
            f"{name}, under {day.policy.name}: two nodes of {day.node_mib} MiB. {(work.__doc__ or '').strip()}",
        )
        for said in work(day):
            day.look()
            yield step(
                day.machine,
                f"{said} {day.stranded[-1]:,} pages are free in somebody's zone; {day.denied:,} were denied although so many were free.",
            )

    story.__name__ = f"workload_{name}_{policy.__name__}".replace(" ", "_")
    return Scenario(f"{name}: {policy.__name__}", story)
