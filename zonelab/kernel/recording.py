"""A recording of a real kernel: one folder with the events of an experiment and the recorder's log.

The recorder took *snapshots* while nothing else ran: the free blocks (``/proc/buddyinfo``), the watermarks and spans of the
zones (``/proc/zoneinfo``), and which page frames are free (``/proc/kpageflags``). Between two snapshots the tracepoints
say what the page allocator did. ``recordings/README.md`` has the formats.
"""

from __future__ import annotations

import lzma
import re
from functools import cached_property
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zonelab.errors import BadFormat, BadRequest
from zonelab.kernel import buddyinfo, zoneinfo
from zonelab.kernel.fields import Fields, Ints
from zonelab.kernel.trace import Events

EVENTS, LOG = "events.tsv", "log.txt"
BUDDY = 1 << 10
"""Flag of ``/proc/kpageflags``: the page is in the buddy lists (``KPF_BUDDY``)."""
SNAP = re.compile(r"@snap (\S+) try (\d+) stable ([01]) ")
BLOCK_ORDER = re.compile(r"^Page block order: +(\d{1,2})$", re.MULTILINE)
MARK = re.compile(r"SNAP (\S+) (\d+) (begin|end)")


class Block(NamedTuple):
    """The text of one /proc file in the log."""

    line: int
    """Number of its first line."""
    text: str


class Span(NamedTuple):
    """A populated zone and the page frames that it spans."""

    node: int
    zone: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"node {self.node} {self.zone}"


class Snapshot:
    """What the log says of one moment.

    Attributes:
        label, attempt: its name, and which try it was.
        stable: whether the buddyinfos before and after it agree.
        begin, end: rows of the two markers around it, among the events.
    """

    def __init__(self, label: str, attempt: int, stable: bool, blocks: dict[str, Block], source: str) -> None:
        self.label, self.attempt, self.stable = label, attempt, stable
        self.begin = self.end = -1
        self._blocks, self._source = blocks, source

    def __repr__(self) -> str:
        return f"<snapshot {self.label}>"

    def _block(self, name: str) -> Block:
        if name not in self._blocks:
            raise BadFormat(f"{self._source}: snapshot {self.label} has no {name}", None, f"@begin {name} {self.label}")
        return self._blocks[name]

    def text(self, name: str) -> str:
        """What a /proc file said, by its name in the log: *buddyinfo*, *vmstat*, *node0.meminfo* ..."""
        return self._block(name).text

    @cached_property
    def buddyinfo(self) -> list[buddyinfo.FreeBlocks]:
        """Free blocks per zone and order."""
        block = self._block("buddyinfo")
        try:
            return buddyinfo.parse(block.text)
        except BadFormat as error:
            raise _moved(error, block, self._source) from None

    @cached_property
    def zoneinfo(self) -> list[zoneinfo.ZoneInfo]:
        """Watermarks, sizes, per-cpu lists."""
        block = self._block("zoneinfo")
        try:
            return zoneinfo.parse(block.text)
        except BadFormat as error:
            raise _moved(error, block, self._source) from None

    @cached_property
    def spans(self) -> list[Span]:
        """The populated zones by rising pfn, which must not overlap."""
        block = self._block("zoneinfo")
        spans = [Span(node, zone, start, start + pages) for node, zone, start, pages in zoneinfo.spans(block.text)]
        spans.sort(key=lambda span: span.start)
        if not spans:
            raise BadFormat(
                f"{self._source}: no zone with pages in snapshot {self.label}", block.line, "/proc/zoneinfo"
            )
        for one, other in pairwise(spans):
            if one.end > other.start:
                raise BadFormat(
                    f"{self._source}: snapshot {self.label}: {one} (pfn {one.start:#x} to {one.end:#x}) and {other} (from "
                    f"pfn {other.start:#x}) overlap",
                    block.line,
                    "zones that do not: a page's zone is told from its pfn here",
                )
        return spans

    @property
    def block_order(self) -> int:
        """Order of a page block, the unit that has a migrate type; that of a usual 64-bit PC where the log does not say."""
        match = BLOCK_ORDER.search(self._blocks["pagetypeinfo"].text) if "pagetypeinfo" in self._blocks else None
        return int(match[1]) if match else 9

    @cached_property
    def free_runs(self) -> tuple[Ints, Ints]:
        """Runs of free page frames: first pfns, rising, and lengths in pages."""
        block = self._block("kpageflags")
        table = Fields(block.text.encode(), b" ", self._source, block.line)
        rows = np.arange(table.lines)
        if (table.widths != 3).any():
            raise table.refuse(int(np.argmax(table.widths != 3)), "a torn run", "pfn, length and flags, hexadecimal")
        first, length, flags = (table.numbers(rows, column, 16) for column in range(3))
        if len(first) > 1 and (first[1:] < first[:-1] + length[:-1]).any():
            row = int(np.argmax(first[1:] < first[:-1] + length[:-1])) + 1
            raise table.refuse(row, "a run that overlaps the one before", "rising page frame numbers")
        free = (flags & BUDDY) > 0
        return first[free], length[free]


