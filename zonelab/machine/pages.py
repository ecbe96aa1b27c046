"""Page frames as arrays, and runs of them.

A *page frame* is 4 KiB of physical memory, known by its number (``pfn``). Linux keeps a ``struct page`` of 64 bytes for
each; we keep 13 bytes in five arrays indexed by pfn. Which zone a page lies in is not among them: that is asked of the
block table, ``block_zone[pfn >> MAX_ORDER]``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

PAGE = 4096
"""Bytes in a page."""
MAX_ORDER = 10
"""Largest order of a free block, inclusive (``MAX_PAGE_ORDER`` of Linux 6.8 and later; before 6.4, ``MAX_ORDER - 1``)."""
ORDERS = MAX_ORDER + 1
BLOCK = 1 << MAX_ORDER
"""Pages in a MAX_ORDER block, ``MAX_ORDER_NR_PAGES``: 1,024 pages, 4 MiB."""
MIB = (1 << 20) // PAGE
"""Pages in a MiB."""
BLOCK_MIB = BLOCK // MIB

HUGE = 4 << 20
"""Bytes from which on numpy asks for huge pages."""

Run = tuple[int, int]
"""``(first pfn, length in pages)``."""
Pfns = npt.NDArray[np.int64]
"""An array of page frame numbers."""
Mask = npt.NDArray[np.bool_]
"""Which of an array's entries are meant."""

# Page flags, as bits of ``Pages.flags``.
DIRTY = 1
"""The page differs from its file: it must be written before it can be dropped."""
REFERENCED = 2
"""Touched since the clock hand last passed (two-list clock only)."""
ACTIVE = 4
"""On the active list (two-list clock only)."""
PINNED = 8
"""Somebody holds the frame itself (DMA, ``mlock`` with pinning): it can be neither reclaimed nor moved."""
SWAPPABLE = 16
"""Anonymous or shmem: the page has no file to go back to, only swap."""
KERNEL = 32
"""Kernel memory (slab): on no LRU list, cannot move."""
READAHEAD = 64
"""Whoever faults on this page of a file has the pages behind it read (``PG_readahead``)."""


class Pages:
    """Every page frame of the machine, as arrays indexed by pfn.

    Attributes (one entry a page):
        owner: uint16, the account that is charged; 0 for a free page.
        mapping: uint16, the id of the mapping (file, shmem, anonymous family) whose content the page holds.
        index: uint32, the page's offset in that mapping, in pages.
        stamp: uint32, when it was last used, in touches since boot; 0 for a page on no LRU list.
        flags: uint8, the bits above.
    """

    __slots__ = ("flags", "index", "mapping", "owner", "stamp")

    def __init__(self, count: int) -> None:
        self.owner = zeros(count, np.uint16)
        self.mapping = zeros(count, np.uint16)
        self.index = zeros(count, np.uint32)
        self.stamp = zeros(count, np.uint32)
        self.flags = zeros(count, np.uint8)

    def arrays(self) -> tuple[npt.NDArray[np.unsignedinteger], ...]:
        """The five arrays, in the order of their names in the class docstring."""
        return (self.owner, self.mapping, self.index, self.stamp, self.flags)

    def clear(self, where: Pfns | slice) -> None:
        """Forget everything about these pages: they are free."""
        at = where if isinstance(where, slice) else as_slice(where)
        for array in self.arrays():
            array[at] = 0

    def copy(self, source: Pfns, target: Pfns) -> None:
        """What a page migration carries over: the content's identity, the charge, the age, the flags."""
        to, of = as_slice(target), as_slice(source)
        for array in self.arrays():
            array[to] = array[of]

    @property
    def bytes_per_page(self) -> int:
        return sum(array.itemsize for array in self.arrays())


def zeros(count: int, kind: type[np.unsignedinteger]) -> npt.NDArray[Any]:
    """An array of zeros that takes memory only where it is written to.

    From 4 MiB on numpy asks for huge pages of 2 MiB, and a page here and there in a large machine would have each of them
    cleared: that takes longer than a whole story. So large arrays are mapped here, in pages of 4 KiB.
    """
    size = count * np.dtype(kind).itemsize
    if size >= HUGE:
        with suppress(OSError, ValueError):  # where no memory can be mapped, as in a browser
            return np.frombuffer(mmap.mmap(-1, size), kind)
    return np.zeros(count, kind)


def as_slice(pfns: Pfns) -> Pfns | slice:
    """The same pages as a slice if they are one rising run; numpy is several times faster on those."""
    n = len(pfns)
    if n > 1 and pfns[-1] - pfns[0] == n - 1 and bool((pfns[1:] - pfns[:-1] == 1).all()):
        return slice(int(pfns[0]), int(pfns[0]) + n)
    return pfns


def expand(runs: Iterable[Run]) -> Pfns:
    """All pfns of the runs, in order. O(pages)."""
    runs = list(runs)
    if len(runs) == 1:
        first, length = runs[0]
        return np.arange(first, first + length, dtype=np.int64)
    if not runs:
        return np.empty(0, np.int64)
    first, length = np.array(runs, np.int64).T
    out = np.arange(int(length.sum()), dtype=np.int64)
    counts = length.astype(np.intp, copy=False)  # 32 bits in a browser, where numpy takes no wider ones
    out += np.repeat(first - (np.cumsum(length) - length), counts)
    return out


def runs_of(pfns: Pfns) -> list[Run]:
    """Maximal rising runs of an array of pfns, in the array's order. O(pages)."""
    if not len(pfns):
        return []
    breaks = np.flatnonzero(np.diff(pfns) != 1) + 1
    first = pfns[np.concatenate(([0], breaks))]
    length = np.diff(np.concatenate(([0], breaks, [len(pfns)])))
    return list(zip(first.tolist(), length.tolist(), strict=True))


def pages_of_mib(mib: float) -> int:
    """MiB as pages, rounded up to whole pages."""
    return -int(-mib * MIB // 1)
