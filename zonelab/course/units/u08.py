"""Unit 08, reclaim and interference: who loses pages when a zone is full?"""

from __future__ import annotations

from collections import Counter
from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine import Machine
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """A shared zone's pages by last use: the oldest go first, whosever they are."""
    drawing = Drawing(
        660,
        150,
        "The pages of a shared zone in the order of their last use. At the old end lie web's, which were used some time ago; at the young end db's, "
        "used a moment ago. Reclaim takes from the old end, so web's pages go although db needs the memory.",
    )
    drawing.text(60, 24, "used long ago", "start").text(600, 24, "used just now", "end")
    for at in range(11):
        drawing.box(60 + at * 50, 36, 44, 44, "web" if at < 5 else "db", "web" if at < 5 else "db")
    drawing.arrow(82, 84, 82, 118).text(96, 124, "reclaimed next", "start", 12)
    drawing.arrow(640, 58, 612, 58).text(600, 110, "db wants one more", "end", 12)
    return drawing


def _uses(dice: Random) -> list[tuple[list[int], int]]:
    """(pages in the order in which they were used, how many are to be dropped)."""
    cases: list[tuple[list[int], int]] = [
        ([1, 2, 3, 4, 1, 1, 2], 2),
        ([5, 5, 5, 1, 2, 3, 3], 2),
        ([4, 3, 2, 1, 4, 2, 3, 2], 3),
    ]
    for _ in range(3):
        uses = [dice.randrange(8) for _ in range(16)]
        cases.append((uses, 3))
    return cases


def _oldest(uses: list[int], count: int) -> list[int]:
    machine = Machine(nodes=1, node_mib=16)
    file = machine.file("data", pages=16)
    task = machine.task()
    for page in uses:
        machine.read(task, file, page, 1)
    there = sorted(set(uses), key=lambda page: int(machine.pages.stamp[file.cache[page]]))
    return there[:count]


def _frequency(uses: list[int], count: int) -> list[int]:
    often = Counter(uses)
    return sorted(often, key=lambda page: (often[page], uses.index(page)))[:count]


DROPPED = Exercise(
    name="dropped",
    cases=_uses,
    right=_oldest,
    wrong={
        "first come, first dropped": (
            lambda uses, count: list(dict.fromkeys(uses))[:count],
            "That is by first use. What counts is the last one: a page that is used again becomes young again.",
        ),
        "the rarest first": (
            _frequency,
            "That counts how often. What counts is how long ago: a page used a hundred times last week is old.",
        ),
        "the youngest first": (
            lambda uses, count: list(dict.fromkeys(reversed(uses)))[:count],
            "Those are the ones used just now. The others are older.",
        ),
    },
    hints=(
        "For each page, when was it used last? The one for which that is longest ago goes first.",
        "Go through the uses from the end: the order in which pages turn up for the first time is youngest to oldest; turn it round.",
    ),
    praise="Exact order by last use. Linux approximates it with two lists, since it cannot note every touch.",
)

EXERCISES = (DROPPED,)

QUIZ = (
    Ask(
        "web and db share a zone. db reads a huge file, once. Who loses pages first, if reclaim goes by last use?",
        "whoever's pages were not used for longest",
        ("whoever's pages were not used for longest", "db, who takes the memory", "both, half each"),
        feedback={
            "db, who takes the memory": "Reclaim does not know why memory is short, only how old each page is.",
            "both, half each": "There is one order for the whole zone, and no fairness in it.",
        },
        why="Age decides, not guilt. That is how neighbours disturb each other as soon as they share anything.",
    ),
    Ask(
        "What is a refault?",
        "a page that comes back after reclaim took it",
        ("a page that comes back after reclaim took it", "a fault that fails", "the second touch of a page"),
        feedback={
            "a fault that fails": "That is the end of the process, or out of memory.",
            "the second touch of a page": "A page that is there does not fault at all.",
        },
        why="It is the price of a wrong guess, and a measure of who was hurt.",
    ),
    Ask(
        "A working set of 1,100 pages is used round and round in a zone that holds 1,000. With exact order by last use, how many hits are there?",
        0,
        kind="number",
        feedback={
            "1000": "Each page is dropped just before it is needed again.",
            "100": "Those are the ones that do not fit; but the others are dropped, too.",
        },
        otherwise="Which page has been unused for longest, when the next one is needed?",
        why="The one that will be needed next is the oldest, and goes. Our recording e3f shows it: the second reading was as dear as the first.",
    ),
    Ask(
        "A shrinker is to free pages in one zone, but sees all dentries of the machine. What does that cost?",
        "dentries of others, thrown away for nothing",
        (
            "dentries of others, thrown away for nothing",
            "nothing, they are only a cache",
            "the zone's own dentries only",
        ),
        feedback={
            "nothing, they are only a cache": "Each will be looked up again, on the disk perhaps.",
            "the zone's own dentries only": "That would need a shrinker that sees zones.",
        },
        why="The oldest dentries lie everywhere, and a page comes back when its last one is gone. In 2007 there was no other shrinker.",
    ),
)

RECALL = (
    Ask(
        "Reclaim in a shared zone drops pages by …",
        "age",
        ("age", "owner", "size"),
        feedback={
            "owner": "It does not look at owners; that is the whole trouble.",
            "size": "All pages are of one size here.",
        },
        why="Whoever's pages were not used for longest loses them.",
    ),
    Ask(
        "db reads a huge file once, in zones of its own. How many of web's pages are lost?",
        0,
        kind="number",
        feedback={"1": "db's file only drives out what lies in db's zone."},
        otherwise="Whose zone does db fill?",
        why="None: that is the isolation that separate zones buy.",
    ),
    Ask(
        "When does a slab page come back?",
        "when all objects in it are gone",
        ("when all objects in it are gone", "when one object in it is freed", "when its zone is full"),
        feedback={
            "when one object in it is freed": "Then the page has a free place, and the others still live there.",
            "when its zone is full": "Then it is wanted; but wanting does not empty it.",
        },
        why="All 21 dentries, for one page.",
    ),
)
