"""Unit 00, start here: what is this machine, and how do I drive it?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """Two nodes with their zones; pages fault into the zone of whoever touches them."""
    drawing = Drawing(
        660,
        178,
        "Two nodes, each with processors and memory. Node 0's memory is its main zone, out of which three zones were cut: one "
        "private to the container web, one private to db, and one that both share. Node 1 is one main zone.",
    )
    for x, name in ((10, "node 0"), (345, "node 1")):
        drawing.box(x, 24, 305, 144, "", "plain").text(x + 8, 18, name, "start")
        drawing.box(x + 10, 34, 285, 26, "processors", "plain")
    drawing.box(20, 70, 285, 88, "", "main").box(355, 70, 285, 88, "main zone: free for all", "main")
    drawing.box(26, 76, 84, 50, "web.private", "web").box(114, 76, 84, 50, "db.private", "db")
    drawing.box(202, 76, 96, 50, "pair.shared", "shared").text(162, 148, "main zone: the rest")
    return drawing


def _sizes(dice: Random) -> list[tuple[int]]:
    return [(dice.randrange(1, 200),) for _ in range(4)] + [(4,), (1,)]


BLOCKS = Exercise(
    name="blocks",
    cases=_sizes,
    right=lambda mib: -(-mib // 4),
    wrong={
        "rounded down": (lambda mib: mib // 4, "That is rounded down: a zone has to hold at least what was asked for."),
        "always one more": (
            lambda mib: mib // 4 + 1,
            "That is one block too many when the size is a multiple of 4 MiB already.",
        ),
        "pages": (lambda mib: mib * 256, "Those are pages of 4 KiB. A zone is made of blocks of 1,024 pages."),
    },
    hints=(
        "A zone is made of whole blocks of 4 MiB. How many are needed to hold so many MiB?",
        "Divide by 4 and round up; in whole numbers that is -(-mib // 4).",
    ),
    praise="Rounding up has a price: the rest of the last block belongs to nobody else. Unit 03 measures it.",
)

EXERCISES = (BLOCKS,)

QUIZ = (
    Ask(
        "A program maps 1 GiB of memory and touches nothing. How many pages does it use?",
        0,
        kind="number",
        feedback={
            "262144": "So many would fit; but they are allocated one by one, when each is touched for the first time."
        },
        otherwise="Look at the step of the lab at which web maps its heap.",
        why="Mapping is a promise. A page is allocated at the fault that its first touch causes.",
    ),
    Ask(
        "web has filled its private zone, may not borrow, and half of the machine is free. What happens at its next page?",
        "web is out of memory",
        ("web is out of memory", "it comes from the free half", "db loses a page"),
        feedback={
            "it comes from the free half": "Only if web may borrow: otherwise the main zone is not on its zonelist.",
            "db loses a page": "db's zone is on nobody's list but db's own. That is what the zone is for.",
        },
        why="The zonelist of a private page is one zone, and anonymous memory cannot be reclaimed without swap.",
    ),
    Ask(
        "db has read a file; now web reads the same file. Who is charged for its pages?",
        "db",
        ("db", "web", "both, half each"),
        feedback={
            "web": "Nothing is allocated when web reads: the pages are in the page cache already, on db's bill.",
            "both, half each": "That would be another rule (unit 07 compares them). Here as in Linux, who comes first pays.",
        },
        why="First touch: whoever had a page allocated is charged until it is freed.",
    ),
)

RECALL = (
    Ask(
        "When is a page of a program's heap allocated?",
        "when it is touched for the first time",
        ("when it is mapped", "when it is touched for the first time", "when the program starts"),
        feedback={
            "when it is mapped": "Mapping allocates nothing: free pages before, as many free pages after.",
            "when the program starts": "A program that starts has an address space, and next to no pages.",
        },
        why="The touch faults, and the fault allocates.",
    ),
    Ask(
        "How large is a block, the smallest piece that a zone is made of? In pages of 4 KiB.",
        1024,
        kind="number",
        feedback={"4": "4 MiB; that is 1,024 pages.", "10": "10 is its order: 2^10 pages."},
        otherwise="4 MiB, in pages of 4 KiB.",
        why="2^10 = 1,024 pages, 4 MiB: a block of the largest order.",
    ),
    Ask(
        "Pages that web and db both use stay on node 0 when web moves to node 1. Why?",
        "db uses them too, and db stays",
        ("db uses them too, and db stays", "there is no room on node 1", "pages never move"),
        feedback={
            "there is no room on node 1": "Then the whole move would be refused before it begins.",
            "pages never move": "Those that belong to web alone were copied, and got new page frame numbers.",
        },
        why="What is shared with somebody who stays is left where it is.",
    ),
)
