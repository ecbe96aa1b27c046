"""Free areas: the binary buddy allocator of one zone.

Like a shop that keeps ribbon in eleven drawers, each for one length, every length twice the one before. A customer gets
ribbon from the drawer of the shortest length that will do; a longer piece is cut in halves and the rest goes into the
drawers below. A piece that comes back is joined with its other half whenever that half lies in the same drawer.

The rules are the kernel's: ``__rmqueue_smallest()`` and ``expand()`` to allocate, ``__free_one_page()`` and
``buddy_merge_likely()`` to free. Left out, because a student can do without them here: migrate types and per-cpu lists.
"""

from __future__ import annotations

from collections import OrderedDict

from zonelab.machine.pages import MAX_ORDER, ORDERS, Run


class FreeArea:
    """The free lists of one zone, ``free_area[order]``.

    Each list is an ordered dict of block heads (pfn). Its *last* key is the head of the kernel's list, the block that is
    handed out next; so ``popitem()`` allocates, and ``del`` takes a buddy out of the middle. All are O(1).

    ========================== ========================================= ==================
    allocate                   ``alloc(order)``, ``take(pages)``,        O(orders), O(runs)
                               ``claim(pfn, order)``
    free                       ``free(pfn, order)``, ``give(pfn, n)``    O(orders), O(runs)
    look                       ``counts()``, ``holds(pfn)``,             O(orders)
                               ``fragmentation_index(order)`` ...
    ========================== ========================================= ==================

    Args:
        tail_rule: free a block to the *tail* of its list when it is likely to be merged soon, as Linux has done since
            2.6.35; False for Linux 2.6.20, which always frees to the head.
    """

    __slots__ = ("free_pages", "lists", "tail_rule")

    def __init__(self, tail_rule: bool = True) -> None:
        self.tail_rule = tail_rule
        self.lists: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(MAX_ORDER)]
        # The longest list, of which a big machine has thousands of entries. Nothing is ever freed to its tail, so it can be a
        # plain dict, which is made, copied and dropped three times as fast.
        self.lists.append({})  # type: ignore[arg-type]
        self.free_pages = 0

    # -- allocate

    def alloc(self, order: int = 0) -> int | None:
        """Take one block of 2**order pages: its first pfn, or None when no block is large enough.

        Smallest sufficient order, head of the list; of a larger block the lowest part is kept and the upper halves go
        to the heads of their lists (``__rmqueue_smallest()``, ``expand()``).
        """
        lists = self.lists
        area = lists[order]
        if area:
            self.free_pages -= 1 << order
            return area.popitem()[0]
        for found in range(order + 1, ORDERS):
            if lists[found]:
                pfn = lists[found].popitem()[0]
                self.free_pages -= 1 << order
                while found > order:
                    found -= 1
                    lists[found][pfn + (1 << found)] = None
                return pfn
        return None

    def take(self, pages: int) -> list[Run]:
        """What `pages` calls of ``alloc(0)`` in a row would return, as runs; shorter when the zone runs dry.

        Why this is the same: singles start from the smallest non-empty order, so all smaller lists are empty, the
        pieces of the block they split are the only content of those lists, and are used up in rising order of pfn
        before any other block is looked at.
        """
        lists = self.lists
        runs: list[Run] = []
        left = pages = min(pages, self.free_pages)
        order = 0
        while left:
            while not lists[order]:
                order += 1
            pfn = lists[order].popitem()[0]
            size = 1 << order
            while size > left:  # a part of this block will do: push the upper half, go on with the lower
                order -= 1
                size >>= 1
                lists[order][pfn + size] = None
            left -= size
            if runs and runs[-1][0] + runs[-1][1] == pfn:
                runs[-1] = (runs[-1][0], runs[-1][1] + size)
            else:
                runs.append((pfn, size))
            if left:
                order = 0
        self.free_pages -= pages
        return runs

    def claim(self, pfn: int, order: int = 0) -> bool:
        """Take exactly this block out of the lists, splitting the free block around it; False when it is not all free.

        Not something the page allocator does; a replay needs it, as does carving a chosen stretch of memory.
        """
        for found in range(order, ORDERS):
            head = pfn & ~((1 << found) - 1)
            if head in self.lists[found]:
                break
        else:
            return False
        del self.lists[found][head]
        while found > order:
            found -= 1
            half = 1 << found
            if pfn & half:
                self.lists[found][head] = None
                head += half
            else:
                self.lists[found][head + half] = None
        self.free_pages -= 1 << order
        return True

    # -- free

    def free(self, pfn: int, order: int = 0) -> int:
        """Give one block back, merging it with its buddy as long as that is free; returns the order it ended with.

        The buddy of a block is ``pfn ^ (1 << order)``: the other half of the next larger aligned block, and nothing
        else. The result goes to the head of its list, or to the tail if its own buddy is busy but the buddy of the pair
        that they would make is free: then it is likely to be merged soon and had better be used last.
        """
        lists = self.lists
        size = 1 << order
        self.free_pages += size
        area = lists[order]
        buddy = pfn ^ size
        while buddy in area and order < MAX_ORDER:
            del area[buddy]
            pfn &= buddy
            order += 1
            size += size
            area = lists[order]
            buddy = pfn ^ size
        area[pfn] = None
        # `pfn & buddy` is the pair's first page; were the busy buddy freed, the pair would look for *its* buddy there:
        if self.tail_rule and order < MAX_ORDER - 1 and (pfn & buddy) ^ (size + size) in lists[order + 1]:
            area.move_to_end(pfn, last=False)
        return order

    def give(self, pfn: int, length: int = 1) -> None:
        """Free a run of pages, as `length` single frees in rising order would leave the lists.

        The run is cut into the largest aligned blocks. Freed page by page, such a block ends in the same place: its
        halves merge inside it, and only the last page's free can merge it further or choose head or tail.
        """
        end = pfn + length
        while pfn < end:
            order = min((pfn & -pfn).bit_length() - 1 if pfn else MAX_ORDER, (end - pfn).bit_length() - 1, MAX_ORDER)
            self.free(pfn, order)
            pfn += 1 << order

    # -- whole blocks: how zones are cut and joined

    def insert(self, pfn: int, order: int) -> None:
        """Put a block on the head of its list without looking for its buddy (boot, carving)."""
        self.lists[order][pfn] = None
        self.free_pages += 1 << order

    def fill(self, blocks: list[int]) -> None:
        """``insert`` for many MAX_ORDER blocks, by their first pfns: the last one becomes the head of the list."""
        self.lists[MAX_ORDER].update(dict.fromkeys(blocks))
        self.free_pages += len(blocks) << MAX_ORDER

    def absorb(self, other: FreeArea) -> None:
        """Take over all free blocks of another free area, behind our own. Nothing has to coalesce (C15): a buddy pair
        never leaves its MAX_ORDER block, and a block belongs to one zone."""
        for ours, theirs in zip(self.lists[:MAX_ORDER], other.lists, strict=False):
            for pfn in reversed(theirs):  # head first: each goes behind the one before
                ours[pfn] = None
                ours.move_to_end(pfn, last=False)
            theirs.clear()
        blocks = other.lists[MAX_ORDER]
        blocks.update(self.lists[MAX_ORDER])  # their blocks first: the end is the head of the list
        self.lists[MAX_ORDER], other.lists[MAX_ORDER] = blocks, {}  # type: ignore[call-overload]
        self.free_pages += other.free_pages
        other.free_pages = 0

    def cut(self, first: int, last: int, into: FreeArea) -> None:
        """Hand the free blocks that lie in pfns [first, last) to another free area, list order kept. O(free blocks)."""
        for order, area in enumerate(self.lists):
            inside = [pfn for pfn in area if first <= pfn < last]
            for pfn in inside:
                del area[pfn]
                into.lists[order][pfn] = None
            self.free_pages -= len(inside) << order
            into.free_pages += len(inside) << order

    # -- look

    def counts(self) -> list[int]:
        """Free *blocks* (not pages) of each order, as a line of ``/proc/buddyinfo``."""
        return [len(area) for area in self.lists]

    def holds(self, pfn: int) -> int | None:
        """The order of the free block that contains this page, or None if the page is in use."""
        for order, area in enumerate(self.lists):
            if pfn & ~((1 << order) - 1) in area:
                return order
        return None

    def largest(self) -> int:
        """Order of the largest free block; -1 when there is none."""
        return max((order for order, area in enumerate(self.lists) if area), default=-1)

    def fragmentation_index(self, order: int) -> int:
        """Why would an allocation of this order fail? In thousandths: near 0 for lack of memory, near 1000 because of
        fragmentation; -1000 if it would succeed. Other negative values can occur and mean lack of memory.
        (``fragmentation_index()`` in mm/vmstat.c, with C's integer division.)"""
        counts = self.counts()
        blocks = sum(counts)
        if not blocks:
            return 0
        if any(counts[order:]):
            return -1000
        return 1000 - (1000 + self.free_pages * 1000 // (1 << order)) // blocks

    def unusable_index(self, order: int) -> int:
        """What share of the free memory is in blocks too small for this order? In thousandths; 1000 when nothing is
        free. (``unusable_free_index()`` in mm/vmstat.c.)"""
        if not self.free_pages:
            return 1000
        usable = sum(n << at for at, n in enumerate(self.counts()) if at >= order)
        return (self.free_pages - usable) * 1000 // self.free_pages
