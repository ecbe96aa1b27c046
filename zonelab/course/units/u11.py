"""Unit 11, what Linux did: which design was chosen in the end, and what does a real kernel do?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine import Machine, PageOwnership
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """Zones fuse place and price; Linux keeps them apart."""
    drawing = Drawing(
        660,
        190,
        "Left, software zones: one decision, the zone, says both where a page lies and who pays for it. Right, Linux: two decisions. The "
        "memory policy of the task chooses the node, and the memory control group counts the page, and neither knows of the other.",
    )
    drawing.text(160, 18, "software zones: one decision").text(500, 18, "Linux: two decisions")
    drawing.box(100, 30, 120, 30, "page fault", "plain").arrow(160, 60, 160, 84)
    drawing.box(90, 86, 140, 30, "zone of A", "web").arrow(130, 116, 90, 146).arrow(190, 116, 230, 146)
    drawing.box(20, 148, 130, 30, "it lies there", "plain").box(170, 148, 130, 30, "A pays", "plain")
    drawing.box(440, 30, 120, 30, "page fault", "plain").arrow(470, 60, 420, 84).arrow(530, 60, 580, 84)
    drawing.box(345, 86, 150, 30, "memory policy", "shared").box(505, 86, 150, 30, "control group", "web")
    drawing.arrow(420, 116, 420, 146).arrow(580, 116, 580, 146)
    drawing.box(355, 148, 130, 30, "node 0, 1, …", "plain").box(515, 148, 130, 30, "A’s counter + 1", "plain")
    return drawing


Touches = list[tuple[str, int]]


def _days(dice: Random) -> list[tuple[Touches]]:
    """Who touches which page of a common file, in order."""
    days: list[Touches] = [
        [(dice.choice("ABC"), dice.randrange(6)) for _ in range(dice.randrange(8, 16))] for _ in range(4)
    ]
    return [([("A", 0), ("B", 0), ("B", 1), ("A", 1), ("C", 1), ("C", 0)],), *((day,) for day in days)]


def _bill(touches: Touches) -> dict[str, int]:
    machine = Machine(nodes=1, node_mib=64, policy=PageOwnership())
    file = machine.file("data", pages=6, tmpfs=True)
    maps = {}
    for name in "ABC":
        container = machine.container(name, private_mib=4)
        maps[name] = machine.mmap(machine.task(container), file=file, shared=True)
    for name, page in touches:
        machine.touch(maps[name], page)
    return {name: next(c.charged for c in machine.containers if c.name == name) for name in "ABC"}


def _used(touches: Touches) -> dict[str, int]:
    return {name: len({page for who, page in touches if who == name}) for name in "ABC"}


def _last(touches: Touches) -> dict[str, int]:
    owner = {page: who for who, page in touches}
    return {name: sum(who == name for who in owner.values()) for name in "ABC"}


def _counted(touches: Touches) -> dict[str, int]:
    return {name: sum(who == name for who, _ in touches) for name in "ABC"}


BILL = Exercise(
    name="charges",
    cases=_days,
    right=_bill,
    wrong={
        "everybody pays for what he uses": (
            _used,
            "So each page is paid for by all who use it, and the bills add up to more pages than there are. A page is charged once.",
        ),
        "the last one pays": (
            _last,
            "The charge does not move on: whoever came first keeps it until the page is freed.",
        ),
        "every touch is charged": (
            _counted,
            "That counts touches. A page that is there already is not allocated, and not charged, again.",
        ),
    },
    hints=(
        "Go through the touches in order. When is a page charged at all?",
        "Remember for each page who touched it first: setdefault. Then count the pages of each container, also of those with none.",
    ),
    praise="This is the whole of the kernel's rule, page by page; our recording e2 shows it for thousands of them.",
)

EXERCISES = (BILL,)

QUIZ = (
    Ask(
        "A container has a limit of 512 MiB in Linux's memory control group and uses 100 MiB. What about the other 412 MiB?",
        "anybody may use them",
        ("anybody may use them", "they are kept free for it", "they are kept free on its node"),
        feedback={
            "they are kept free for it": "That would be a reservation, as a zone is. A limit only says where to stop.",
            "they are kept free on its node": "The counter does not know of nodes at all; where a page lies is decided elsewhere.",
        },
        why="A limit is a counter with a bound. Nothing is set aside, so nothing is stranded, and nothing is guaranteed.",
    ),
    Ask(
        "A task moves to another control group. Its 1,000 pages were charged to the old one. Who is charged afterwards?",
        "the old one",
        ("the old one", "the new one", "nobody, until they are touched again"),
        feedback={
            "the new one": "An early version could do that if asked to; it was slow and unreliable, and was given up.",
            "nobody, until they are touched again": "A page in use is always charged to somebody.",
        },
        why="A charge stays until the page is freed. Our recording e4 shows it: the counter of the old group does not change.",
    ),
    Ask(
        "Which of these does a fake NUMA node share with a software zone?",
        "it sets memory aside",
        ("it sets memory aside", "it can be made while the machine runs", "it can be of any size"),
        feedback={
            "it can be made while the machine runs": "Fake nodes are cut at boot, with the parameter numa=fake=.",
            "it can be of any size": "All are equally large, or listed at boot; a container gets whole ones.",
        },
        why="Both are places: what lies idle in them is nobody else's. That is their strength and their price.",
    ),
    Ask(
        "A migration with too little room on the target node: what did the real kernel do in our recording e4e?",
        "moved what fitted, and said it was done",
        ("moved what fitted, and said it was done", "moved nothing, and said why", "killed something to make room"),
        feedback={
            "moved nothing, and said why": "That is what our machine does. Linux moves page by page and stops when the target is full.",
            "killed something to make room": "No: pages for a migration are never worth a victim.",
        },
        why="3,948 pages moved and 4,635 stayed, and writing to the cpuset still succeeded.",
    ),
)

RECALL = (
    Ask(
        "Which two questions does Linux answer apart, that a software zone answers at once?",
        "where a page lies, and who pays",
        ("where a page lies, and who pays", "when it is allocated, and when freed", "which node, and which zone"),
        feedback={
            "when it is allocated, and when freed": "Those are the same in both: at the first touch, and at the last goodbye.",
            "which node, and which zone": "Both are places. The other question is about money.",
        },
        why="Placement by policy, charge by counter; a zone fuses them.",
    ),
    Ask(
        "What can strand memory: a limit, a zone, or both?",
        "a zone",
        ("a limit", "a zone", "both"),
        feedback={
            "a limit": "A limit keeps nothing free for anybody.",
            "both": "A limit keeps nothing free for anybody, so nothing is stranded by it.",
        },
        why="Idle memory in a zone is on nobody else's zonelist.",
    ),
    Ask(
        "Who is charged for a page of a common file in Linux?",
        "who touched it first",
        ("who touched it first", "who touched it last", "all who use it, in equal parts"),
        feedback={
            "who touched it last": "The charge stays where it is until the page is freed.",
            "all who use it, in equal parts": "One page, one account. Splitting it would cost work at every mapping.",
        },
        why="First touch, page by page.",
    ),
)