def _moved(error: BadFormat, block: Block, source: str) -> BadFormat:
    """An error about a line of a block, as one about a line of the log."""
    message = str(error).removeprefix(f"line {error.line}: ").removesuffix(f"; expected {error.expected}")
    return BadFormat(f"{source}: {message}", block.line + (error.line or 1) - 1, error.expected)


class Recording:
    """One experiment's folder.

    Args:
        folder: holds ``events.tsv.xz`` and ``log.txt.xz`` (or both unpacked).

    Attributes:
        name: what to call it; the folder's name by default.

    Raises:
        BadRequest: the folder or one of its files is missing.
        BadFormat: a file is torn, truncated or foreign; when it is first looked at.
    """

    def __init__(self, folder: str | Path, name: str | None = None) -> None:
        self.folder = Path(folder)
        self.name = name or self.folder.resolve().name
        if not is_recording(self.folder):
            raise BadRequest(f"{self.folder} is not a recording: it must hold {EVENTS}.xz and {LOG}.xz")

    def __repr__(self) -> str:
        return f"<recording {self.name}>"

    @cached_property
    def events(self) -> Events:
        data, source = read_file(self.folder, EVENTS)
        return Events(data, source)

    @cached_property
    def snapshots(self) -> list[Snapshot]:
        """The snapshots in order, each with its place among the events."""
        data, source = read_file(self.folder, LOG)
        snapshots = read_log(data, source)
        marks = self._marks()
        for snapshot in snapshots:
            key = (snapshot.label, snapshot.attempt)
            at = next((i for i, mark in enumerate(marks) if mark[:2] == key), None)
            if at is None:
                raise BadFormat(
                    f"{source}: snapshot {snapshot.label}, try {snapshot.attempt}, which the events do not have",
                    None,
                    f"one of {', '.join(f'{label} {attempt}' for label, attempt, *_ in marks) or 'none'}, in that order",
                )
            snapshot.begin, snapshot.end = marks[at][2:]
            forgotten = {mark[0] for mark in marks[:at]} - {snapshot.label}
            if forgotten:
                raise BadFormat(
                    f"{source}: no snapshot {', '.join(sorted(forgotten))}", None, "all that the events have"
                )
            del marks[: at + 1]
        if marks:
            raise BadFormat(
                f"{source}: it ends before snapshot {marks[0][0]}", data.count(b"\n"), "all that the events have"
            )
        return snapshots

    def _marks(self) -> list[tuple[str, int, int, int]]:
        """The markers around snapshots, as (label, try, row of begin, row of end)."""
        events = self.events
        marks: list[tuple[str, int, int, int]] = []
        begun: tuple[str, int, int] | None = None
        for row in events.rows("K").tolist():
            match = MARK.fullmatch(events.text(row))
            if match is None:
                continue
            label, attempt = match[1], int(match[2])
            if (match[3] == "begin") != (begun is None) or (begun is not None and begun[:2] != (label, attempt)):
                wanted = "SNAP LABEL TRY begin" if begun is None else f"SNAP {begun[0]} {begun[1]} end"
                raise events.fields.refuse(row, "a marker out of place", wanted)
            if begun is None:
                begun = (label, attempt, row)
            else:
                marks.append((*begun, row))
                begun = None
        if begun is not None:
            raise BadFormat(
                f"{events.fields.source}: no end of snapshot {begun[0]}",
                events.line_of(len(events) - 1),
                f"SNAP {begun[0]} {begun[1]} end",
            )
        return marks


