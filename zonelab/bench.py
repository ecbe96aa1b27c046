"""How fast is it here? One row for each thing that the course promises, with the target beside the value.

Every value is the median of several repeats on the machine it runs on. Where two things are compared, both run in the
same process, one after the other. Run it with ``python -m zonelab bench``.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from zonelab.machine import BLOCK, MAX_ORDER, Machine
from zonelab.machine.buddy import FreeArea
from zonelab.machine.container import Container
from zonelab.machine.memory import VMA
from zonelab.machine.migrate import migrate_pages
from zonelab.machine.pages import expand, runs_of

GIB = 1 << 18
"""Pages in a GiB."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `value` and `holds` are None where the measurement is not made here; `note` says why."""

    name: str
    value: float | None
    unit: str
    target: str
    holds: bool | None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        shown = "–" if self.value is None else f"{self.value:,.4g}"
        verdict = {True: "holds", False: "MISSED", None: "not measured here" if self.value is None else "–"}[self.holds]
        return f"{self.name:<58} {shown:>9} {self.unit:<14} {self.target:<9} {verdict}" + (
            f": {self.note}" * bool(self.note)
        )


def at_most(name: str, value: float, unit: str, limit: float, note: str = "") -> Row:
    return Row(name, value, unit, f"≤ {limit:g}", value <= limit, note)


def at_least(name: str, value: float, unit: str, limit: float, note: str = "") -> Row:
    return Row(name, value, unit, f"≥ {limit:g}", value >= limit, note)


def seconds(work: Callable[[], object], repeats: int = 7, before: Callable[[], object] | None = None) -> float:
    """Median time of `work`; `before` is run ahead of each repeat and not counted."""
    times = []
    for _ in range(repeats):
        if before is not None:
            before()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


# -- the rows


def boot() -> Iterator[Row]:
    took = seconds(lambda: Machine(nodes=4, node_mib=16384), repeats=15)
    yield at_most("boot a 64 GiB machine of 4 nodes", took * 1e3, "ms", 5)


def _room_for_one_gib() -> tuple[Machine, Container, VMA]:
    machine = Machine(nodes=4, node_mib=16384)
    web = machine.container("web", node=0, private_mib=1040)  # 16 MiB more, for the watermarks
    return machine, web, machine.mmap(machine.task(web), pages=GIB)


def memory() -> Iterator[Row]:
    """The host maps fresh memory on first use, which is not what is measured: every path is walked once before."""
    machine, web, vma = _room_for_one_gib()

    def touch() -> None:
        machine.touch(vma, 0, GIB)

    def discard() -> None:
        machine.discard(vma, 0, GIB)

    touch()
    took = seconds(touch, before=discard)
    yield at_most("fault 1 GiB in one touch", took * 1e3, "ms", 5)
    took = seconds(discard, before=touch)
    yield at_most("free 1 GiB", took * 1e3, "ms", 8)

    count = 20_000
    touch()

    def singles() -> None:
        for offset in range(count):
            machine.touch(vma, offset)

    took = seconds(singles, repeats=5, before=lambda: machine.discard(vma, 0, count))
    yield at_most("a single fault", took / count * 1e6, "µs", 20)

    def move() -> None:
        machine.move(web, 1 - web.node)

    move()
    move()
    whole = seconds(move, repeats=9) * 1e3

    other = machine.nodes[2]
    there = [vma.table.copy(), expand(other.main.free_area.take(GIB))]

    def migrate() -> None:
        migrate_pages(machine, *there)

    def turn() -> None:
        """What was the source is the target now; its frames have to be allocated again."""
        there.reverse()
        for first, length in runs_of(there[1]):
            for block in range(first, first + length, BLOCK):
                machine.zone_of(block).free_area.claim(block, MAX_ORDER)

    migrate()
    took = seconds(migrate, repeats=9, before=turn) * 1e3
    yield at_most(
        "migrate 1 GiB",
        took,
        "ms",
        8,
        f"a whole move, with its plan, the new zone and the merge of the old: {whole:.1f} ms",
    )
    yield at_most("metadata of a page", machine.pages.bytes_per_page, "bytes", 14)


