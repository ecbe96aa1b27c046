"""Replay: does our buddy allocator do what the kernel's did?

Take the page frames that were free at one snapshot. Give every block back that the trace says was given back, take every
block that it says was taken, and look at the next snapshot: are the same blocks free, in every zone and of every order?
The blocks are kept by :class:`zonelab.machine.buddy.FreeArea`, the one that a simulated machine uses.

Events that reach the buddy lists: Z takes a block out, D puts one back. F does so only for orders that never pass through
the per-cpu lists (``pcp_allowed_order()``): all above 3, except that of huge pages; on a PC, 4 to 8
and 10. Compaction takes free blocks without any event (``__isolate_free_page()``), so a stretch in which it moved pages
cannot match in the zones that it worked on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np

from zonelab.errors import BadFormat, BadRequest
from zonelab.kernel.fields import Ints
from zonelab.kernel.recording import Recording, Snapshot, Span, is_recording, recordings
from zonelab.kernel.trace import Events
from zonelab.machine.buddy import FreeArea
from zonelab.machine.pages import MAX_ORDER, Run, expand

COSTLY_ORDER = 3
"""Blocks up to this order pass through the per-cpu lists (``PAGE_ALLOC_COSTLY_ORDER``)."""
COMPACTION = re.compile(r"mm_compaction_begin zone_start=0x([0-9a-f]+) .*zone_end=0x([0-9a-f]+)")
TAKEN = re.compile(r"mm_compaction_isolate_(?:free|migrate)pages .*nr_taken=(\d+)")


@dataclass(frozen=True)
class Stretch:
    """The replay from one snapshot to the next.

    Attributes:
        recording, start, end: the recording's name and the labels of the two snapshots.
        events: how many the trace has between them; `applied`: how many of them reached the buddy lists.
        exact: whether every free block, its place and order, is the kernel's.
        pages: page frames that are free here but not there, or the other way round.
        difference: zone → free blocks of each order, ours less the kernel's; only zones that differ.
        reason: what explains a difference; None if nothing does, or if there is none.
        detail: what went wrong first, for whoever looks into it.
    """

    recording: str
    start: str
    end: str
    events: int
    applied: int
    exact: bool
    pages: int = 0
    difference: dict[Span, tuple[int, ...]] = field(default_factory=dict)
    reason: str | None = None
    detail: str | None = None

    @property
    def explained(self) -> bool:
        return self.exact or self.reason is not None

    @property
    def unexplained(self) -> bool:
        return not self.explained

    def line(self) -> str:
        """The result in one line."""
        head = f"{self.recording}: {self.start} → {self.end}: {self.events:,} events, {self.applied:,} at the buddy lists: "
        if self.exact:
            return head + "exact"
        where = "; ".join(
            f"{span}: "
            + (", ".join(f"order {o} {n:+d}" for o, n in enumerate(counts) if n) or "same counts, other blocks")
            for span, counts in self.difference.items()
        )
        verdict = f"explained: {self.reason}" if self.reason else "DIFFERENT, unexplained"
        detail = f" ({self.detail})" if self.detail and not self.reason else ""
        return head + f"{verdict}; {self.pages:,} pages differ: {where or 'nothing'}{detail}"

    def __str__(self) -> str:
        return self.line()


@dataclass(frozen=True)
class Summary:
    """All stretches together; see :func:`summary`."""

    stretches: int
    exact: int
    explained: int
    unexplained: int
    events: int

    def __str__(self) -> str:
        return (
            f"{self.exact} of {self.stretches} stretches exact, {self.explained} explained, "
            f"{self.unexplained} unexplained, over {self.events:,} events"
        )


def summary(stretches: Iterable[Stretch]) -> Summary:
    """How many stretches match, how many differ for a known reason, how many for none."""
    every = list(stretches)
    exact = sum(stretch.exact for stretch in every)
    unexplained = sum(stretch.unexplained for stretch in every)
    return Summary(len(every), exact, len(every) - exact - unexplained, unexplained, sum(s.events for s in every))


def replay(what: Recording | str | Path) -> Iterator[Stretch]:
    """Replay a recording, or every recording in a folder; see :func:`replay_path`."""
    return _replay(what) if isinstance(what, Recording) else replay_path(what)


def replay_path(path: str | Path) -> Iterator[Stretch]:
    """Replay a recording's folder, or every recording in a folder, at any depth, by name.

    Raises:
        BadRequest: there is no recording.
        BadFormat: a recording is torn or foreign.
    """
    for recording in recordings_in(path):
        yield from _replay(recording)


def recordings_in(path: str | Path) -> list[Recording]:
    """A recording's folder, or every recording in a folder, at any depth, by name; raises as ``replay_path`` does."""
    path = Path(path)
    if not path.is_dir():
        raise BadRequest(f"{path} is not a folder; give the folder of a recording, or one that holds recordings")
    folders = [path] if is_recording(path) else sorted(inner for inner in path.rglob("*") if is_recording(inner))
    if not folders:
        raise BadRequest(f"no recording in {path}: none of its folders holds events.tsv.xz and log.txt.xz")
    return [Recording(folder, None if folder == path else folder.relative_to(path).as_posix()) for folder in folders]


