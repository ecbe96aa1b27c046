"""Zone: some MAX_ORDER blocks of one node, with their free areas and watermarks."""

from __future__ import annotations

from math import isqrt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zonelab.machine.buddy import FreeArea
from zonelab.machine.pages import BLOCK, MAX_ORDER, PAGE, Run

Role = Literal["main", "private", "shared", "mount", "fake", "spare"]
Profile = Literal["2.6.20", "6.12"]


class Zone:
    """A zone: the unit that is allocated from, and reclaimed in.

    A node boots with one zone, its *main* zone. *Software zones* are carved out of it in whole blocks: private to a
    container, shared by a set, or for the files of a mount.

    Attributes:
        id: place in ``machine.zones``; the number that the block table stores.
        name: without blanks, as ``/proc/buddyinfo`` prints it.
        node: the node it lies on.
        role: what it is for.
        owner: the Container, ContainerSet or Mount it belongs to; None for a main zone.
        blocks: its block numbers (pfn >> MAX_ORDER), sorted, int64.
        min, low, high: watermarks in pages (``setup_per_zone_wmarks()``).
        reserve: pages above each mark that are kept from whoever could have had a higher zone of the node
            (``lowmem_reserve``); 0 unless the zone is such a low one.
    """

    __slots__ = (
        "blocks",
        "free_area",
        "high",
        "id",
        "low",
        "min",
        "name",
        "node",
        "owner",
        "profile",
        "reserve",
        "role",
    )

    def __init__(
        self, id: int, name: str, node: int, role: Role, owner: Any, blocks: npt.NDArray[np.int64], profile: Profile
    ) -> None:
        self.id, self.name, self.node, self.role, self.owner = id, name, node, role, owner
        self.blocks = blocks
        self.profile = profile
        self.free_area = FreeArea(tail_rule=profile != "2.6.20")
        self.min = self.low = self.high = self.reserve = 0

    def __repr__(self) -> str:
        return f"<zone {self.name} on node {self.node}: {self.free_pages} of {self.pages} pages free>"

    def __str__(self) -> str:
        return self.name

    @property
    def pages(self) -> int:
        """Pages that the zone manages, free or not."""
        return len(self.blocks) << MAX_ORDER

    @property
    def free_pages(self) -> int:
        return self.free_area.free_pages

    @property
    def used(self) -> int:
        return self.pages - self.free_pages

    @property
    def room(self) -> int:
        """Pages that it may give before it is down to its low watermark and reserve."""
        return max(0, self.free_pages - self.low - self.reserve)

    @property
    def buddyinfo(self) -> list[int]:
        """Free blocks per order, as ``/proc/buddyinfo`` prints them."""
        return self.free_area.counts()

    def spans(self) -> list[Run]:
        """Its stretches of neighbouring blocks, as ``(first pfn, pages)``."""
        if not len(self.blocks):
            return []
        breaks = np.flatnonzero(np.diff(self.blocks) != 1) + 1
        return [(int(part[0]) * BLOCK, len(part) * BLOCK) for part in np.split(self.blocks, breaks)]

    def watermark_ok(self, order: int = 0, mark: int | None = None) -> bool:
        """May this zone give a block of 2**order pages and stay above `mark` (pages; default its low watermark)?

        ``__zone_watermark_ok()``: in 6.12 the free pages less the block must exceed the mark, and a block that is large
        enough must exist. In 2.6.20 there was no such look; instead pages in blocks that are too small did not count,
        against a mark halved at each order.
        """
        mark = self.low if mark is None else mark
        free = self.free_pages - (1 << order) + 1 - self.reserve
        if free <= mark:
            return False
        if self.profile == "2.6.20":
            for below in range(order):
                free -= len(self.free_area.lists[below]) << below
                mark >>= 1
                if free <= mark:
                    return False
            return True
        return any(self.free_area.lists[order:])

    def set_watermarks(self, machine_pages: int) -> None:
        """Min, low and high mark for a zone of this size in a machine of `machine_pages`.

        The reserve of the whole machine, ``min_free_kbytes``, grows with the square root of its memory; each zone has
        its share. Low and high lie above by a quarter of that, in 6.12 by 0.1 % of the zone if that is more.
        """
        kib = machine_pages * PAGE // 1024
        min_free_kib = min(max(isqrt(kib * 16), 128), 65536 if self.profile == "2.6.20" else 262144)
        self.min = (min_free_kib * 1024 // PAGE) * self.pages // machine_pages
        if self.profile == "2.6.20":
            self.low, self.high = self.min + self.min // 4, self.min + self.min // 2
        else:
            step = max(self.min // 4, self.pages * 10 // 10000)
            self.low, self.high = self.min + step, self.min + 2 * step
