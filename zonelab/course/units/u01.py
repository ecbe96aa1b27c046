"""Unit 01, pages and buddies: how does the kernel find 2^k pages next to each other?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine.buddy import FreeArea
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """A block of order 3, split until a block of order 1 is there."""
    drawing = Drawing(
        640,
        172,
        "A block of 8 pages at pfn 8 is split into two blocks of 4; the lower of them, pfn 8, into two blocks of 2. The two halves of "
        "a split are buddies: 8 and 12, 8 and 10. The blocks at 10 and at 12 are neighbours, too, but no buddies.",
    )
    drawing.box(60, 8, 512, 34, "order 3: pfn 8 to 15", "plain")
    drawing.arrow(188, 42, 188, 62).arrow(444, 42, 444, 62)
    drawing.box(60, 64, 256, 34, "order 2, pfn 8", "plain").box(316, 64, 256, 34, "pfn 12: free")
    drawing.arrow(124, 98, 124, 118).arrow(252, 98, 252, 118)
    drawing.box(60, 120, 128, 34, "order 1, pfn 8", "web").box(188, 120, 128, 34, "pfn 10: free")
    drawing.text(584, 86, "buddies", "start").text(326, 142, "buddies; 10 and 12 are not", "start")
    return drawing


# -- exercises


def _blocks(dice: Random) -> list[tuple[int, int]]:
    """(pfn, order) of aligned blocks, of both halves of a pair."""
    orders = [0, 1, 3, dice.randrange(2, 6), dice.randrange(4, 9), dice.randrange(1, 9)]
    return [((dice.randrange(1 << (11 - order)) | at % 2) << order, order) for at, order in enumerate(orders)]


def _lists(dice: Random) -> list[tuple[list[int], int]]:
    """(free blocks of each order from 0 to 10, order wanted): lists that can be full of small blocks and lack a large one."""
    cases = []
    for _ in range(6):
        largest = dice.randrange(1, 9)
        counts = [dice.randrange(0, 60) if order <= largest else 0 for order in range(11)]
        cases.append((counts, dice.randrange(0, 10)))
    one_large = [1 if order == 3 else 0 for order in range(11)]
    return [*cases, ([1 << 10] + [0] * 10, 3), ([0] * 10 + [2], 5), (one_large, 3)]


def _served(counts: list[int], order: int) -> bool:
    area = FreeArea()
    pfn = 0
    for size, count in reversed(list(enumerate(counts))):
        for _ in range(count):
            area.insert(pfn, size)
            pfn += 2 << size  # a gap the size of the buddy: nothing could be joined
    return area.alloc(order) is not None


BUDDY = Exercise(
    name="buddy",
    cases=_blocks,
    right=lambda pfn, order: pfn ^ 1 << order,
    wrong={
        "the next block": (
            lambda pfn, order: pfn + (1 << order),
            "That is always the block behind. Half of all blocks are the upper half of their pair, and their buddy lies before them.",
        ),
        "one page further": (
            lambda pfn, order: pfn ^ 1,
            "That would do for single pages only: a block of order k is 2^k pages long, and so far away is its buddy.",
        ),
        "order instead of size": (
            lambda pfn, order: pfn ^ order,
            "Order 3 does not mean 3 pages but 2^3: the order is an exponent.",
        ),
    },
    hints=(
        "Two buddies together are one aligned block of the next order. Which bit of the pfn tells the two halves apart?",
        "They differ in bit number `order` and in no other. Python flips bits with ^ (xor); 2^order is written 1 << order.",
    ),
    praise="One xor, whatever the order and whichever half: that is why the kernel can afford to look at every free.",
)

SERVED = Exercise(
    name="can_serve",
    cases=_lists,
    right=_served,
    wrong={
        "enough pages in all": (
            lambda counts, order: sum(n << k for k, n in enumerate(counts)) >= 1 << order,
            "There are enough pages, but they have to lie next to each other: a hundred free single pages are no block of order 3.",
        ),
        "exactly this order": (
            lambda counts, order: counts[order] > 0,
            "A larger block would do as well: it is split.",
        ),
        "counts are pages": (
            lambda counts, order: sum(counts[order:]) >= 1 << order,
            "A column of buddyinfo counts blocks, not pages: one block of the order is enough.",
        ),
    },
    hints=(
        "Which of the free lists can a request of this order be served from?",
        "From its own list and from all behind it: any(counts[order:]).",
    ),
    praise="Only the largest free block matters. That is fragmentation in one line.",
)

EXERCISES = (BUDDY, SERVED)

# -- questions

QUIZ = (
    Ask(
        "A line of /proc/buddyinfo says: 3 0 2 0 0 0 0 0 0 0 0. How many pages are free?",
        11,
        kind="number",
        feedback={
            "5": "Five blocks; but the columns are orders: the third one counts blocks of 2^2 = 4 pages.",
            "9": "Columns count from order 0: single pages first, then blocks of 2, then of 4.",
        },
        otherwise="Each column counts blocks of 2^order pages, from order 0.",
        why="3 blocks of 1 page and 2 blocks of 4 pages: 3 + 8 = 11.",
    ),
    Ask(
        "The block of order 2 at pfn 12 is freed. Which block is it joined with, if that one is free?",
        "order 2 at pfn 8",
        ("order 2 at pfn 8", "order 2 at pfn 16", "order 2 at pfn 13", "order 3 at pfn 0"),
        feedback={
            "order 2 at pfn 16": "A neighbour, but 12 to 19 is no aligned block of 8 pages: 12 is not a multiple of 8.",
            "order 2 at pfn 13": "Blocks of order 2 begin at multiples of 4, and 13 is inside the block itself.",
            "order 3 at pfn 0": "Only blocks of the same order are joined; that one comes next, if 8 to 15 has become a block.",
        },
        why="12 xor 4 = 8; together they are the block of order 3 at pfn 8.",
    ),
    Ask(
        "Half of a zone's pages are free, every second one. What can be served?",
        "single pages only",
        ("single pages only", "anything up to a quarter of the zone", "anything, after the free pages were joined"),
        feedback={
            "anything up to a quarter of the zone": "Free pages are not enough: they have to lie next to each other, as one block.",
            "anything, after the free pages were joined": "Joining needs free buddies. Here every page's buddy is in use, and "
            "pages in use stay where they are.",
        },
        why="Each free page's buddy is in use, so no two can be joined. Only moving pages (compaction) would help.",
    ),
    Ask(
        "A program frees 1,024 pages, one at a time, that are one aligned block. When are they joined?",
        "step by step, at each free",
        ("step by step, at each free", "all at once, at the last one", "later, when a large block is wanted"),
        feedback={
            "all at once, at the last one": "The last free joins up to order 10, but half of the frees before it have joined a pair, too.",
            "later, when a large block is wanted": "That would be a lazy allocator. Linux joins at every free (apart from the few "
            "pages that each cpu keeps for itself).",
        },
        why="Every free looks for its buddy at once; on average each joins about one time.",
    ),
)

RECALL = (
    Ask(
        "How many pages has a block of order 5?",
        32,
        kind="number",
        feedback={"5": "The order is the exponent.", "10": "2 × 5; but an order is an exponent: 2 to the power of 5."},
        otherwise="2 to the power of the order.",
        why="2^5 = 32 pages, 128 KiB.",
    ),
    Ask(
        "Orders 2, 4 and 7 have free blocks. From which list is a request of order 3 served?",
        "order 4",
        ("order 2", "order 4", "order 7"),
        feedback={
            "order 2": "Those blocks are too small, and two of them are no block of order 3 unless they are buddies.",
            "order 7": "It would do, but the smallest list that is large enough comes first, so that large blocks stay whole.",
        },
        why="The smallest order that is large enough; its upper half goes to the list of order 3.",
    ),
    Ask(
        "Who is the buddy of the page with pfn 7?",
        6,
        kind="number",
        feedback={"8": "7 and 8 are neighbours, but never one aligned pair."},
        otherwise="Flip the lowest bit.",
        why="7 xor 1 = 6: the pair is 6 and 7.",
    ),
)