def bench_replay() -> tuple[int, float]:
    """Replay the recordings that come with zonelab: events between their snapshots, and the seconds it took, parsing
    included."""
    start = perf_counter()
    events = summary(stretch for folder in recordings() for stretch in replay_path(folder)).events
    return events, perf_counter() - start


def _replay(recording: Recording) -> Iterator[Stretch]:
    """Replay one recording from each snapshot to the next. About O(events)."""
    events, snapshots = recording.events, recording.snapshots
    if not snapshots:
        raise BadFormat(f"{recording.name}: no snapshot in its log", None, "two or more")
    operations = Operations(events, snapshots[0].block_order)
    areas = free_areas(snapshots[0])
    doubts = _doubts(snapshots[0], areas)
    for one, other in pairwise(snapshots):
        kernel = free_areas(other)
        before, doubts = doubts, _doubts(other, kernel)
        yield _stretch(recording, operations, one, other, areas, kernel, before or doubts)
        areas = kernel


def free_areas(snapshot: Snapshot) -> dict[Span, FreeArea]:
    """The free page frames of a snapshot in the buddy lists of their zones, coalesced.

    Raises:
        BadFormat: free pages outside of any zone.
    """
    areas = {span: FreeArea() for span in snapshot.spans}
    pfns, lengths = snapshot.free_runs
    ends = pfns + lengths
    placed = 0
    for span, area in areas.items():
        first, last = np.searchsorted(ends, span.start, "right"), np.searchsorted(pfns, span.end)
        for pfn, end in zip(pfns[first:last].tolist(), ends[first:last].tolist(), strict=True):
            start, end = max(pfn, span.start), min(end, span.end)  # a run may go across the border of two zones
            area.give(start, end - start)
        placed += area.free_pages
    if placed != int(lengths.sum()):
        raise BadFormat(
            f"snapshot {snapshot.label}: {int(lengths.sum()) - placed} of its free pages lie in no zone",
            None,
            "zones that span all free pages",
        )
    return areas


class Operations:
    """The events that change the buddy lists, as columns.

    Attributes:
        rows: which events; `takes`: whether the event takes the block (else gives it back); `pfn`, `order`: the block.
    """

    def __init__(self, events: Events, huge_order: int) -> None:
        self.events = events
        rows = events.rows("ZDF")
        order = events.column("order", rows)
        direct = (order > COSTLY_ORDER) & (order != huge_order)
        reach = (events.kind[rows] != ord("F")) | direct
        self.rows, self.order = rows[reach], order[reach]
        self.pfn = events.column("pfn", self.rows)
        self.takes = events.kind[self.rows] == ord("Z")
        wrong = (self.order > MAX_ORDER) | (self.pfn & ((1 << np.minimum(self.order, MAX_ORDER)) - 1) > 0)
        if wrong.any():
            raise events.fields.refuse(
                int(self.rows[np.argmax(wrong)]),
                "a block that cannot be",
                f"an order of at most {MAX_ORDER}, and a pfn that is a multiple of 2**order",
            )

    def between(self, first: int, last: int) -> slice:
        """The operations with first < row < last."""
        return slice(int(np.searchsorted(self.rows, first + 1)), int(np.searchsorted(self.rows, last)))

    def runs(self, part: slice) -> list[Run]:
        """The blocks of these operations, as runs of pages."""
        return list(zip(self.pfn[part].tolist(), (1 << self.order[part]).tolist(), strict=True))


def _stretch(
    recording: Recording,
    operations: Operations,
    one: Snapshot,
    other: Snapshot,
    areas: dict[Span, FreeArea],
    kernel: dict[Span, FreeArea],
    doubts: str | None,
) -> Stretch:
    """Apply the events between two snapshots to `areas`, which change, and compare with `kernel`."""
    part = operations.between(one.end, other.begin)
    pfns = operations.pfn[part]
    applied = len(pfns)
    outside = np.ones(applied, bool)
    refused = 0
    for span, area in areas.items():
        inside = (pfns >= span.start) & (pfns < span.end)
        outside &= ~inside
        refused += _apply(area, operations.takes[part][inside], pfns[inside], operations.order[part][inside])
    exact = doubts is None and not refused and not outside.any() and areas.keys() == kernel.keys()
    exact = exact and all(
        ours.keys() == theirs.keys()
        for span, area in areas.items()
        for ours, theirs in zip(area.lists, kernel[span].lists, strict=True)
    )
    found = (recording.name, one.label, other.label, other.begin - one.end - 1, applied)
    if exact:
        return Stretch(*found, exact=True)
    careful = _Careful(one, other, operations, part)
    reason = _reason(operations, one, other, careful)
    detail = careful.detail
    if doubts is not None:
        reason, detail = None, doubts
    elif outside.any():
        reason, detail = None, f"{int(outside.sum())} events about blocks outside of any zone"
    return Stretch(*found, False, len(careful.pfns), careful.difference(kernel), reason, detail)


