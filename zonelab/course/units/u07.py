"""Unit 07, shared data and the bill: who pays for a page that all use?"""

from __future__ import annotations

from fractions import Fraction
from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine import EqualSplit, FirstTouch, Machine, Proportional
from zonelab.machine.charge import Rule
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """One file in two shared zones, and a bill for each set."""
    drawing = Drawing(
        660,
        176,
        "One file, eight pages. The first three were read by the set shop first and lie in the shop's zone, on the shop's bill; the other five were "
        "read by the set lab first and lie in the lab's zone, on the lab's bill. Both sets use all eight.",
    )
    drawing.text(20, 24, "one file", "start")
    for page in range(8):
        drawing.box(110 + page * 62, 8, 54, 26, str(page), "web" if page < 3 else "db")
        x = 137 + page * 62
        drawing.arrow(x, 36, 200 if page < 3 else 455, 74)
    drawing.box(110, 78, 180, 34, "shared zone of shop", "web").box(345, 78, 220, 34, "shared zone of lab", "db")
    drawing.text(200, 136, "shop came first: pays 3").text(455, 136, "lab came first: pays 5")
    drawing.text(330, 164, "and both use all eight", size=12)
    return drawing


Maps = dict[str, int]


def _maps(dice: Random) -> list[tuple[Maps]]:
    """container → number of its tasks that map one page (at least one container has several)."""
    return [
        ({"web": 1, "db": 3},),
        ({"web": 2, "db": 1, "job": 1},),
        *(({name: dice.randrange(1, 5) for name in ("web", "db", "job")},) for _ in range(3)),
    ]


def _bill(maps: Maps, rule: Rule) -> dict[str, Fraction]:
    machine = Machine(nodes=1, node_mib=64, rule=rule)
    file = machine.file("page", pages=12)
    for name, tasks in maps.items():
        container = machine.container(name, private_mib=4)
        for _ in range(tasks):
            machine.touch(machine.mmap(machine.task(container), file=file), 0, 12, write=False)
    return {name: float(pages) for name, pages in machine.bill().items() if pages}  # type: ignore[misc]


SHARES = Exercise(
    name="shares",
    cases=_maps,
    right=lambda maps: _bill(maps, Proportional()),
    wrong={
        "each container the same": (
            lambda maps: _bill(maps, EqualSplit()),
            "That splits by container. Proportional set size splits by mapping: who maps it thrice pays thrice.",
        ),
        "the first pays all": (
            lambda maps: _bill(maps, FirstTouch()),
            "That is first touch, which looks at nobody but the first.",
        ),
        "all pay all": (
            lambda maps: dict.fromkeys(maps, 12.0),
            "So the sum is more than the pages there are: that is RSS, which counts shared pages in each.",
        ),
    },
    hints=(
        "How many mappings are there in all? What part of them are web's?",
        "12 * tasks / sum(maps.values()), for each container.",
    ),
    praise="That is what Linux prints as Pss in /proc/PID/smaps.",
)


def _arrivals(dice: Random) -> list[tuple[list[tuple[str, int, int]]]]:
    """(set, first page, pages) in order: who reads which part of a file of 100 pages."""
    fixed = [("shop", 0, 60), ("lab", 40, 60), ("shop", 90, 10)]
    cases = [fixed]
    for _ in range(4):
        reads = []
        for _ in range(4):
            first = dice.randrange(0, 80)
            reads.append((dice.choice(["shop", "lab"]), first, dice.randrange(5, 101 - first)))
        cases.append([*reads, ("lab", 0, 100), ("shop", 0, 100)])
    return [(case,) for case in cases]


def _lies(reads: list[tuple[str, int, int]]) -> dict[str, int]:
    machine = Machine(nodes=1, node_mib=64)
    file = machine.file("file", pages=100)
    zones, tasks = {}, {}
    for name in ("shop", "lab"):
        container = machine.container(f"{name}.a", private_mib=4)
        group = machine.container_set(name, [container], shared_mib=4)
        assert group.shared is not None
        zones[name], tasks[name] = group.shared, machine.task(container)
    for name, first, count in reads:
        machine.read(tasks[name], file, first, count)
    return {
        name: sum(machine.zone_of(int(pfn)) is zone for pfn in file.cache if pfn >= 0) for name, zone in zones.items()
    }


