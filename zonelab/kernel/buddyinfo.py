"""``/proc/buddyinfo``: free blocks per zone and order, as ``frag_show_print()`` in mm/vmstat.c prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from zonelab.errors import BadFormat
from zonelab.kernel.text import number, numbered
from zonelab.machine.machine import Machine

ORDERS = 11
"""Columns that a kernel prints at least, if it is not configured otherwise: orders 0 to 10."""
LINE = re.compile(r"Node\s+(\d{1,9}),\s*zone\s+(\S+)\s+(.*)")
EXPECTED = "Node N, zone NAME and one count per order"


class FreeBlocks(NamedTuple):
    """One line: the free *blocks* (not pages) of each order in a zone."""

    node: int
    zone: str
    counts: tuple[int, ...]

    @property
    def pages(self) -> int:
        """Free pages."""
        return sum(count << order for order, count in enumerate(self.counts))


def rows(machine: Machine) -> list[FreeBlocks]:
    """A simulated machine's zones, node by node, main zone first."""
    return [FreeBlocks(zone.node, zone.name, tuple(zone.buddyinfo)) for node in machine.nodes for zone in node.zones]


def format(machine: Machine) -> str:
    """The machine's ``/proc/buddyinfo``, trailing blanks included."""
    return format_rows(rows(machine))


def format_rows(rows: Iterable[FreeBlocks]) -> str:
    """Rows as the kernel prints them. A zone's name longer than 8 characters widens its line."""
    return "".join(
        f"Node {row.node}, zone {row.zone:>8s} " + "".join(f"{count:6d} " for count in row.counts) + "\n"
        for row in rows
    )


def parse(text: str, orders: int | None = None) -> list[FreeBlocks]:
    """Read ``/proc/buddyinfo``, from any machine; blanks do not matter.

    Args:
        orders: how many columns there must be; by default as many as in the first line, and at least 11.

    Raises:
        BadFormat: a line that is torn or foreign, a zone twice, or no line at all. What cannot be seen is a last number
            that lost its last digits together with everything behind it.
    """
    out: list[FreeBlocks] = []
    seen: set[tuple[int, str]] = set()
    for at, line in numbered(text):
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise BadFormat(f"not a line of buddyinfo: {line[:60]!r}", at, EXPECTED)
        counts = tuple(number(word, at, "a count") for word in match[3].split())
        wanted = len(out[0].counts) if out else orders
        if wanted is not None and len(counts) != wanted:
            raise BadFormat(f"{len(counts)} counts", at, f"{wanted}, one per order")
        if wanted is None and len(counts) < ORDERS:
            raise BadFormat(f"{len(counts)} counts", at, f"{ORDERS} or more, one per order")
        row = FreeBlocks(int(match[1]), match[2], counts)
        if (row.node, row.zone) in seen:
            raise BadFormat(f"node {row.node}, zone {row.zone} for the second time", at, "each zone once")
        seen.add((row.node, row.zone))
        out.append(row)
    if not out:
        raise BadFormat("no zone in this text", 1, EXPECTED)
    return out