def _apply(area: FreeArea, takes: np.ndarray, pfns: Ints, orders: Ints) -> int:
    """The events of one zone, in order; returns how many blocks could not be taken, as they were not free. O(events)."""
    claim, free = area.claim, area.free
    refused = 0
    for take, pfn, order in zip(takes.tolist(), pfns.tolist(), orders.tolist(), strict=True):
        if take:
            refused += not claim(pfn, order)
        else:
            free(pfn, order)
    return refused


def _doubts(snapshot: Snapshot, areas: dict[Span, FreeArea]) -> str | None:
    """Why not to trust a snapshot: its free pages, coalesced, are not the free blocks that its own buddyinfo counts."""
    counted = {(row.node, row.zone): row.counts for row in snapshot.buddyinfo}
    for span, area in areas.items():
        theirs = counted.pop((span.node, span.zone), None)
        ours = tuple(area.counts())
        if theirs != ours:
            name = f"snapshot {snapshot.label} contradicts itself"
            return f"{name}: {span} has free blocks {ours} by its free pages, {theirs} by its buddyinfo"
    if counted:
        return f"snapshot {snapshot.label} contradicts itself: zones {sorted(counted)} are in its buddyinfo only"
    return None


class _Careful:
    """A stretch replayed a second time, page by page, when the first time did not match: it says what differs.

    Here a page is free or not, and an event that contradicts it is noted: taken although it was not free, or given back
    although it was.

    Attributes:
        pfns: pages that differ at the end; `ours`: those of them that are free here, not in the kernel.
        detail: the first event that contradicts, if any.
        free: bool[pfn], free at the end.
    """

    def __init__(self, one: Snapshot, other: Snapshot, operations: Operations, part: slice) -> None:
        self.spans = other.spans
        size = max(span.end for span in [*one.spans, *other.spans])
        free, kernel = (_mask(snapshot, size) for snapshot in (one, other))
        self.detail: str | None = None
        columns = (operations.rows, operations.takes, operations.pfn, operations.order)
        for row, take, pfn, order in zip(*(column[part].tolist() for column in columns), strict=True):
            block = free[pfn : pfn + (1 << order)]
            if self.detail is None and (not block.all() if take else block.any()):
                done = "taken although it is not free" if take else "given back although it is free"
                line = operations.events.line_of(row)
                self.detail = f"line {line}: block {pfn:#x} of order {order} {done}"
            block[:] = not take
        self.free = free
        self.pfns = np.flatnonzero(free != kernel)
        self.ours = free[self.pfns]

    def difference(self, kernel: dict[Span, FreeArea]) -> dict[Span, tuple[int, ...]]:
        """Zone → blocks of each order, ours less the kernel's, for the zones with pages that differ."""
        out = {}
        for span in self.spans:
            if ((self.pfns >= span.start) & (self.pfns < span.end)).any():
                area = FreeArea()
                for pfn, length in _runs(self.free[span.start : span.end]):
                    area.give(span.start + pfn, length)
                theirs = kernel[span].counts()
                out[span] = tuple(a - b for a, b in zip(area.counts(), theirs, strict=True))
        return out


def _mask(snapshot: Snapshot, size: int) -> np.ndarray:
    free = np.zeros(size, bool)
    free[expand(list(zip(*(part.tolist() for part in snapshot.free_runs), strict=True)))] = True
    return free


def _runs(mask: np.ndarray) -> list[Run]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), (edges[1::2] - edges[::2]).tolist(), strict=True))


def _reason(operations: Operations, one: Snapshot, other: Snapshot, careful: _Careful) -> str | None:
    """What the recording itself says that explains a difference; None if it says nothing, or not enough."""
    events = operations.events
    if events.header.lost:
        return f"the recorder lost {events.header.lost:,} events"
    if not one.stable or not other.stable:
        label = (other if one.stable else one).label
        return f"snapshot {label} is not of one moment: buddyinfo changed while it was taken"
    within = [operations.runs(operations.between(snapshot.begin, snapshot.end)) for snapshot in (one, other)]
    if len(careful.pfns) and np.isin(careful.pfns, expand(within[0] + within[1])).all():
        return "blocks changed hands while a snapshot was taken"
    zones, taken = _compaction(events, one.end, other.begin)
    worked = np.zeros(len(careful.pfns), bool)
    for start, end in zones:
        worked |= (careful.pfns >= start) & (careful.pfns < end)
    if taken and worked.all():
        return f"compacted: compaction isolated {taken:,} pages, free ones without an event"
    return None


def _compaction(events: Events, first: int, last: int) -> tuple[list[tuple[int, int]], int]:
    """Spans of the zones that were compacted between two events, and how many pages were isolated for it."""
    zones, taken = [], 0
    rows = events.rows("O")
    for row in rows[(rows > first) & (rows < last)].tolist():
        text = events.text(row)
        begin, isolated = COMPACTION.match(text), TAKEN.match(text)
        if begin is not None:
            zones.append((int(begin[1], 16), int(begin[2], 16)))
        elif isolated is not None:
            taken += int(isolated[1])
    return zones, taken
