"""Unit 12, design your own: can you do better?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.errors import BadRequest
from zonelab.machine import Machine, Policy
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """A policy is one answer, given many times; the arena adds up what it leads to."""
    drawing = Drawing(
        660,
        170,
        "A policy answers one question, from which zones in which order may this page come. The arena asks it thousands of times on seven "
        "days, the same for every policy, and adds up seven measures: isolation, stranded, denied, unfairness, remote accesses, migration, look-up.",
    )
    drawing.box(10, 40, 150, 70, "your policy:\nten lines", "web").text(
        85, 132, "task, kind of page → zonelist", size=12
    )
    drawing.arrow(160, 75, 236, 75)
    for at in range(7):
        drawing.box(240 + at * 22, 40 + (at % 2) * 8, 18, 62, "", "main")
    drawing.text(315, 132, "seven days, the same for all", size=12).arrow(396, 75, 466, 75)
    for at, (name, width) in enumerate(
        (
            ("isolation", 60),
            ("stranded", 30),
            ("denied", 40),
            ("unfairness", 44),
            ("remote", 24),
            ("migration", 36),
            ("look-up", 50),
        )
    ):
        drawing.box(550, 8 + at * 20, width, 14, "", "shared").text(543, 20 + at * 20, name, "end", 11)
    drawing.text(560, 160, "less is better", size=12)
    return drawing


class Near(Policy):
    """A policy of a student, wrapped round a function."""

    def __init__(self, order: object) -> None:
        super().__init__()
        self.order = order

    def zonelist(self, machine, task, kind, vma, file):  # type: ignore[no-untyped-def]
        return tuple(self.order(machine, task))  # type: ignore[operator]


def _machines(dice: Random) -> list[tuple[list[int], int]]:
    """(pages free on each of three nodes, node on which the task runs)."""
    return [([900, 3000, 2000], 0), ([100, 100, 4000], 1)] + [
        ([dice.randrange(50, 4000) for _ in range(3)], dice.randrange(3)) for _ in range(4)
    ]


def _roomiest(free: list[int], node: int) -> list[int]:
    """Home first, then by free pages; worked out by a machine with a policy of that kind."""
    machine = Machine(nodes=3, node_mib=16)
    filler = machine.task(name="filler")
    for at, zone in enumerate([n.main for n in machine.nodes]):
        filler.node = at
        machine.policy = Near(lambda m, t, zone=zone: (zone,))
        count = zone.free_pages - free[at]
        try:
            machine.touch(machine.mmap(filler, pages=count), 0, count)
        except BadRequest:
            continue

    def order(m: Machine, task: object) -> list[object]:
        home = m.nodes[node].main
        rest = sorted((n.main for n in m.nodes if n.main is not home), key=lambda zone: -zone.free_pages)
        return [home, *rest]

    machine.policy = Near(order)
    task = machine.task(name="asks", node=node)
    return [zone.node for zone in machine.zonelist(machine.mmap(task, pages=1))]


ROOMIEST = Exercise(
    name="roomiest",
    cases=_machines,
    right=_roomiest,
    wrong={
        "home last": (
            lambda free, node: sorted(range(3), key=lambda n: -free[n]),
            "That goes by room alone. Home is near, and should come first as long as it gives anything.",
        ),
        "the fullest next": (
            lambda free, node: [node, *sorted((n for n in range(3) if n != node), key=lambda n: free[n])],
            "After home that begins with the fullest node, where the request would be sent on at once.",
        ),
        "home only": (
            lambda free, node: [node],
            "A list of one is a wall: when home is full, the task is out of memory.",
        ),
    },
    hints=(
        "Which node comes first, whatever is free? How are the others sorted?",
        "[node] followed by the other nodes, sorted by -free[n].",
    ),
    praise="Now make a policy of it, below: machine.nodes[n].main.free_pages tells how much is free.",
)

EXERCISES = (ROOMIEST,)

QUIZ = (
    Ask(
        "Page ownership sets nothing aside, so nothing is stranded. What does it pay for that?",
        "it guarantees nothing",
        ("it guarantees nothing", "it is slow", "it cannot limit anybody"),
        feedback={
            "it is slow": "A counter is one addition for a page; its zonelists are a little longer, which is the last column.",
            "it cannot limit anybody": "It limits everybody, to the page.",
        },
        why="A limit reserves nothing: when others have taken the memory, a promise is only a number.",
    ),
    Ask(
        "A policy is best in four of seven measures. Is it the best policy?",
        "that depends on the weights",
        ("that depends on the weights", "yes, four of seven", "no, it must win all"),
        feedback={
            "yes, four of seven": "If the other three are what your customers pay for, no.",
            "no, it must win all": "Then there is none: some of the measures are at odds.",
        },
        why="Whoever chooses the weights chooses the winner. That is why the debate of 2007 was one.",
    ),
    Ask(
        "You try a hundred variants of a policy on the same seven days with one seed, and take the best. What is wrong?",
        "it may only fit these days",
        ("it may only fit these days", "nothing, the best is the best", "a hundred is too few"),
        feedback={
            "nothing, the best is the best": "On these days. Try it with other seeds, and look whether it is still ahead.",
            "a hundred is too few": "More variants make it worse: the more you try, the more the winner owes to chance.",
        },
        why="Choose on some seeds, and judge on others.",
    ),
    Ask(
        "Why are all runs made with the same seeds for every policy?",
        "so that differences come from the policy alone",
        ("so that differences come from the policy alone", "to save time", "because chance is unfair"),
        feedback={
            "to save time": "It takes the same time.",
            "because chance is unfair": "Chance is fair in the long run; with the same days one needs no long run.",
        },
        why="The same day for everybody: then one need not average chance away.",
    ),
)

RECALL = (
    Ask(
        "What does a policy decide in zonelab?",
        "from which zones a page may come, in order",
        ("from which zones a page may come, in order", "which page is reclaimed", "who pays"),
        feedback={
            "which page is reclaimed": "That is reclaim's order, by age.",
            "who pays": "That is the charging rule.",
        },
        why="zonelist(machine, task, kind, vma, file).",
    ),
    Ask(
        "Which design sets no memory aside, so that none is stranded?",
        "page ownership",
        ("page ownership", "software zones", "fake NUMA"),
        feedback={
            "software zones": "Idle memory in a zone is nobody else's.",
            "fake NUMA": "It strands most: its pieces are the largest.",
        },
        why="Its limit is a number; though a hard one can deny memory that is free, as a wall does.",
    ),
    Ask(
        "What was the debate of 2007 about, in one line?",
        "guarantees against use",
        ("guarantees against use", "speed against size", "Linux against others"),
        feedback={"speed against size": "Neither was the point.", "Linux against others": "All of it was about Linux."},
        why="A zone guarantees and strands; a counter does neither.",
    ),
)