def recordings() -> list[Path]:
    """The folders of the recordings that come with zonelab, by name."""
    root = Path(str(files("zonelab.kernel"))) / "recordings"
    return sorted(inner for inner in root.glob("*/*") if is_recording(inner))


def recorded(name: str) -> Path:
    """One of those, by its name: ``recorded("numa4/e2_containers")``.

    Raises:
        BadRequest: there is none of this name.
    """
    names = [f"{path.parent.name}/{path.name}" for path in recordings()]
    if name not in names:
        raise BadRequest(f"no recording {name!r} comes with zonelab; there are {', '.join(names)}")
    return recordings()[names.index(name)]


def read_log(data: bytes, source: str) -> list[Snapshot]:
    """The snapshots of a recorder's log."""
    text = data.decode(errors="replace")
    if not text.endswith("\n"):
        raise BadFormat(f"{source}: the last line is torn", text.count("\n") + 1, "a newline at its end")
    snapshots: list[Snapshot] = []
    blocks: dict[str, Block] = {}
    at, line = 0, 1
    while at < len(text):
        end = text.index("\n", at)
        if text.startswith("@snap ", at):
            match = SNAP.match(text, at, end + 1)
            if match is None:
                raise BadFormat(f"{source}: {text[at:end][:80]!r}", line, "@snap LABEL try N stable 0|1 ...")
            blocks = {}
            snapshots.append(Snapshot(match[1], int(match[2]), match[3] == "1", blocks, source))
        elif text.startswith("@begin ", at):
            words = text[at:end].split()
            close = text.find("\n@end\n", end)
            if len(words) < 2 or close < 0:
                raise BadFormat(f"{source}: {text[at:end][:80]!r} is not closed", line, "@begin KIND LABEL ... @end")
            body = text[end + 1 : close + 1]
            nested = body.find("@begin ") if body.startswith("@begin ") else body.find("\n@begin ") + 1
            if body.startswith("@begin ") or nested:
                inside = line + 1 + body.count("\n", 0, nested)
                raise BadFormat(f"{source}: a new block within {' '.join(words)}", inside, "@end before it")
            if snapshots and len(words) > 2 and words[2] == snapshots[-1].label:
                blocks.setdefault(words[1], Block(line + 1, body))
            line += body.count("\n") + 1
            end = close + len("\n@end")
        elif text[at] not in "@<> ":
            raise BadFormat(f"{source}: {text[at:end][:80]!r}", line, "a line that starts with >, <, a blank or @")
        at, line = end + 1, line + 1
    return snapshots


def is_recording(folder: Path) -> bool:
    """Whether the folder holds the two files that a replay needs."""
    return all((folder / f"{name}.xz").is_file() or (folder / name).is_file() for name in (EVENTS, LOG))


def read_file(folder: Path, name: str) -> tuple[bytes, str]:
    """A file of a recording, unpacked, and what to call it in an error."""
    packed = folder / f"{name}.xz"
    if not packed.is_file():
        return (folder / name).read_bytes(), f"{folder.name}/{name}"
    source = f"{folder.name}/{packed.name}"
    raw = packed.read_bytes()
    try:
        return lzma.decompress(raw), source
    except lzma.LZMAError as error:
        kept = _salvage(raw)
        raise BadFormat(
            f"{source} is not a whole xz file ({error}); {len(kept):,} bytes of text can be read",
            kept.count(b"\n") + 1,
            "a file that xz --test accepts",
        ) from None


def _salvage(raw: bytes) -> bytes:
    """What can be unpacked of a damaged xz file."""
    unpack = lzma.LZMADecompressor()
    out = b""
    step = 1 << 12
    try:
        for at in range(0, len(raw), step):
            out += unpack.decompress(raw[at : at + step])
    except (lzma.LZMAError, EOFError):
        pass
    return out
