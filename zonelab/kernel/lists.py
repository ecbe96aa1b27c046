"""Which block does the kernel take next? The replay at list level: predict each, and compare with what was taken.

Free blocks are kept as the kernel keeps them, in one list per zone, order and migrate type. The rules under test are those of
:mod:`zonelab.machine.buddy`: the smallest order whose list is not empty (``__rmqueue_smallest()``); the list's head; halves of a
split block to the heads; a freed block to the head, or to the tail if it will probably merge soon
(``buddy_merge_likely()``). Stealing from another type's list is replayed as ``steal_suitable_fallback()`` does it.

What a list held before the recording began is known only as a set: its order was never seen. So a list is
``[known head … | unknown | … known tail]``, and a prediction is made only where the head is known. It no longer is when a
block was freed whose type no event has named yet: that may now be the head of any list of its order.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from zonelab.errors import BadFormat
from zonelab.kernel.fields import Ints
from zonelab.kernel.recording import Recording, Snapshot, Span
from zonelab.kernel.replay import COMPACTION, COSTLY_ORDER, free_areas
from zonelab.kernel.trace import Events
from zonelab.machine.pages import MAX_ORDER

UNKNOWN = -1
"""The migrate type of a block that was free before the recording began, or whose page block was never named."""
UNMOVABLE, RECLAIMABLE = 0, 2


@dataclass
class Heads:
    """What came of the predictions, in numbers of blocks taken.

    Attributes:
        taken: all of them; known: where the head of the list was known; wrong: where another block was taken.
        tail: the unknown part had silently run out, and the first of the known tail was taken.
        old: nothing could be predicted: the block had been there since before the recording, or one of unknown type was freed
            after it.
        larger: taken from a larger block though a smaller one was known to be in the lists.
        lost: blocks of which we did not know that they were free (after compaction, which leaves no events).
        first: the first wrong one, in words.
    """

    taken: int = 0
    known: int = 0
    wrong: int = 0
    tail: int = 0
    old: int = 0
    larger: int = 0
    lost: int = 0
    first: str = ""

    def __add__(self, other: Heads) -> Heads:
        sums = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        return Heads(**sums, first=self.first or other.first)

    def __str__(self) -> str:
        return (
            f"{self.taken:,} blocks taken: the head of the list was known {self.known:,} times, and wrong {self.wrong:,} times; "
            f"{self.tail:,} came first from a known tail, {self.old:,} were there before the recording, {self.lost:,} were unseen; "
            f"a smaller block would have done {self.larger:,} times"
        )


COUNTS = ("taken", "known", "wrong", "tail", "old", "larger", "lost")


@dataclass
class _List:
    """The last key of `head` is the head of the list, the first of `tail` follows the unknown part; `head` also says when."""

    head: dict[int, int] = field(default_factory=dict)
    tail: dict[int, None] = field(default_factory=dict)


class _Zone:
    """The free lists of one zone, as far as they are known."""

    def __init__(self, first: int, tail_rule: bool) -> None:
        self.first, self.tail_rule = first, tail_rule
        self.free: list[dict[int, int]] = [{} for _ in range(MAX_ORDER + 1)]  # per order: first pfn → migrate type
        self.lists: defaultdict[tuple[int, int], _List] = defaultdict(_List)
        self.unknown = [0] * (MAX_ORDER + 1)
        # Blocks of unknown type that were freed to the head of a list, and when: `clock` counts what is put into lists.
        self.nameless: list[dict[int, int]] = [{} for _ in range(MAX_ORDER + 1)]
        self.clock = 0

    def start(self, blocks: list[tuple[int, int]]) -> None:
        """Forget everything; these blocks, ``(pfn, order)``, are free, in lists and places unknown."""
        self.__init__(self.first, self.tail_rule)  # type: ignore[misc]
        for pfn, order in blocks:
            self.free[order][pfn] = UNKNOWN
            self.unknown[order] += 1

    def block(self, pfn: int, least: int) -> tuple[int, int] | None:
        """The free block around a page, of at least this order: ``(first pfn, order)``."""
        for order in range(least, MAX_ORDER + 1):
            head = pfn & -(1 << order)
            if head in self.free[order]:
                return head, order
        return None

    def remove(self, pfn: int, order: int) -> int:
        kind = self.free[order].pop(pfn)
        if kind == UNKNOWN:
            self.unknown[order] -= 1
            self.nameless[order].pop(pfn, None)
        else:
            place = self.lists[order, kind]
            if pfn in place.head:
                del place.head[pfn]
            else:
                del place.tail[pfn]
        return kind

    def insert(self, pfn: int, order: int, kind: int, tail: bool = False) -> None:
        self.free[order][pfn] = kind
        self.clock += 1
        if kind == UNKNOWN:
            self.unknown[order] += 1
            if not tail:
                self.nameless[order][pfn] = self.clock
        elif tail:
            self.lists[order, kind].tail[pfn] = None
        else:
            self.lists[order, kind].head[pfn] = self.clock

    def give(self, pfn: int, order: int, kind: int) -> None:
        """``__free_one_page()``."""
        while order < MAX_ORDER and pfn ^ (1 << order) in self.free[order]:
            self.remove(pfn ^ (1 << order), order)
            pfn &= ~(1 << order)
            order += 1
        parent = pfn & ~(1 << order)
        soon = self.tail_rule and order < MAX_ORDER - 1 and parent ^ (2 << order) in self.free[order + 1]
        self.insert(pfn, order, kind, soon)

    def steal(self, pfn: int, order: int, kind: int, block_order: int) -> None:
        """``steal_suitable_fallback()``: a block, or all that is free in its page block, moves to the tails of another type."""
        whole = order < block_order and (order >= block_order // 2 or kind in (UNMOVABLE, RECLAIMABLE))
        if not whole:
            if pfn in self.free[order]:
                self.remove(pfn, order)
                self.insert(pfn, order, kind, tail=True)
            return
        start = pfn & -(1 << block_order)
        at = start if start >= self.first else pfn  # at a zone's border only what follows (``move_freepages_block()``)
        while at < start + (1 << block_order):
            found = next((o for o in range(block_order) if at in self.free[o]), None)
            if found is None:
                at += 1
                continue
            self.remove(at, found)
            self.insert(at, found, kind, tail=True)
            at += 1 << found

    def take(self, pfn: int, order: int, kind: int, heads: Heads, where: str) -> None:
        """``__rmqueue_smallest()``: which block should it have been? Then take the one that it was."""
        heads.taken += 1
        found = self.block(pfn, order)
        if found is None:
            heads.lost += 1
            return
        block, size = found
        place = self.lists[size, kind]
        heads.larger += any(self.lists[o, kind].head or self.lists[o, kind].tail for o in range(order, size))
        old = self.free[size][block] == UNKNOWN
        expected, since = next(reversed(place.head.items())) if place.head else (None, 0)
        if expected is None and not self.unknown[size]:
            expected = next(iter(place.tail), -1)
        doubtful = next(reversed(self.nameless[size].values()), 0) > since
        if doubtful and (old or expected == block):
            heads.old += 1
        elif expected is not None:
            heads.known += 1
            if expected != block:
                heads.wrong += 1
                heads.first = heads.first or f"{where}: {block:#x} of order {size}, type {kind}, not {expected:#x}"
        elif old:
            heads.old += 1
        elif next(iter(place.tail), -1) == block:
            heads.tail += 1
        else:
            heads.known += 1
            heads.wrong += 1
            heads.first = heads.first or f"{where}: {block:#x} of order {size} is on no list of type {kind}"
        self.remove(block, size)
        while size > order:
            size -= 1
            half = 1 << size
            other = block if pfn & half else block + half
            self.insert(other, size, kind)
            block = block + half if pfn & half else block


def predict(recording: Recording, tail_rule: bool = True) -> Heads:
    """Replay a recording at list level from its first snapshot to its last. About O(events), a few µs each.

    Args:
        tail_rule: without it the check has to fail; so one sees that it can.

    Raises:
        BadFormat: torn or foreign.
    """
    events, snapshots = recording.events, recording.snapshots
    heads = Heads()
    if not snapshots:
        raise BadFormat(f"{recording.name}: no snapshot in its log", None, "two or more")
    zones = {span: _Zone(span.start, tail_rule) for span in snapshots[0].spans}
    _sync(zones, snapshots[0])
    block_order = snapshots[0].block_order
    kinds: dict[int, int] = {}  # page block → migrate type, as far as events have told
    rows = events.rows("ZDFXO")
    rows = rows[(rows > snapshots[0].end) & (rows < snapshots[-1].begin)]
    letters = events.kind[rows]
    columns = {
        letter: dict(zip(("pfn", "order", "kind"), _columns(events, rows[letters == ord(letter)], letter), strict=True))
        for letter in "ZDFX"
    }
    at = dict.fromkeys("ZDFX", 0)
    later = iter([*snapshots[1:]])
    ahead = next(later, None)
    compacted = False
    spans = sorted(zones, key=lambda span: span.start)

    def zone_of(pfn: int) -> _Zone | None:
        return next((zones[span] for span in spans if span.start <= pfn < span.end), None)

    for row, code in zip(rows.tolist(), letters.tolist(), strict=True):
        while ahead is not None and row > ahead.end:
            if compacted:  # free pages were isolated without any event: begin anew from what the snapshot says
                _sync(zones, ahead)
                compacted = False
            ahead = next(later, None)
        letter = chr(code)
        if letter == "O":
            compacted |= COMPACTION.match(events.text(row)) is not None
            continue
        n = at[letter]
        at[letter] += 1
        pfn, order = columns[letter]["pfn"][n], columns[letter]["order"][n]
        zone = zone_of(pfn)
        if zone is None:
            continue
        if letter == "Z":
            if not compacted:
                zone.take(pfn, order, columns["Z"]["kind"][n], heads, f"{recording.name}, line {events.line_of(row)}")
        elif letter == "X":
            kind = columns["X"]["kind"][n]
            zone.steal(pfn, order, kind, block_order)
            for block in range(pfn >> block_order, (pfn + (1 << order) - 1 >> block_order) + 1):
                kinds.pop(block, None)
        elif letter == "D":
            kind = columns["D"]["kind"][n]
            kinds[pfn >> block_order] = kind
            zone.give(pfn, order, kind)
        elif order > COSTLY_ORDER and order != block_order:
            zone.give(pfn, order, kinds.get(pfn >> block_order, UNKNOWN))
    return heads


def _columns(events: Events, rows: Ints, letter: str) -> list[list[int]]:
    """pfn, order and migrate type of all events of a kind (of F, which has no type, the order again)."""
    order = "fallback_order" if letter == "X" else "order"
    kind = {"X": "alloc_mt", "F": "order"}.get(letter, "migratetype")
    return [events.column(name, rows).tolist() if len(rows) else [] for name in ("pfn", order, kind)]


def _sync(zones: dict[Span, _Zone], snapshot: Snapshot) -> None:
    for span, area in free_areas(snapshot).items():
        zones[span].start([(pfn, order) for order, blocks in enumerate(area.lists) for pfn in blocks])
