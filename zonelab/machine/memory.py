"""What is mapped where: mappings, VMAs and their page tables, and the way back from a page to its users.

As in Linux a page frame knows only its *mapping* and its *index* there. Who has it in a page table is found by asking the
VMAs of the mapping (object-based reverse mapping, ``rmap_walk()``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from zonelab.machine.pages import Pages, Pfns, as_slice

if TYPE_CHECKING:
    from zonelab.machine.container import Mount, Task

ABSENT = -1
"""A page table or page cache entry with nothing in it."""
ZERO = -2
"""A page table entry that maps the shared zero page, read-only."""
SWAP = -3
"""This and all smaller entries name a swap slot: slot = SWAP - entry."""

Entries = npt.NDArray[np.int64]


@dataclass(eq=False, slots=True)
class Mapping:
    """An object whose pages can be in memory (``address_space``, or ``anon_vma`` for anonymous memory).

    Attributes:
        id: what ``pages.mapping`` stores.
        kind: *file*; *shmem* (tmpfs, shared anonymous memory); *anon*, the private pages of a family of VMAs that
            descend from one by fork; *slab*, dentries; *kernel*, blocks that the kernel took for itself.
        pages: its length in pages.
        cache: for file and shmem, the page cache: int64[pages], a pfn, ABSENT or a swap entry.
        shadow: uint16[pages], account that lost the page to reclaim, 0 when it was not reclaimed.
        vmas: every VMA that may map its pages.
        keep: False for memory that goes away with its last VMA (shared anonymous memory).
    """

    id: int
    kind: Literal["file", "shmem", "anon", "slab", "kernel"]
    name: str
    pages: int
    mount: Mount | None = None
    keep: bool = True
    cache: Entries = field(default_factory=lambda: np.empty(0, np.int64))
    shadow: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    vmas: list[VMA] = field(default_factory=list)
    alive: bool = True

    def __post_init__(self) -> None:
        if self.kind in ("file", "shmem"):
            self.cache = np.full(self.pages, ABSENT, np.int64)
            self.shadow = np.zeros(self.pages, np.uint16)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}: {self.pages} pages, {int((self.cache >= 0).sum())} cached>"


@dataclass(eq=False, slots=True)
class VMA:
    """A stretch of a task's address space.

    Attributes:
        offset: index in `file` of its first page.
        file: the file or shmem object behind it; None for private anonymous memory.
        anon: the family its private pages belong to; None for a shared mapping.
        table: its part of the page table: int64[pages], a pfn, ABSENT, ZERO or a swap entry.
        start: number of its first page in the task's address space, where somebody cares; 0 otherwise.
        ahead: what was last read ahead of its faults, as (first page of the file, pages, pages behind the mark).
    """

    task: Task
    name: str
    pages: int
    shared: bool
    offset: int
    file: Mapping | None
    anon: Mapping | None
    table: Entries
    alive: bool = True
    start: int = 0
    ahead: tuple[int, int, int] = (0, 0, 0)

    def __repr__(self) -> str:
        how = "shared" if self.shared else "private"
        return f"<vma {self.name} of {self.task.name}: {self.pages} pages, {how} {self.file.name if self.file else 'anonymous'}>"

    @property
    def resident(self) -> int:
        """Pages of it that are in memory, the zero page not counted."""
        return int((self.table >= 0).sum())


def by_mapping(pages: Pages, mappings: list[Mapping | None], pfns: Pfns) -> Iterator[tuple[Mapping, Pfns, Entries]]:
    """The pages sorted by the object they belong to: ``(mapping, positions in pfns, indices in the mapping)`` for each."""
    if not len(pfns):
        return
    at = as_slice(pfns)
    ids = pages.mapping[at]
    index = pages.index[at].astype(np.int64)
    alone = bool((ids == ids[0]).all())
    for one in [int(ids[0])] if alone else np.unique(ids).tolist():
        mapping = mappings[one]
        assert mapping is not None
        where = np.arange(len(pfns)) if alone else np.flatnonzero(ids == one)
        yield mapping, where, index[where]


def users(mapping: Mapping, pfns: Pfns, index: Entries) -> Iterator[tuple[VMA, npt.NDArray[np.bool_], Entries]]:
    """Who has these pages of one mapping in a page table: ``(vma, mask over pfns, table positions where the mask holds)``.

    O(VMAs of the mapping × pages), vectorised over pages.
    """
    for vma in mapping.vmas:
        at = index - vma.offset
        if at.min() >= 0 and at.max() < vma.pages:
            mask = vma.table[as_slice(at)] == pfns
        else:
            mask = (at >= 0) & (at < vma.pages)
            mask[mask] = vma.table[at[mask]] == pfns[mask]
        if mask.any():
            yield vma, mask, at if mask.all() else at[mask]


def mapcount(mappings: list[Mapping | None], pages: Pages, pfns: Pfns) -> npt.NDArray[np.int64]:
    """How many VMAs map each of the pages."""
    count = np.zeros(len(pfns), np.int64)
    for mapping, where, index in by_mapping(pages, mappings, pfns):
        for _, mask, _ in users(mapping, pfns[where], index):
            count[where[mask]] += 1
    return count
