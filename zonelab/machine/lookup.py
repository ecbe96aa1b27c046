"""Which zone does a page lie in? Three ways to know (C16), to be compared by the student.

All three answer for arrays of pfns. The machine itself uses the first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zonelab.machine.pages import BLOCK, MAX_ORDER, Pfns
from zonelab.machine.zone import Zone

ZoneIds = npt.NDArray[np.uint16]


class BlockTable:
    """One entry a MAX_ORDER block; needs zones made of whole blocks. 32 KiB for 64 GiB: it stays in the cache. O(1)."""

    def __init__(self, zones: list[Zone], pages: int) -> None:
        self.table = np.zeros(-(-pages // BLOCK), np.uint16)
        for zone in zones:
            self.table[zone.blocks] = zone.id

    def zone_of(self, pfns: Pfns) -> ZoneIds:
        ids: ZoneIds = self.table[pfns >> MAX_ORDER]
        return ids

    @property
    def nbytes(self) -> int:
        return self.table.nbytes


class PerPage:
    """One entry a page, as bits of ``page->flags`` would be; borders may lie anywhere. 32 MiB for 64 GiB. O(1)."""

    def __init__(self, zones: list[Zone], pages: int) -> None:
        self.table = np.zeros(pages, np.uint16)
        for zone in zones:
            for first, length in zone.spans():
                self.table[first : first + length] = zone.id

    def zone_of(self, pfns: Pfns) -> ZoneIds:
        return self.table[pfns]

    @property
    def nbytes(self) -> int:
        return self.table.nbytes


class SortedSpans:
    """Start of every stretch, sorted, and bisection; smallest as long as zones are in few pieces. O(log stretches)."""

    def __init__(self, zones: list[Zone], pages: int) -> None:
        spans = sorted((first, zone.id) for zone in zones for first, _ in zone.spans())
        self.starts = np.array([first for first, _ in spans], np.int64)
        self.ids = np.array([id for _, id in spans], np.uint16)

    def zone_of(self, pfns: Pfns) -> ZoneIds:
        ids: ZoneIds = self.ids[np.searchsorted(self.starts, pfns, side="right") - 1]
        return ids

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.ids.nbytes
