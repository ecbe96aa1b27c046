"""The events of a recording: what the kernel's tracepoints said, one line an event.

A line is ``microseconds since the last event, cpu, pid, letter, arguments``, separated by tabs. The letters:

====== ================================ ===========================================================================
letter tracepoint                       what happened to a block of 2**order pages
====== ================================ ===========================================================================
Z      kmem:mm_page_alloc_zone_locked   taken out of the buddy lists (``__rmqueue_smallest()``)
A      kmem:mm_page_alloc               handed to its user; pfn 0 when the allocation failed
F      kmem:mm_page_free                given back by its user
B      kmem:mm_page_free_batched        given back in a batch (the same page is seen as F too)
D      kmem:mm_page_pcpu_drain          from a per-cpu list back to the buddy lists
X      kmem:mm_page_alloc_extfrag       taken from another migrate type (``__rmqueue_fallback()``)
U      exceptions:page_fault_user       a user page fault
K                                       a marker that the recorder wrote
O                                       any other tracepoint: its name and arguments
====== ================================ ===========================================================================
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zonelab.errors import BadFormat
from zonelab.kernel.fields import Fields, Ints

ARGUMENTS = {
    "Z": ("pfn", "order", "migratetype", "refill"),
    "A": ("pfn", "order", "migratetype", "gfp"),
    "F": ("pfn", "order"),
    "B": ("pfn",),
    "D": ("pfn", "order", "migratetype"),
    "X": ("pfn", "alloc_order", "fallback_order", "alloc_mt", "fallback_mt", "fragmenting", "change_ownership"),
    "U": ("vpn", "error_code"),
}
"""Arguments of the events that have numbers only. K and O have one text."""
TEXTS = "KO"
HEXADECIMAL = {"pfn", "vpn", "error_code"}
TRACEPOINTS = {
    "mm_page_alloc_zone_locked": "Z",
    "mm_page_alloc": "A",
    "mm_page_free": "F",
    "mm_page_free_batched": "B",
    "mm_page_pcpu_drain": "D",
    "mm_page_alloc_extfrag": "X",
    "page_fault_user": "U",
    "tracing_mark_write": "K",
}
COLUMNS = 4
"""Microseconds, cpu, pid, letter: what every event has in front of its arguments."""


class Header(NamedTuple):
    """The lines that start with ``#``.

    Attributes:
        entries: events that were in the ring buffer at the end; None if the header does not say.
        written: events that were written to it in all. More than entries: the oldest were lost.
        t0_us: time of the first event, in microseconds since boot.
        gfp: id → gfp flags, as the kernel spells them.
        pids: pid → name of the process.
        counts: tracepoint → how often.
    """

    entries: int | None
    written: int | None
    t0_us: int
    gfp: dict[int, str]
    pids: dict[int, str]
    counts: dict[str, int]

    @property
    def lost(self) -> int:
        return (self.written or 0) - (self.entries or 0)


class Events:
    """All events of a recording, in the kernel's merged order, as columns that are read when they are asked for.

    Args:
        data: the text of ``events.tsv``.
        source: what to call it in an error.

    Attributes:
        kind: uint8[events], the letter's code.

    Raises:
        BadFormat: a torn line, an unknown letter, a wrong number of arguments; fewer or more events than the header says.
    """

    def __init__(self, data: bytes, source: str = "events") -> None:
        self.header, start, line = _header(data, source)
        self.fields = fields = Fields(data[start:], b"\t", source, line)
        every = np.arange(fields.lines)
        short = fields.widths <= COLUMNS
        if short.any():
            raise fields.refuse(
                int(np.argmax(short)),
                f"{fields.widths[np.argmax(short)]} fields are too few",
                "microseconds, cpu, pid, letter and arguments, separated by tabs",
            )
        self.kind: npt.NDArray[np.uint8] = fields.bytes_at(every, COLUMNS - 1)
        known = np.zeros(256, bool)
        for letter in [*ARGUMENTS, *TEXTS]:
            known[ord(letter)] = True
        unknown = ~known[self.kind]
        if unknown.any():
            raise fields.refuse(int(np.argmax(unknown)), "unknown event", f"one of {' '.join([*ARGUMENTS, *TEXTS])}")
        wanted = np.zeros(256, np.int64)
        for letter, names in ARGUMENTS.items():
            wanted[ord(letter)] = COLUMNS + len(names)
        wrong = (wanted[self.kind] != fields.widths) & (wanted[self.kind] > 0)
        if wrong.any():
            row = int(np.argmax(wrong))
            letter = chr(self.kind[row])
            raise fields.refuse(row, "a torn event", f"{letter} {' '.join(ARGUMENTS[letter])}")
        self._check_counts(source)

    def __len__(self) -> int:
        return len(self.kind)

    def _check_counts(self, source: str) -> None:
        entries = self.header.entries
        if entries is not None and entries != len(self):
            raise BadFormat(
                f"{source}: {len(self):,} events in the file, the last in this line",
                self.fields.first_line + len(self) - 1,
                f"{entries:,} of them, as its header says",
            )
        seen = np.bincount(self.kind, minlength=256)
        for name, letter in TRACEPOINTS.items():
            count = self.header.counts.get(name)
            if count is not None and count != seen[ord(letter)]:
                raise BadFormat(
                    f"{source}: {seen[ord(letter)]:,} {letter} events", None, f"{count:,} of them, as its header says"
                )

    def rows(self, letters: str) -> Ints:
        """Which events are of these kinds, in order."""
        wanted = np.zeros(256, bool)
        wanted[[ord(letter) for letter in letters]] = True
        return np.flatnonzero(wanted[self.kind])

    def column(self, name: str, rows: Ints) -> Ints:
        """One argument of these events, int64[rows]; they must have it in the same place (Z, A, F, B, D, X do for pfn)."""
        letters = [chr(code) for code in np.unique(self.kind[rows]).tolist()]
        places = {ARGUMENTS[letter].index(name) for letter in letters}
        if not places:
            return np.zeros(0, np.int64)
        (place,) = places
        return self.fields.numbers(rows, COLUMNS + place, 16 if name in HEXADECIMAL else 10)

    def text(self, row: int) -> str:
        """What a marker (K) or another tracepoint (O) says."""
        return self.fields.text(row, COLUMNS)

    def line_of(self, row: int) -> int:
        """The event's line in its file, counted from 1."""
        return self.fields.first_line + row

    @cached_property
    def us(self) -> Ints:
        """When each event happened, in microseconds since boot."""
        return self.header.t0_us + np.cumsum(self.fields.numbers(np.arange(len(self)), 0))

    @cached_property
    def cpu(self) -> Ints:
        return self.fields.numbers(np.arange(len(self)), 1)

    @cached_property
    def pid(self) -> Ints:
        return self.fields.numbers(np.arange(len(self)), 2)


