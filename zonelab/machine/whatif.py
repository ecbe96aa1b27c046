"""What if zones could start anywhere? An allocator without the alignment rule (C17).

Software zones of one hardware zone look alike to the merge test: the zone bits in ``page->flags`` are those of the
hardware zone. So the test joins buddies across a software border, if a border can lie between two buddies at all. Here it
can. Nothing else in zonelab uses this.
"""

from __future__ import annotations

from dataclasses import dataclass

from zonelab.errors import BadRequest
from zonelab.machine.buddy import FreeArea
from zonelab.machine.pages import MAX_ORDER


@dataclass(slots=True)
class Theft:
    """A merge across the border: `zone` freed a block and joined it with the block at `buddy`, which was `robbed`'s."""

    zone: str
    robbed: str
    pfn: int
    buddy: int
    order: int


class UncheckedZones:
    """Two neighbouring zones, A = [start, border) and B = [border, end), and a merge test that cannot tell them apart.

    Args:
        checked: the merge test asks for the buddy's zone as well, so nothing is stolen; but then two halves of a block may
            wait on either side of the border, and ``merge`` has something to join.

    Attributes:
        areas: the free areas by zone name.
        thefts: merges across the border so far.
    """

    def __init__(self, start: int, border: int, end: int, checked: bool = False) -> None:
        if not 0 <= start < border < end:
            raise BadRequest(
                f"zones [{start}, {border}) and [{border}, {end}): the border must lie between start and end"
            )
        self.start, self.border, self.end = start, border, end
        self.checked = checked
        self.areas = {"A": FreeArea(), "B": FreeArea()}
        self.thefts: list[Theft] = []
        self.used: dict[int, int] = {}

    def zone_of(self, pfn: int) -> str:
        return "A" if pfn < self.border else "B"

    def start_used(self) -> None:
        """All pages of both zones are in use, page by page."""
        self.used = dict.fromkeys(range(self.start, self.end), 0)

    def free(self, pfn: int) -> None:
        """Free one page as ``__free_one_page()`` does, without asking in which zone the buddy lies."""
        if self.used.pop(pfn, None) is None:
            raise BadRequest(f"pfn {pfn} is not in use")
        zone, order = self.zone_of(pfn), 0
        self.areas[zone].free_pages += 1
        while order < MAX_ORDER:
            buddy = pfn ^ (1 << order)
            holder = next((name for name, area in self.areas.items() if buddy in area.lists[order]), None)
            if holder is None or (self.checked and self.zone_of(buddy) != zone):
                break
            # The kernel unlinks the buddy wherever it hangs, and counts it down in the zone it thinks it is in.
            del self.areas[holder].lists[order][buddy]
            if self.zone_of(buddy) != zone:
                self.thefts.append(Theft(zone, self.zone_of(buddy), pfn, buddy, order))
            pfn &= buddy
            order += 1
        self.areas[zone].lists[order][pfn] = None

    def merge(self) -> list[tuple[int, int]]:
        """Make the two zones one (A has all then); what had to be joined, as (pfn, order) of each block that came of it (C15)."""
        ours, theirs = self.areas["A"], self.areas["B"]
        ours.absorb(theirs)
        self.border = self.end
        joined = []
        for order in range(MAX_ORDER):
            for pfn in sorted(ours.lists[order]):
                buddy = pfn ^ (1 << order)
                if pfn < buddy and buddy in ours.lists[order]:
                    del ours.lists[order][pfn], ours.lists[order][buddy]
                    ours.lists[order + 1][pfn] = None
                    joined.append((pfn, order + 1))
        return joined

    def damage(self) -> dict[str, tuple[int, int, int]]:
        """For each zone: free pages by its counter, pages on its lists, and of these the pages that are not its own."""
        out = {}
        for name, area in self.areas.items():
            heads = [(pfn, order) for order, blocks in enumerate(area.lists) for pfn in blocks]
            listed = sum(1 << order for _, order in heads)
            foreign = sum(self.zone_of(page) != name for pfn, order in heads for page in range(pfn, pfn + (1 << order)))
            out[name] = (area.free_pages, listed, foreign)
        return out
