"""Trace text as people have it, from ``/sys/kernel/tracing/trace``, ``trace-cmd report`` or ``perf script``.

The lines of the *kmem* and *migrate* events are turned into the columns of :mod:`zonelab.kernel.trace`; from there on nothing
tells them from a recording's. Other events become *O* lines.
"""

from __future__ import annotations

import re
from collections import Counter

from zonelab.errors import BadFormat
from zonelab.kernel.trace import TRACEPOINTS, Events

FTRACE = re.compile(
    r"\s*(.{1,24}?)-(\d{1,9})\s+(?:\(\s*[\d-]+\)\s+)?\[(\d{1,5})\]\s+(?:\S{4,6}\s+)?(\d{1,12})\.(\d{6}):\s+(?:\w+:)?(\w+):\s*(.*)"
)
PERF = re.compile(
    r"\s*(\S.{0,24}?)\s+(\d{1,9})(?:/\d{1,9})?\s+\[(\d{1,5})\]\s+(\d{1,12})\.(\d{6,9}):\s+(?:\w+:)?(\w+):\s*(.*)"
)
FIELD = re.compile(r"(\w+)=(\S*)")
LOST = re.compile(r"CPU:?\s*\d+ \[?LOST (\d+) EVENTS")
LINE = "comm-pid [cpu] flags seconds.micros: event: fields, as ftrace, trace-cmd or perf script print it"
FIELDS = {
    "Z": ("pfn", "order", "migratetype", "percpu_refill"),
    "A": ("pfn", "order", "migratetype", "gfp_flags"),
    "F": ("pfn", "order"),
    "B": ("pfn",),
    "D": ("pfn", "order", "migratetype"),
    "X": (
        "pfn",
        "alloc_order",
        "fallback_order",
        "alloc_migratetype",
        "fallback_migratetype",
        "fragmenting",
        "change_ownership",
    ),
}
"""What the fields are called in the text, in the order of ``trace.ARGUMENTS``."""


def parse(text: str, source: str = "trace") -> Events:
    """Read trace text.

    Raises:
        BadFormat: a line that is no event, an event that is torn or lacks a field, time that runs backwards on one cpu, or
            nothing at all.
    """
    return Events(as_recorded(text, source).encode(), source)


def as_recorded(text: str, source: str = "trace") -> str:
    """The same events as text of a recording (``events.tsv``); raises as ``parse`` does."""
    rows: list[str] = []
    counts: Counter[str] = Counter()
    gfp: dict[str, int] = {}
    pids: dict[int, str] = {}
    last = first = None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#") or line.startswith("cpus="):
            continue
        if LOST.search(line):
            raise BadFormat(
                f"{source}: {line.strip()[:60]!r}: the ring buffer overran",
                number,
                "a trace without lost events; use a larger buffer",
            )
        match = FTRACE.fullmatch(line) or PERF.fullmatch(line)
        if match is None:
            raise BadFormat(f"{source}: {line.strip()[:60]!r}", number, LINE)
        comm, pid, cpu, seconds, fraction, event, rest = match.groups()
        now = int(seconds) * 1_000_000 + int(fraction[:6])
        first = now if first is None else first
        if last is not None and now < last:
            raise BadFormat(
                f"{source}: {seconds}.{fraction} s comes after {last / 1e6:.6f} s",
                number,
                "events in the order of their times",
            )
        pids[int(pid)] = comm.strip()
        letter = TRACEPOINTS.get(event, "O")
        counts[event] += 1
        if letter in FIELDS:
            words = _arguments(letter, rest, source, number, gfp)
        elif letter == "U":
            found = dict(FIELD.findall(rest))
            if not {"address", "error_code"} <= found.keys():
                raise BadFormat(f"{source}: a torn {event}: {rest[:60]!r}", number, "address=, ip= and error_code=")
            words = [f"{int(found['address'], 16) >> 12:x}", f"{int(found['error_code'], 16):x}"]
        else:
            words = [rest if letter == "K" else f"{event} {rest}".strip()]
        rows.append("\t".join([str(now - (first if last is None else last)), str(int(cpu)), pid, letter, *words]))
        last = now
    if not rows:
        raise BadFormat(f"{source}: no event in it", None, LINE)
    head = [f"#entries\t{len(rows)}\t{len(rows)}", f"#t0_us\t{first}"]
    head += [f"#gfp\t{n}\t{flags}" for flags, n in gfp.items()]
    head += [f"#pid\t{pid}\t{comm}" for pid, comm in sorted(pids.items())]
    head += [f"#count\t{event}\t{count}" for event, count in sorted(counts.items())]
    return "\n".join([*head, *rows, ""])


def _arguments(letter: str, rest: str, source: str, line: int, gfp: dict[str, int]) -> list[str]:
    """The arguments of a kmem event, as a recording writes them: pfn in hexadecimal, gfp flags by number."""
    found = dict(FIELD.findall(rest))
    missing = [name for name in FIELDS[letter] if name not in found]
    if missing == ["percpu_refill"]:  # older kernels do not say
        found["percpu_refill"], missing = "0", []
    if missing:
        raise BadFormat(
            f"{source}: an event without {', '.join(missing)}: {rest[:60]!r}",
            line,
            " ".join(f"{n}=" for n in FIELDS[letter]),
        )
    out = []
    for name in FIELDS[letter]:
        value = found[name]
        if name == "gfp_flags":
            out.append(str(gfp.setdefault(value, len(gfp))))
            continue
        try:  # since 5.14 pfns are hexadecimal with 0x; before that they were decimal
            n = int(value, 16 if value.startswith("0x") else 10)
        except ValueError:
            raise BadFormat(f"{source}: {name}={value[:20]}", line, "a number") from None
        if not 0 <= n < 2**52:
            raise BadFormat(f"{source}: {name}={value[:20]}", line, "a number of at most 52 bits")
        out.append(f"{n:x}" if name == "pfn" else str(n))
    return out


__all__ = ["as_recorded", "parse"]
