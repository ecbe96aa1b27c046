"""A slab of dentries, and the shrinker that throws them away (C14).

Dentries (names of files looked up) are small: 21 of 192 bytes fit in a page. Which page one is in depends on which had a
free place when it was made, so neighbours in a page were often made for different containers, and a page comes back only
when *all* its dentries are gone. In 2.6.20 the shrinker knew neither nodes nor zones (``shrink_dcache_memory()``: one list
for the machine); since 3.12 it knows nodes (``list_lru``). Reach *zone* is what software zones would have needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine.fault import allocate, install
from zonelab.machine.memory import Mapping
from zonelab.machine.pages import KERNEL, PAGE

if TYPE_CHECKING:
    from zonelab.machine.container import Task
    from zonelab.machine.state import State
    from zonelab.machine.zone import Zone

DENTRY = 192
"""Bytes of a dentry (``struct dentry`` on 64-bit Linux)."""
PER_PAGE = PAGE // DENTRY
Reach = Literal["global", "node", "zone"]


class Shrunk(NamedTuple):
    """What the shrinker did: dentries thrown away, pages freed in all, and of these the pages freed where they were wanted."""

    objects: int
    pages: int
    wanted_there: int


class DentryCache:
    """All dentries, least recently used first.

    Attributes:
        page_of: dentry id → pfn; a dict, in order of use (oldest first).
        filled: pfn → dentries in that page.
        partial: pages with a free place, in the order in which they are filled up.
    """

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.page_of: dict[int, int] = {}
        self.filled: dict[int, int] = {}
        self.partial: dict[int, None] = {}
        self.made = 0
        self.pages_made = 0

    def __len__(self) -> int:
        return len(self.page_of)

    def add(self, m: State, task: Task, objects: int) -> range:
        """Make dentries for names that `task` looks up; returns their ids. Partly filled pages are filled up first."""
        first, pages = self.made, 0
        try:
            for _ in range(objects):
                if not self.partial:
                    runs = allocate(m, task, "slab", None, None, 1, None)
                    pfn = int(install(m, task, self.mapping, self.pages_made, runs, KERNEL)[0])
                    m.pages.stamp[pfn] = 0  # on no LRU list
                    self.pages_made += 1
                    pages += 1
                    self.filled[pfn] = 0
                    self.partial[pfn] = None
                pfn = next(iter(self.partial))
                self.filled[pfn] += 1
                if self.filled[pfn] == PER_PAGE:
                    del self.partial[pfn]
                self.page_of[self.made] = pfn
                self.made += 1
        finally:
            m.emit("slab", task=task.name, objects=self.made - first, pages=pages)
        return range(first, self.made)

    def use(self, ids: range | list[int]) -> None:
        """The names are looked up again: they become the youngest. Unknown (already thrown away) ids are passed over."""
        for one in ids:
            if one in self.page_of:
                self.page_of[one] = self.page_of.pop(one)

    def shrink(self, m: State, zone: Zone, pages: int, reach: Reach) -> Shrunk:
        """Throw away the oldest dentries within reach until `pages` pages came back in `zone`, or none are left.

        Args:
            reach: which dentries the shrinker can see: all; those on the zone's node; those in the zone.
        """
        if reach not in ("global", "node", "zone"):
            raise BadRequest(f"reach is {reach!r}; it can be 'global', 'node' or 'zone'")
        objects = freed = there = 0
        released: list[int] = []
        for one, pfn in list(self.page_of.items()):
            if there >= pages:
                break
            block = pfn >> 10
            if (reach == "zone" and m.block_zone[block] != zone.id) or (
                reach == "node" and m.node_of_block[block] != zone.node
            ):
                continue
            del self.page_of[one]
            objects += 1
            self.filled[pfn] -= 1
            self.partial[pfn] = None
            if not self.filled[pfn]:
                del self.filled[pfn], self.partial[pfn]
                released.append(pfn)
                freed += 1
                there += int(m.block_zone[block] == zone.id)
        m.release(np.array(released, np.int64))
        m.emit("shrink_slab", reach=reach, objects=objects, pages=freed, wanted_there=there, where=zone.name)
        return Shrunk(objects, freed, there)