def _header(data: bytes, source: str) -> tuple[Header, int, int]:
    """The header, where in `data` the events start, and the number of the line they start in."""
    start, line = 0, 1
    entries = written = None
    t0 = 0
    gfp: dict[int, str] = {}
    pids: dict[int, str] = {}
    counts: dict[str, int] = {}
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        if end < 0:
            raise BadFormat(f"{source}: the header is torn: {data[start:][:60]!r}", line, "a newline at its end")
        words = data[start + 1 : end].decode(errors="replace").split("\t")
        try:
            match words:
                case ["entries", a, b]:
                    entries, written = int(a), int(b)
                case ["t0_us", a]:
                    t0 = int(a)
                case ["gfp", a, flags]:
                    gfp[int(a)] = flags
                case ["pid", a, comm]:
                    pids[int(a)] = comm
                case ["count", name, a]:
                    counts[name] = int(a)
                case ["entries" | "t0_us" | "gfp" | "pid" | "count", *_]:
                    raise ValueError
                case _:  # #ring, and whatever later recorders may say
                    pass
        except ValueError:
            raise BadFormat(
                f"{source}: a header line that cannot be read: {data[start:end][:60]!r}",
                line,
                "#entries N N, #t0_us N, #gfp N FLAGS, #pid N NAME or #count EVENT N, separated by tabs",
            ) from None
        start, line = end + 1, line + 1
    if not line > 1:
        raise BadFormat(
            f"{source}: it starts with {data[:40]!r}", 1, "the header of a recording, a line that starts with #"
        )
    return Header(entries, written, t0, gfp, pids, counts), start, line