def mixed_operations(pages: int, count: int, seed: int = 1) -> list[int]:
    """Random single operations, recorded beforehand: 90 of 100 of order 0, the rest of order 1 to 3.

    Memory fills to 55 of 100 of `pages` and stays there. An operation is one number: below 4, allocate a block of that
    order; else free the block that allocation number ``(operation >> 2) - 1`` got, of order ``operation & 3``.
    """
    rng = random.Random(seed)
    live: list[int] = []
    used = made = 0
    operations: list[int] = []
    while len(operations) < count:
        if rng.random() < (0.75 if used < pages * 0.55 else 0.25) or not live:
            order = 0 if rng.random() < 0.9 else rng.randint(1, 3)
            operations.append(order)
            made += 1
            live.append(made << 2 | order)
            used += 1 << order
        else:
            at = rng.randrange(len(live))
            live[at], live[-1] = live[-1], live[at]
            operations.append(live.pop())
            used -= 1 << (operations[-1] & 3)
    return operations


def _mix_rate(gib: int, operations: list[int]) -> float:
    """Million operations a second in a fresh zone; what the loop itself takes, with its bookkeeping, is not counted."""
    area = FreeArea()
    held: list[Any] = []

    def boot_zone() -> None:
        nonlocal area
        area = FreeArea()
        held.clear()
        for block in range(gib * GIB // BLOCK - 1, -1, -1):
            area.insert(block * BLOCK, MAX_ORDER)

    def run() -> None:
        alloc, free, put = area.alloc, area.free, held.append
        for operation in operations:
            if operation < 4:
                put(alloc(operation))
            else:
                free(held[(operation >> 2) - 1], operation & 3)

    def idle() -> None:
        put = held.append
        for operation in operations:
            if operation < 4:
                put(operation)
            else:
                held[(operation >> 2) - 1], operation & 3

    return len(operations) / (seconds(run, repeats=5, before=boot_zone) - seconds(idle, before=held.clear)) / 1e6


def buddy() -> Iterator[Row]:
    operations = mixed_operations(GIB, 1_000_000)
    small, large = _mix_rate(1, operations), _mix_rate(64, operations)
    yield at_least("buddy allocator, mixed single operations, 1 GiB zone", small, "million/s", 3)
    yield at_least("the same in a 64 GiB zone", large, "million/s", 3)
    yield at_least("64 GiB against 1 GiB: flat means 1", large / small, "times", 0.8)


class NaiveBuddy:
    """A buddy allocator as one writes it first, with a plain list for each order: ``in`` and ``remove`` look at every
    entry. The same rules as FreeArea without the tail rule."""

    def __init__(self) -> None:
        self.lists: list[list[int]] = [[] for _ in range(MAX_ORDER + 1)]

    def insert(self, pfn: int, order: int) -> None:
        self.lists[order].append(pfn)

    def alloc(self, order: int = 0) -> int | None:
        for found in range(order, MAX_ORDER + 1):
            if self.lists[found]:
                pfn = self.lists[found].pop()
                while found > order:
                    found -= 1
                    self.lists[found].append(pfn + (1 << found))
                return pfn
        return None

    def free(self, pfn: int, order: int = 0) -> None:
        while order < MAX_ORDER and pfn ^ (1 << order) in self.lists[order]:
            self.lists[order].remove(pfn ^ (1 << order))
            pfn &= ~(1 << order)
            order += 1
        self.lists[order].append(pfn)


def naive(pages: int = 16 * BLOCK) -> Iterator[Row]:
    """Fill a small zone page by page, then free every second page: nothing merges, and the lists grow long."""

    def checkerboard(area: FreeArea | NaiveBuddy) -> float:
        for block in range(pages // BLOCK - 1, -1, -1):
            area.insert(block * BLOCK, MAX_ORDER)
        for _ in range(pages):
            area.alloc(0)
        start = time.perf_counter()
        for pfn in range(0, pages, 2):
            area.free(pfn, 0)
        return time.perf_counter() - start

    ours = median(checkerboard(FreeArea(tail_rule=False)) for _ in range(5))
    theirs = median(checkerboard(NaiveBuddy()) for _ in range(3))
    note = f"a list for each order, {pages // 256} MiB, every second page freed"
    yield at_least("against a naive simulator, same run", theirs / ours, "times faster", 10, note)


_IMPORT = """
import sys, time
start = time.perf_counter()
import numpy
numpy_took = time.perf_counter() - start
import zonelab
took = time.perf_counter() - start
print(took, numpy_took, int(any(name.partition('.')[0] in ('matplotlib', 'ipywidgets', 'anywidget') for name in sys.modules)))
"""


def importing() -> Iterator[Row]:
    command = [sys.executable, "-c", _IMPORT]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(9)]
    took, numpy_took, drawing = (median(float(run[column]) for run in runs) for column in range(3))
    note = f"numpy alone takes {numpy_took * 1e3:.0f} ms of it"
    yield at_most("import zonelab, in a fresh Python", took * 1e3, "ms", 150, note)
    yield at_most("libraries that draw, loaded by that import", drawing, "", 0)


def replay() -> Iterator[Row]:
    """The largest recording that comes with zonelab."""
    from zonelab.kernel import recordings, replay_path

    name = "replay a recorded kernel trace, unpacking and parsing included"
    folders = sorted(recordings(), key=lambda folder: sum(file.stat().st_size for file in folder.iterdir()))
    if not folders:
        yield Row(name, None, "million/s", "≥ 1", None, "no recordings beside the package")
        return
    events = sum(stretch.events for stretch in replay_path(folders[-1]))
    took = seconds(lambda: list(replay_path(folders[-1])), repeats=3)
    yield at_least(name, events / took / 1e6, "million/s", 1, f"{folders[-1].name}, {events:,} events")


def story() -> Iterator[Row]:
    """What one step costs where Python has to draw it: the frame, and the state of every block."""
    from zonelab.story.tour import LARGE, SMALL, tour

    for computer in (SMALL, LARGE):
        history = tour.play(computer=computer)
        order = [*range(len(history)), *range(len(history) - 2, -1, -1)]

        def scrub(history: Any = history, order: Any = order) -> None:
            for at in order:
                history.frame(at)
                history.blocks(at)

        took = seconds(scrub) / len(order)
        yield at_most(f"a step back or forward in Python, {computer}", took * 1e3, "ms", 5)


def notebooks() -> Iterator[Row]:
    folder = Path(__file__).parent.parent / "notebooks"
    name = "the slowest notebook, top to bottom in a fresh kernel"
    try:
        import nbformat
        from nbclient import NotebookClient
    except ImportError:
        yield Row(name, None, "s", "≤ 8", None, "nbclient is not installed")
        return
    took = 0.0
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}})
        took = max(took, seconds(client.execute, repeats=3))
    yield at_most(name, took, "s", 8) if took else Row(name, None, "s", "≤ 8", None, "no notebooks beside the package")


def browser() -> Iterator[Row]:
    """From a key to new pixels in JupyterLab, beside a bare canvas that is driven in the same way."""
    from zonelab.browser import latencies

    for name, middle, late in latencies():
        if name.startswith("step"):
            yield at_most(f"{name}, p95", late, "ms", 20, f"median {middle:.1f} ms")
        elif name.endswith("canvas"):
            yield Row(f"{name}, median", middle, "ms", "", None, f"p95 {late:.1f} ms; what the lab is measured beside")
        else:
            yield at_most(f"{name}, median", middle, "ms", 40)
            yield at_most(f"{name}, p95", late, "ms", 55)


PARTS = (boot, memory, buddy, naive, replay, importing, story, notebooks)


def rows(in_browser: bool = False) -> Iterator[Row]:
    """All rows, as they are measured: of the simulator, or those that need a browser."""
    for part in (browser,) if in_browser else PARTS:
        yield from part()


def environment() -> str:
    """What the figures depend on."""
    import os
    import platform

    return (
        f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} processors, {platform.system()}"
    )
