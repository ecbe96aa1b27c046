"""Unit 05, fault routing: shared or private, where does this page come from?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine import Machine
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """The way of one fault."""
    drawing = Drawing(
        660,
        150,
        "The way of one fault, from left to right: is the page in the page table? Is it in the page cache? If not, the policy makes a zonelist, "
        "the first zone above its watermark splits a block, and the page is entered and charged. Each question can end the way early.",
    )
    steps = (
        ("page table:\nis it there?", "free"),
        ("page cache:\nis it there?", "free"),
        ("policy:\nzonelist", "shared"),
        ("zone:\nsplit a block", "web"),
        ("enter it,\ncharge it", "web"),
    )
    for at, (text, kind) in enumerate(steps):
        drawing.box(8 + at * 131, 34, 112, 48, text, kind)  # type: ignore[arg-type]
        if at:
            drawing.arrow(120 + (at - 1) * 131, 58, 137 + (at - 1) * 131, 58)
    drawing.text(64, 22, "a touch").arrow(64, 82, 64, 112).text(64, 128, "yes: go on", size=12)
    drawing.arrow(195, 82, 195, 112).text(195, 128, "yes: map it,\nnobody pays", size=12)
    drawing.text(326, 112, "who may use\nthe page?", size=12)
    return drawing


def _deeds(dice: Random) -> list[tuple[str, bool, bool, bool]]:
    """(what is mapped, MAP_SHARED, write, is it in the page cache already): all twelve, shuffled."""
    rows = [
        (what, shared, write, cached)
        for what in ("anon", "file")
        for shared in (False, True)
        for write in (False, True)
        for cached in ((False, True) if what == "file" else (False,))
    ]
    dice.shuffle(rows)
    return rows


def _pages(what: str, shared: bool, write: bool, cached: bool) -> int:
    machine = Machine(nodes=1, node_mib=64)
    web, db = machine.container("web", private_mib=8), machine.container("db", private_mib=8)
    machine.container_set("pair", [web, db], shared_mib=8)
    task = machine.task(web)
    if what == "anon":
        vma = machine.mmap(task, pages=4, shared=shared)
    else:
        file = machine.file("data", pages=4)
        if cached:
            machine.read(machine.task(db), file, pages=4)
        vma = machine.mmap(task, file=file, shared=shared)
    free = machine.conserved()[1]
    machine.touch(vma, 0, write=write)
    return free - machine.conserved()[1]


TAKEN = Exercise(
    name="pages_taken",
    cases=_deeds,
    right=_pages,
    wrong={
        "every fault takes one": (
            lambda what, shared, write, cached: 1,
            "A fault can be served by what is there: the zero page, the page cache.",
        ),
        "reading is free": (
            lambda what, shared, write, cached: (
                int(write) + int(what == "file" and not shared and write and not cached)
            ),
            "Somebody has to make the page of a file, or a shared one, also when it is only read: others must be able to find it.",
        ),
        "no copies": (
            lambda what, shared, write, cached: int(not cached and not (what == "anon" and not shared and not write)),
            "Writing to a private mapping of a file makes a copy of one's own, beside the page of the file.",
        ),
    },
    hints=(
        "Begin with the four cases of anonymous memory. Which one can do with the page of zeros?",
        "For a file there are two things to count: the cache's page, unless it is there, and a copy, if a private mapping is written to.",
    ),
    praise="The column *pages* of the router's table, in one function.",
)

EXERCISES = (TAKEN,)

QUIZ = (
    Ask(
        "MAP_SHARED is a property of …",
        "the mapping",
        ("the mapping", "the page", "the file"),
        feedback={
            "the page": "One page of a file can be mapped privately by one and shared by another, at the same time.",
            "the file": "Each who maps a file chooses for himself.",
        },
        why="That is the blind spot of the rule: it asks the mapping, and decides about a page.",
    ),
    Ask(
        "A private mapping of a file is only read. Whose are the pages that it sees?",
        "the page cache's: everybody's",
        ("the page cache's: everybody's", "its own copies", "nobody's: zeros"),
        feedback={
            "its own copies": "Copies are made when it writes, page by page.",
            "nobody's: zeros": "That is untouched anonymous memory. A file has contents.",
        },
        why="Private says what happens on a write. Until then it shares the one page that there is.",
    ),
    Ask(
        "Under the literal reading, web maps libc privately and comes first; db comes later. In which zone does db's libc lie?",
        "web's private zone",
        ("web's private zone", "db's private zone", "the shared zone"),
        feedback={
            "db's private zone": "The pages are there already; db maps what it finds.",
            "the shared zone": "The one who was first had a private mapping, so the flag said private.",
        },
        why="The flag of whoever is first decides for all: a race, and the end of the wall.",
    ),
    Ask(
        "The policy is changed while programs run. What happens to pages that are allocated already?",
        "nothing",
        ("nothing", "they move at their next touch", "they are freed and faulted again"),
        feedback={
            "they move at their next touch": "A page that is there is found in the page table; no policy is asked.",
            "they are freed and faulted again": "Their contents would be lost.",
        },
        why="The zonelist is chosen before the fault; once allocated, a page stays.",
    ),
)

RECALL = (
    Ask(
        "Reading an untouched page of private anonymous memory takes how many pages?",
        0,
        kind="number",
        feedback={"1": "It reads zeros, and one page of zeros is there for all."},
        otherwise="Think of the zero page.",
        why="The zero page is mapped; the first write takes a page.",
    ),
    Ask(
        "A private mapping of a file that is not in memory is written to. How many pages does the fault take?",
        2,
        kind="number",
        feedback={"1": "The page of the file has to be read first, and stays in the cache; the copy comes on top."},
        otherwise="The cache's page, and a copy.",
        why="One in the page cache, one private copy.",
    ),
    Ask(
        "What decides the zone of a page in the corrected reading?",
        "what kind of page it is",
        ("what kind of page it is", "the flag of the mapping", "who runs first"),
        feedback={
            "the flag of the mapping": "That is the literal reading, which depends on who comes first.",
            "who runs first": "That decides who pays, not where it lies.",
        },
        why="Page cache and shared memory may be used by others: shared zone. All else: private zone.",
    ),
)
