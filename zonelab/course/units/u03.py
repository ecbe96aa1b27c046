"""Unit 03, software zones: can a zone be cut out of a node, and why in 4 MiB pieces?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.errors import BadRequest
from zonelab.machine import MIB, Machine
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """An aligned border lies between two blocks, a misaligned one cuts a pair of buddies in two."""
    drawing = Drawing(
        660,
        196,
        "Above, a border between two blocks of 1,024 pages: every block with all its buddies lies in one zone. Below, a border inside a "
        "block: its two halves are buddies and lie in different zones, so joining them would join what belongs to two owners.",
    )
    drawing.text(10, 20, "aligned border", "start")
    for at in range(4):
        drawing.box(150 + at * 120, 30, 116, 40, f"block {at}", "web" if at < 2 else "db")
    drawing.line(388, 22, 388, 78).text(270, 92, "zone A").text(510, 92, "zone B")
    drawing.text(10, 124, "border inside block 1", "start")
    drawing.box(150, 134, 116, 40, "block 0", "web").box(270, 134, 57, 40, "half", "web").box(
        329, 134, 57, 40, "half", "db"
    )
    drawing.box(390, 134, 116, 40, "block 2", "db").box(510, 134, 116, 40, "block 3", "db")
    drawing.line(328, 126, 328, 182, dashed=True).text(328, 193, "buddies, with different owners", size=12)
    return drawing


def _starts(dice: Random) -> list[tuple[int]]:
    return [
        (1024 * dice.randrange(1, 14),),
        (3072,),
        (512,),
        (4,),
        (1000,),
        (1024 * dice.randrange(1, 14) + 512,),
        (6144,),
        (2048,),
    ]


def _border(pfn: int) -> bool:
    machine = Machine(nodes=1, node_mib=64)
    try:
        machine.carve("zone", 0, 4, at=pfn)
    except BadRequest:
        return False
    return True


BORDER = Exercise(
    name="may_begin",
    cases=_starts,
    right=_border,
    wrong={
        "a multiple of 4": (lambda pfn: pfn % 4 == 0, "4 MiB is a size in bytes; in pages, a block is 1,024."),
        "a power of two": (
            lambda pfn: pfn & (pfn - 1) == 0,
            "Powers of two are too few and too many: 3,072 is a fine border and no power of two, 512 is one and lies inside a block.",
        ),
        "in thousands": (lambda pfn: pfn % 1000 == 0, "A block has 2^10 = 1,024 pages, not 1,000."),
    },
    hints=(
        "Where do blocks of the largest order begin?",
        "At multiples of 1,024 pages: the remainder of a division tells.",
    ),
    praise="Ten zero bits at the end: so the block's number is pfn >> 10, and a table of blocks is enough to find any page's zone.",
)


def _tenants(dice: Random) -> list[tuple[int, int]]:
    return [
        (3, 5),
        (4, 4),
        (dice.randrange(5, 20), dice.randrange(1, 4)),
        *((dice.randrange(2, 12), dice.randrange(5, 60)) for _ in range(3)),
    ]


def _stranded(count: int, mib: int) -> int:
    machine = Machine(nodes=1, node_mib=4096)
    for number in range(count):
        machine.carve(f"zone{number}", 0, mib)
    return sum(zone.pages for zone in machine.zones if zone.role != "main") - count * mib * MIB


LOST = Exercise(
    name="lost",
    cases=_tenants,
    right=_stranded,
    wrong={
        "rounded once": (
            lambda count, mib: (-(-count * mib // 4) * 4 - count * mib) * MIB,
            "That rounds the sum. Each zone is rounded for itself: zones do not share a block.",
        ),
        "in MiB": (
            lambda count, mib: count * (-(-mib // 4) * 4 - mib),
            "Those are MiB; the question is how many pages. A MiB has 256.",
        ),
        "a whole block when it fits": (
            lambda count, mib: count * (4 - mib % 4) * MIB,
            "When the size is a multiple of 4 MiB nothing is lost, and this says a whole block is.",
        ),
    },
    hints=(
        "How many blocks does one zone get, and how many pages is that more than was asked for?",
        "One zone: -(-mib // 4) blocks of 1,024 pages, less mib * 256 pages. And that for each of them.",
    ),
    praise="Small containers pay most: with 1 MiB each, three quarters of the memory is lost.",
)

EXERCISES = (BORDER, LOST)

QUIZ = (
    Ask(
        "Why does the table from page to zone have one entry a block, and not one a page?",
        "no block lies in two zones",
        ("no block lies in two zones", "pages of a block have the same owner", "blocks are never split"),
        feedback={
            "pages of a block have the same owner": "In the main zone they may have any owners. What they have in common is their zone.",
            "blocks are never split": "They are split all the time; but the pieces stay in the zone.",
        },
        why="Zones are whole blocks, so the block decides for all of its pages.",
    ),
    Ask(
        "Two zones meet inside a block, and nobody checks. When does the harm show?",
        "when a page is freed and joined with a buddy across the border",
        (
            "when a page is freed and joined with a buddy across the border",
            "at once, when the zone is made",
            "when the zone is full",
        ),
        feedback={
            "at once, when the zone is made": "Nothing happens yet: each zone has its own lists, and all free blocks are where they belong.",
            "when the zone is full": "A full zone only says no. The harm comes with the way back.",
        },
        why="Joining looks for the buddy and does not ask whose it is; from then on one zone's lists hold the other's pages.",
    ),
    Ask(
        "100 containers ask for 6 MiB each. How many MiB do their zones hold?",
        800,
        kind="number",
        feedback={
            "600": "So much was asked for; but each zone has whole blocks of 4 MiB.",
            "400": "Rounded up, not down.",
        },
        otherwise="Each zone has whole blocks of 4 MiB.",
        why="6 MiB take two blocks, 8 MiB; 100 of them are 800, and 200 are lost to rounding.",
    ),
)

RECALL = (
    Ask(
        "What is the smallest software zone, in pages?",
        1024,
        kind="number",
        feedback={
            "4": "4 MiB; in pages that is 1,024.",
            "1": "Then a border could lie anywhere, also between two buddies.",
        },
        otherwise="One block of the largest order.",
        why="MAX_ORDER_NR_PAGES: one block.",
    ),
    Ask(
        "Which of these may be the first pfn of a zone: 5,120 or 5,376?",
        "5,120",
        ("5,120", "5,376", "both"),
        feedback={
            "5,376": "5,376 is 5.25 blocks: it lies inside block 5.",
            "both": "5,376 is 5.25 blocks: a border there would cut block 5.",
        },
        why="5,120 = 5 × 1,024.",
    ),
    Ask(
        "A page's zone is looked up as block_zone[pfn >> 10]. Why 10?",
        "a block has 2^10 pages",
        ("a block has 2^10 pages", "10 is the distance of a node to itself", "there are 10 zones"),
        feedback={
            "10 is the distance of a node to itself": "That is another 10: the one of the distance table.",
            "there are 10 zones": "There may be any number of them.",
        },
        why="Shifting right by 10 bits divides by 1,024: that is the block's number.",
    ),
)