def _last(reads: list[tuple[str, int, int]]) -> dict[str, int]:
    owner = {page: name for name, first, count in reads for page in range(first, first + count)}
    return {name: sum(one == name for one in owner.values()) for name in ("shop", "lab")}


def _used(reads: list[tuple[str, int, int]]) -> dict[str, int]:
    used: dict[str, set[int]] = {"shop": set(), "lab": set()}
    for name, first, count in reads:
        used[name] |= set(range(first, first + count))
    return {name: len(pages) for name, pages in used.items()}


SPLIT = Exercise(
    name="split_over_zones",
    cases=_arrivals,
    right=_lies,
    wrong={
        "the last reader's": (_last, "Pages do not move to whoever reads them last: once allocated, a page stays."),
        "in both zones": (
            _used,
            "Then pages that both read would lie in two zones. A page of a file is in the page cache once.",
        ),
        "every read is new": (
            lambda reads: {name: sum(count for who, _, count in reads if who == name) for name in ("shop", "lab")},
            "That counts reads. A page that is there is found; nothing new is allocated for it.",
        ),
    },
    hints=(
        "For each page of the file, which set read it first?",
        "A dict from page to set, filled with setdefault in the order of the reads; then count.",
    ),
    praise="One file, two zones, and the border between them is history.",
)

EXERCISES = (SHARES, SPLIT)

QUIZ = (
    Ask(
        "Two sets read one file, the second all of it. Where do its pages lie?",
        "each in the zone of the set that read it first",
        (
            "each in the zone of the set that read it first",
            "all in the zone of the second set",
            "twice, once in each zone",
        ),
        feedback={
            "all in the zone of the second set": "What is there is found, and stays where it is.",
            "twice, once in each zone": "A page of a file is in the page cache once; otherwise a write would be seen by one only.",
        },
        why="Look-up comes before allocation, so the first set decides, page by page.",
    ),
    Ask(
        "Under first touch, how can a clever container use libc for free?",
        "by coming second",
        ("by coming second", "by mapping it privately", "by reading it twice"),
        feedback={
            "by mapping it privately": "The page is the same; who is first pays, whatever the flag.",
            "by reading it twice": "The first reading is what is charged.",
        },
        why="Whoever is there before you pays. It rides free for as long as the page stays.",
    ),
    Ask(
        "Which wishes can no rule grant together?",
        "adds up, no strangers, others cannot raise my bill",
        (
            "adds up, no strangers, others cannot raise my bill",
            "adds up, no free riders, order does not matter",
            "adds up, cheap to keep, tasks do not matter",
        ),
        feedback={
            "adds up, no free riders, order does not matter": "Splitting equally grants these three.",
            "adds up, cheap to keep, tasks do not matter": "First touch grants these three.",
        },
        why="Two use a page and one leaves: he pays nothing any more, the other must pay it all, and did nothing.",
    ),
    Ask(
        "“Holds on all 752 traces” – what has been proved?",
        "that there is no counterexample of up to four acts",
        ("that there is no counterexample of up to four acts", "that it always holds", "nothing"),
        feedback={
            "that it always holds": "There may be a longer trace that breaks it. For that, one needs an argument.",
            "nothing": "A counterexample is final; and so is that there is none among all small cases.",
        },
        why="A search over all small cases finds every small counterexample. Most mistakes have small ones; not all do.",
    ),
)

RECALL = (
    Ask(
        "Who pays for a page under first touch?",
        "who had it allocated",
        ("who had it allocated", "who used it last", "all who map it"),
        feedback={
            "who used it last": "That is another rule, under which bills jump about.",
            "all who map it": "That is the equal or proportional split.",
        },
        why="And until the page is freed.",
    ),
    Ask(
        "A page is mapped by three containers, each with one task. What does each pay under the equal split? In hundredths of a page, rounded.",
        33,
        kind="number",
        feedback={"100": "So the page would be paid for three times."},
        within=1,
        otherwise="One page, three users.",
        why="A third each.",
    ),
    Ask(
        "Why may my bill rise under the equal split, though I do nothing?",
        "another user leaves",
        ("another user leaves", "another user comes", "I touch the page again"),
        feedback={
            "another user comes": "Then it falls: the page is split among more.",
            "I touch the page again": "Touching what is there changes nothing under this rule.",
        },
        why="The price of the page is split among those who are left.",
    ),
)
