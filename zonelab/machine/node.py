"""Nodes, the distances between them, and the block table that says in which zone a page lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zonelab.errors import BadRequest
from zonelab.machine.pages import BLOCK, BLOCK_MIB, MAX_ORDER
from zonelab.machine.refuse import shown
from zonelab.machine.zone import Zone

LOCAL = 10
"""Distance of a node to itself, by definition of the ACPI SLIT table."""
REMOTE = 20
"""Distance to another node when nothing else is said."""


class Node:
    """One NUMA node (``pglist_data``): memory that is near to some cpus.

    Attributes:
        start_pfn, pages: its span.
        main: the zone it boots with, out of which software zones are carved.
        zones: all its zones, main zone first, then in order of creation.
    """

    __slots__ = ("id", "main", "pages", "start_pfn", "zones")

    def __init__(self, id: int, start_pfn: int, main: Zone) -> None:
        self.id, self.start_pfn, self.main = id, start_pfn, main
        self.pages = main.pages
        self.zones = [main]

    def __repr__(self) -> str:
        return f"<node {self.id}: {self.pages} pages from pfn {self.start_pfn}, zones {[z.name for z in self.zones]}>"

    def free_blocks(self) -> npt.NDArray[np.int64]:
        """The wholly free blocks of the main zone, rising."""
        heads = self.main.free_area.lists[MAX_ORDER]
        free = np.zeros(self.pages >> MAX_ORDER, bool)
        free[(np.fromiter(heads, np.int64, len(heads)) - self.start_pfn) >> MAX_ORDER] = True
        return np.flatnonzero(free) + (self.start_pfn >> MAX_ORDER)

    def longest_free_stretch(self) -> int:
        """Blocks in the longest run of wholly free neighbouring blocks of the main zone."""
        heads = self.free_blocks()
        if not len(heads):
            return 0
        breaks = np.flatnonzero(np.diff(heads) != 1) + 1
        return int(np.diff(np.concatenate(([0], breaks, [len(heads)]))).max())

    def choose_blocks(self, count: int, at: int | None = None, contiguous: bool = True) -> npt.NDArray[np.int64]:
        """Wholly free blocks of the main zone to carve: the lowest stretch that is long enough, or those from pfn `at`.

        Raises:
            BadRequest: there are not so many, or not in one stretch, or not there.
        """
        heads = self.free_blocks()
        if at is not None and at % BLOCK:
            raise BadRequest(
                f"a zone cannot start at pfn {at:,}: a zone border must be a multiple of MAX_ORDER_NR_PAGES = {BLOCK:,} "
                f"pages, else a block would lie in two zones; {at // BLOCK * BLOCK:,} or {(at // BLOCK + 1) * BLOCK:,} would do"
            )
        most = min(len(heads), len(self.main.blocks) - 1)
        if count > most:
            keeps = " and must keep one of them" if most < len(heads) else ""
            advice = f"ask for at most {most * BLOCK_MIB} MiB" if most else "merge a zone or free memory there first"
            raise BadRequest(
                f"{count} blocks of {BLOCK_MIB} MiB wanted, but the main zone of node {self.id} has only {len(heads)} wholly free "
                f"ones{keeps} ({self.main.free_pages:,} free pages in all); {advice}"
            )
        if at is not None:
            wanted = np.arange(at >> MAX_ORDER, (at >> MAX_ORDER) + count)
            missing = wanted[~np.isin(wanted, heads)]
            if len(missing):
                raise BadRequest(
                    f"block {int(missing[0])} (pfn {int(missing[0]) * BLOCK:,}) is not a free block of {self.main.name} on node "
                    f"{self.id}: it is in use, belongs to another zone, or lies outside the node "
                    f"(pfn {self.start_pfn:,} to {self.start_pfn + self.pages - 1:,})"
                )
            return wanted
        if not contiguous:
            return heads[:count]
        fits = np.flatnonzero(heads[count - 1 :] - heads[: len(heads) - count + 1] == count - 1)
        if not len(fits):
            raise BadRequest(
                f"{count} neighbouring blocks of 4 MiB wanted, but the longest free stretch on node {self.id} has "
                f"{self.longest_free_stretch()} of its {len(heads)} free blocks; ask for less, or for contiguous=False"
            )
        return heads[fits[0] : fits[0] + count]


def check_distances(distances: Any, nodes: int) -> list[list[int]]:
    """The distance matrix, checked as the kernel checks a SLIT; 10 on the diagonal and 20 elsewhere by default."""
    if distances is None:
        return [[LOCAL if a == b else REMOTE for b in range(nodes)] for a in range(nodes)]
    rows = distances.tolist() if isinstance(distances, np.ndarray) else distances
    lists = isinstance(rows, list | tuple) and all(isinstance(row, list | tuple) for row in rows)
    if not lists or len(rows) != nodes or any(len(row) != nodes for row in rows):
        raise BadRequest(
            f"distances={shown(distances)}: they must be a {nodes} × {nodes} matrix, one row and column a node"
        )
    for a, row in enumerate(rows):
        for b, distance in enumerate(row):
            number = isinstance(distance, int | float | np.integer | np.floating) and not isinstance(distance, bool)
            if not number or distance % 1 or (distance != LOCAL if a == b else not LOCAL <= distance <= 254):
                raise BadRequest(
                    f"distance from node {a} to node {b} is {shown(distance)}; a node is at {LOCAL} from itself and at "
                    f"{LOCAL} to 254 from others"
                )
    return [[int(d) for d in row] for row in rows]


def fallback_order(distances: list[list[int]], headless: frozenset[int] = frozenset()) -> list[list[int]]:
    """For each node the order in which all nodes are tried (``find_next_best_node()``).

    Nearest first, a node without cpus (`headless`) a trifle before others. Among equals a lower number than one's own costs a
    little extra, and a node that headed a group of equals for an earlier node is heavier, so that spilling spreads round the
    machine.
    """
    count = len(distances)
    load = [0] * count
    orders = []
    for local in range(count):
        order = [local]
        previous = LOCAL
        while len(order) < count:
            rest = [n for n in range(count) if n not in order]
            best = min(
                rest, key=lambda n: ((distances[local][n] + (n < local) + (n not in headless)) * 1024 + load[n], n)
            )
            if distances[local][best] != previous:
                load[best] += 1
            previous = distances[local][best]
            order.append(best)
        orders.append(order)
    return orders
