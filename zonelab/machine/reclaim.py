"""Taking pages back: who goes first (LRU), what becomes of the page, and whose fault it was.

Reclaim works on one zone, or, for page ownership, on the pages of one account. What can go: a page of a file is dropped,
after it was written if it is dirty; an anonymous or shmem page goes to swap if there is room. What cannot: pinned pages,
kernel pages, anonymous memory without swap.

Every page taken back is booked in the interference matrix: whose page it was × who needed memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zonelab.machine.memory import ABSENT, SWAP, by_mapping, users
from zonelab.machine.pages import ACTIVE, BLOCK, DIRTY, KERNEL, PINNED, REFERENCED, SWAPPABLE, Mask, Pfns
from zonelab.machine.zone import Zone

if TYPE_CHECKING:
    from zonelab.machine.container import Container
    from zonelab.machine.state import State


_NONE = np.empty(0, np.int64)
_NO_STAMPS = np.empty(0, np.uint32)


class Swap:
    """A swap area: a count of slots, and who uses how many. Slots are numbered as they are handed out."""

    __slots__ = ("_free", "_next", "pages", "slots")

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.slots: dict[int, int] = {}
        """slot → account that lost the page"""
        self._free: list[int] = []
        self._next = 0

    @property
    def free(self) -> int:
        return self.pages - len(self.slots)

    def store(self, account: int) -> int:
        """A slot for one page; the caller has looked that one is free."""
        slot = self._free.pop() if self._free else self._next
        self._next = max(self._next, slot + 1)
        self.slots[slot] = account
        return slot

    def release(self, slot: int) -> None:
        del self.slots[slot]
        self._free.append(slot)


class ExactLRU:
    """Least recently used, exactly: every touch is remembered. No kernel can afford it; it is what they approximate.

    A queue a zone: its pages sorted by stamp once, then consumed. An entry is stale if the page was touched since; such
    a page is younger than all that is queued, so the first valid entry is the oldest page. Sorted anew when empty.
    Amortised O(log n) a page.
    """

    name = "exact"

    def __init__(self) -> None:
        self._queues: dict[object, tuple[Pfns, npt.NDArray[np.uint32]]] = {}

    def used(self, m: State, pfns: Pfns) -> None:
        """These resident pages were touched, in this order."""
        m.pages.stamp[pfns] = m.clock + 1 if len(pfns) == 1 else np.arange(m.clock + 1, m.clock + 1 + len(pfns))
        m.tick(len(pfns))

    def forget(self) -> None:
        """Pages came into a zone with an old stamp, or became reclaimable: the queues are no longer in order."""
        self._queues.clear()

    def victims(self, m: State, where: Zone | Container, count: int) -> Pfns:
        """The `count` pages to take back first, oldest first; fewer if there are no more."""
        found: list[Pfns] = []
        pinned: list[Pfns] = []  # passed over now, but still in the queue: they may be unpinned next
        missing = count
        fresh = False
        key = (type(where).__name__, where.id)
        while missing > 0:
            pfns, stamps = self._queues.pop(key, (_NONE, _NO_STAMPS))
            if not len(pfns):
                if fresh:
                    break
                pfns = reclaimable(m, where)
                if found:
                    pfns = pfns[~np.isin(pfns, np.concatenate(found))]
                stamps = m.pages.stamp[pfns]
                order = np.argsort(stamps, kind="stable")
                pfns, stamps, fresh = pfns[order], stamps[order], True
                if not len(pfns):
                    break
            part = max(missing, 64)
            head, rest = pfns[:part], (pfns[part:], stamps[part:])
            valid = (m.pages.stamp[head] == stamps[:part]) & (m.pages.stamp[head] > 0) & inside(m, where, head)
            good = valid & can_reclaim(m, head)
            good_at = np.flatnonzero(good)
            if len(good_at) > missing:  # put the unused tail back
                cut = int(good_at[missing])
                head, good, valid = head[:cut], good[:cut], valid[:cut]
                rest = (pfns[cut:], stamps[cut:])
            self._queues[key] = rest
            found.append(head[good])
            missing -= len(found[-1])
            pinned.append(head[valid & (m.pages.flags[head] & PINNED > 0)])
        back = np.concatenate(pinned) if pinned else _NONE
        if len(back):
            pfns, stamps = self._queues.get(key, (_NONE, _NO_STAMPS))
            self._queues[key] = np.concatenate([back, pfns]), np.concatenate([m.pages.stamp[back], stamps])
        return np.concatenate(found) if found else _NONE


class TwoListClock(ExactLRU):
    """The kernel's approximation: an inactive and an active list, and a referenced bit a page.

    A first touch sets the bit, a second one moves the page to the active list (``mark_page_accessed()``). Reclaim looks at
    the oldest inactive pages: one that was referenced gets a second chance, the others go. The active list is aged when it
    is longer than the inactive one (``shrink_active_list()``). The stamp is the time of entering a list, not of use.

    Simplified: files and anonymous memory share the lists, and the two are of equal length at best.
    """

    name = "clock"

    def used(self, m: State, pfns: Pfns) -> None:
        flags = m.pages.flags[pfns]
        again = (flags & REFERENCED > 0) & (flags & ACTIVE == 0)
        m.pages.flags[pfns] = np.where(again, (flags | ACTIVE) & ~np.uint8(REFERENCED), flags | REFERENCED)
        moved = pfns[again]
        m.pages.stamp[moved] = m.clock + 1 + np.flatnonzero(again)
        m.tick(len(pfns))

    def victims(self, m: State, where: Zone | Container, count: int) -> Pfns:
        pages = m.pages
        pfns = reclaimable(m, where)
        pfns = pfns[np.argsort(pages.stamp[pfns], kind="stable")]
        active = pfns[pages.flags[pfns] & ACTIVE > 0]
        surplus = (2 * len(active) - len(pfns) + 1) // 2
        if surplus > 0:  # age the active list: its oldest go to the head of the inactive one
            aged = active[:surplus]
            pages.flags[aged] &= ~np.uint8(ACTIVE | REFERENCED)
            pages.stamp[aged] = np.arange(m.clock + 1, m.clock + 1 + len(aged))
            m.tick(len(aged))
        inactive = pfns[pages.flags[pfns] & ACTIVE == 0]
        inactive = inactive[np.argsort(pages.stamp[inactive], kind="stable")]
        referenced = pages.flags[inactive] & REFERENCED > 0
        cold = inactive[~referenced]
        hand = int(np.flatnonzero(~referenced)[count - 1]) + 1 if len(cold) >= count else len(inactive)
        seen = inactive[:hand]
        spared = seen[pages.flags[seen] & REFERENCED > 0]
        chosen: Pfns = cold[:count]
        if len(chosen) < count:  # a full round of the hand: the bits are clear now
            more = count - len(chosen)
            chosen, spared = np.concatenate([chosen, spared[:more]]), spared[more:]
        pages.flags[spared] &= ~np.uint8(REFERENCED)
        pages.stamp[spared] = np.arange(m.clock + 1, m.clock + 1 + len(spared))
        m.tick(len(spared))
        return chosen


def reclaimable(m: State, where: Zone | Container) -> Pfns:
    """The pages of a zone or an account that reclaim may take, in order of pfn."""
    if isinstance(where, Zone):
        pfns = (where.blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        pfns = pfns[m.pages.stamp[pfns] > 0]
    else:
        pfns = np.flatnonzero(m.pages.owner == where.id).astype(np.int64)
        pfns = pfns[m.pages.stamp[pfns] > 0]
    able: Pfns = pfns[can_reclaim(m, pfns)]
    return able


def can_reclaim(m: State, pfns: Pfns) -> Mask:
    """Which of them may be taken back at all, as a mask."""
    stuck = PINNED | KERNEL | (0 if m.swap.free else SWAPPABLE)
    free_to_go: Mask = (m.pages.flags[pfns] & stuck) == 0
    return free_to_go


def inside(m: State, where: Zone | Container, pfns: Pfns) -> Mask:
    """Which of them lie in this zone, or are charged to this account."""
    here: Mask = (m.block_zone[pfns >> 10] if isinstance(where, Zone) else m.pages.owner[pfns]) == where.id
    return here


def reclaim_zone(m: State, zone: Zone, count: int, cause: Container, event: int | None) -> int:
    """Take back up to `count` pages of a zone because `cause` needs them (``shrink_node()``); returns how many went."""
    return _take_back(m, m.lru.victims(m, zone, count), f"zone {zone.name}", cause, event)


def reclaim_owner(m: State, account: Container, count: int, event: int | None) -> int:
    """Take back up to `count` pages charged to an account (``try_to_free_mem_cgroup_pages()``); returns how many went."""
    return _take_back(m, m.lru.victims(m, account, count), f"{account.name}'s own pages", account, event)


def _take_back(m: State, victims: Pfns, where: str, cause: Container, event: int | None) -> int:
    flags = m.pages.flags[victims]
    swappable = np.flatnonzero(flags & SWAPPABLE)
    if len(swappable) > m.swap.free:  # the youngest have to stay
        keep = np.ones(len(victims), bool)
        keep[swappable[m.swap.free :]] = False
        victims, flags = victims[keep], flags[keep]
    if not len(victims):
        return 0
    m.evictions += 1
    swapped = flags & SWAPPABLE > 0
    written = int(((flags & DIRTY > 0) & ~swapped).sum())
    owners = m.pages.owner[victims]
    for mapping, at, index in by_mapping(m.pages, m.mappings, victims):
        pfns = victims[at]
        entries = np.full(len(pfns), ABSENT, np.int64)
        out = swapped[at]
        if out.any():
            entries[out] = [SWAP - m.swap.store(int(owner)) for owner in owners[at][out].tolist()]
        for vma, mask, place in users(mapping, pfns, index):
            vma.table[place] = entries[mask] if mapping.kind == "anon" else ABSENT
        if mapping.kind != "anon":
            mapping.cache[index] = entries
            mapping.shadow[index[~out]] = owners[at][~out]
    for owner, pages in zip(*np.unique(owners, return_counts=True), strict=True):
        victim = m.accounts[int(owner)]
        assert victim is not None
        m.interference[victim.name, cause.name] += int(pages)
    m.writebacks += written
    m.release(victims)
    m.emit(
        "reclaim",
        event,
        where=where,
        cause=cause.name,
        pages=len(victims),
        dropped=int((~swapped).sum()) - written,
        written=written,
        swapped=int(swapped.sum()),
        victims={m.accounts[int(o)].name: int((owners == o).sum()) for o in np.unique(owners)},  # type: ignore[union-attr]
    )
    return len(victims)
