"""Neighbours of a faulting page: fault-around maps what the page cache has, readahead brings what it will need.

Both are off by default, since they hide the single fault that most of the course is about. ``Machine(fault_around=16,
readahead=32)`` is Linux's own setting: 64 KiB and 128 KiB.

*Fault-around* (``do_fault_around()``): a read fault on a file also maps the other pages of its aligned window that are in the
page cache, so a file in memory costs a sixteenth of the faults. *Readahead* (``do_sync_mmap_readahead()`` and
``page_cache_async_ra()``): a page that is not in memory is read with those around it, and a mark on one of them makes the
next window be read before it is needed. Fault-around passes over a marked page, for whoever reaches it must notice.

Simplified: a window may reach across the end of a page table; a file that is read at random (``mmap_miss``) is read ahead all the
same; ``read`` and ``write`` without a VMA do not read ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zonelab.machine.memory import ABSENT, VMA, Mapping
from zonelab.machine.pages import READAHEAD, Run, runs_of

if TYPE_CHECKING:
    from zonelab.machine.state import State


def window(m: State, vma: VMA, at: int) -> tuple[int, int]:
    """The first page of the fault-around window of a page, and the page behind its last."""
    first = at - (vma.start + at) % m.fault_around
    return max(0, first), min(first + m.fault_around, vma.pages)


def map_around(m: State, vma: VMA, at: int, cause: int | None) -> int:
    """Map the cached, unmarked pages of the window around page `at` of a file VMA; returns how many. O(window)."""
    assert vma.file is not None
    first, end = window(m, vma, at)
    table = vma.table[first:end]
    cache = vma.file.cache[vma.offset + first : vma.offset + end]
    new = (table == ABSENT) & (cache >= 0)
    new[new] = m.pages.flags[cache[new]] & READAHEAD == 0
    count = int(np.count_nonzero(new))
    if count:
        table[new] = cache[new]
        m.emit("around", cause, vma=vma.name, page=first, pages=count)
    return count


def ahead_of_miss(m: State, vma: VMA, index: int) -> list[Run]:
    """Page `index` of a file is not in memory: what is read with it, as runs of absent pages; sets the mark to come.

    The window reaches half its length back, and the page that begins its last quarter is marked.
    """
    assert vma.file is not None
    size = m.readahead
    start = max(0, index - size // 2)
    vma.ahead = (start, size, size // 4)
    return _absent(vma.file, start, start + size)


def ahead_of_mark(m: State, vma: VMA, index: int) -> list[Run]:
    """A marked page is reached: the next window, as runs of absent pages. All of it is marked by its first page."""
    assert vma.file is not None
    file, size = vma.file, m.readahead
    start, length, tail = vma.ahead
    if index in (start + length - tail, start + length):
        start += length
    else:  # someone else's mark: go on behind what is in memory
        missing = np.flatnonzero(file.cache[index + 1 : index + 1 + size] == ABSENT)
        if not len(missing):
            return []
        start = index + 1 + int(missing[0])
    vma.ahead = (start, size, size)
    return _absent(file, start, start + size)


def mark(m: State, vma: VMA, read: list[Run]) -> None:
    """Mark the page of the window that tells when to read on, if it was among those just read."""
    assert vma.file is not None
    start, size, tail = vma.ahead
    size = min(size, vma.file.pages - start)  # a window ends where the file does
    index = start + size - tail
    pfn = int(vma.file.cache[index]) if 0 <= index < vma.file.pages else ABSENT
    if pfn >= 0 and any(first <= index < first + length for first, length in read):
        m.pages.flags[pfn] |= READAHEAD


def _absent(file: Mapping, start: int, end: int) -> list[Run]:
    return runs_of(start + np.flatnonzero(file.cache[start:end] == ABSENT))
