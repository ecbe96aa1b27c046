"""Unit 10, task migration: why is moving a task not easy?"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from zonelab.course.exercise import Exercise
from zonelab.machine import Costs, Machine, Policy
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """What goes to the new zone, and the two things that stay."""
    drawing = Drawing(
        660,
        236,
        "Two nodes. On node 0 the old zone of web holds its own pages and a pinned page, and the shared zone holds a page that db uses "
        "as well. The task now runs on node 1, where a new zone was made. Only web's own pages are copied there; the pinned page "
        "and the shared page stay on node 0, and the task reaches them across nodes.",
    )
    for x, name in ((10, "node 0"), (400, "node 1")):
        drawing.box(x, 24, 250, 204, "", "plain").text(x + 8, 18, name, "start")
    drawing.box(20, 34, 230, 26, "db runs here", "plain").box(410, 34, 230, 26, "web's task runs here now", "plain")
    drawing.box(20, 70, 230, 92, "", "web").text(28, 86, "web.private, old", "start", 12)
    drawing.box(30, 94, 130, 24, "web's own pages", "web").box(30, 128, 130, 24, "pinned", "hot")
    drawing.box(20, 170, 230, 50, "", "shared").text(28, 186, "pair.shared", "start", 12)
    drawing.box(30, 192, 130, 22, "db uses it, too", "shared")
    drawing.box(410, 70, 230, 92, "", "web").text(418, 86, "web.private, new", "start", 12)
    drawing.box(420, 94, 130, 24, "the copies", "web")
    drawing.arrow(162, 106, 418, 106).text(330, 98, "copied, page by page", "middle", 12)
    drawing.arrow(408, 150, 164, 140, "", dashed=True).arrow(408, 156, 164, 202, "", dashed=True)
    drawing.text(270, 212, "reached from afar", "start", 12)
    return drawing


# -- exercises


class Page(NamedTuple):
    """A page of the machine, as the exercise shows it."""

    node: int
    users: tuple[str, ...]
    pinned: bool


def _pages(dice: Random) -> list[tuple[list[Page], int]]:
    """Pages of which each kind is there at least once, and the node that web moves to."""
    cases = []
    for _ in range(4):
        target = dice.randrange(2)
        away = 1 - target
        found = [
            Page(away, ("web",), False),
            Page(away, ("web",), True),
            Page(away, ("db", "web"), False),
            Page(target, ("web",), False),
            Page(away, ("db",), False),
        ]
        for _ in range(dice.randrange(2, 6)):
            users = dice.choice([("web",), ("web",), ("db", "web"), ("db",)])
            found.append(Page(dice.randrange(2), users, dice.random() < 0.2))
        dice.shuffle(found)
        cases.append((found, target))
    return cases


def _moved(pages: list[Page], target: int) -> list[int]:
    """Positions of the pages that the simulator would move: each is made on a machine without zones, and the plan is asked."""
    machine = Machine(nodes=2, node_mib=16, policy=Policy())
    homes = {name: machine.container(name, node=1 - target, private_mib=0) for name in ("web", "db")}
    tasks = {(name, node): machine.task(home, node=node) for name, home in homes.items() for node in (0, 1)}
    pfns: list[int] = []
    for page in pages:
        file = machine.file(f"page{len(pfns)}", pages=1, tmpfs=True)
        for name in page.users:
            vma = machine.mmap(tasks[name, page.node], file=file, shared=True)
            machine.touch(vma)
            if page.pinned:
                machine.pin(vma)
        pfns.append(int(vma.table[0]))
    plan = machine.plan_move(homes["web"], target)
    return [at for at, pfn in enumerate(pfns) if pfn in plan.moving]


def _shown(pages: list[Page], target: int) -> str:
    listed = "; ".join(f"node {p.node} {'+'.join(p.users)}{' pinned' if p.pinned else ''}" for p in pages)
    return f"which_move(pages, {target}), where the pages are {listed},"


WHICH = Exercise(
    name="which_move",
    cases=_pages,
    right=_moved,
    wrong={
        "all of them": (
            lambda pages, target: [at for at, page in enumerate(pages) if "web" in page.users and page.node != target],
            "Those are all pages of web that are not there yet. Some are in the hands of others: of a device, or of db.",
        ),
        "also the shared": (
            lambda pages, target: [
                at for at, p in enumerate(pages) if "web" in p.users and p.node != target and not p.pinned
            ],
            "The pages that db uses, too, go along in your answer. db stays, and would have to reach for them from afar.",
        ),
        "also the pinned": (
            lambda pages, target: [at for at, p in enumerate(pages) if p.users == ("web",) and p.node != target],
            "Pinned pages go along in your answer. A device has their pfn, and would go on writing to the old frame.",
        ),
        "also those that are there": (
            lambda pages, target: [at for at, p in enumerate(pages) if p.users == ("web",) and not p.pinned],
            "Look at page.node: what lies on the target already need not be copied.",
        ),
        "everybody's": (
            lambda pages, target: [at for at, p in enumerate(pages) if p.node != target and not p.pinned],
            "Only web moves. Pages that web does not use have nothing to do with it.",
        ),
    },
    hints=(
        "Go through the reasons to stay, one by one: it is there already; somebody else uses it; a device holds it.",
        'A page moves if page.users == ("web",), and it is not page.pinned, and page.node != target.',
    ),
    praise="Three reasons to stay, each of them somebody else's business. That is why nobody can promise that all data will follow.",
    ask=_shown,
)


def _prices(dice: Random) -> list[tuple[int, int, int]]:
    """(ns to copy a page, ns of a near touch, distance)."""
    return [(100 * dice.randrange(5, 60), 10 * dice.randrange(6, 15), dice.randrange(12, 41)) for _ in range(5)]


def _break_even(copy_ns: int, near_ns: int, distance: int) -> float:
    machine = Machine(
        nodes=2, node_mib=16, distances=[[10, distance], [distance, 10]],
        costs=Costs(local_ns=near_ns, copy_page_ns=copy_ns),
    )  # fmt: skip
    web = machine.container("web", private_mib=4)
    heap = machine.mmap(machine.task(web), pages=64)
    machine.touch(heap, 0, 64)
    return machine.plan_move(web, 1).break_even


BREAK_EVEN = Exercise(
    name="pays_after",
    cases=_prices,
    right=_break_even,
    wrong={
        "far touches alone": (
            lambda copy_ns, near_ns, distance: copy_ns / (near_ns * distance / 10),
            "That divides by the price of a far touch. After the move a touch still costs near_ns: what counts is the difference.",
        ),
        "near touches alone": (
            lambda copy_ns, near_ns, distance: copy_ns / near_ns,
            "That is how many near touches a copy is worth. The distance has to come in: what is saved by each touch?",
        ),
        "distance as a factor": (
            lambda copy_ns, near_ns, distance: copy_ns / (near_ns * distance - near_ns),
            "Distance 10 is near by definition: a touch at distance 20 costs twice as much as a near one, not twenty times.",
        ),
    },
    hints=(
        "What does a far touch cost, if distance 10 costs near_ns? And how much of that does each touch save after the move?",
        "far_ns = near_ns * distance / 10; every touch saves far_ns - near_ns; the copy is paid once.",
    ),
    praise="The size of the heap has cancelled out: what counts is how often each page is touched before the next move.",
)

EXERCISES = (WHICH, BREAK_EVEN)

# -- questions

QUIZ = (
    Ask(
        "Node 1 has 10,000 free pages, but no two free blocks of 4 MiB next to each other. web needs a zone of 3 blocks and has 600 pages. "
        "What happens?",
        "the move is refused, nothing is changed",
        (
            "the move is refused, nothing is changed",
            "600 pages move, there is room enough",
            "web gets three blocks that lie apart",
        ),
        feedback={
            "600 pages move, there is room enough": "So it would be without zones. Here the zone has to be there before the first page.",
            "web gets three blocks that lie apart": "A zone in pieces can be carved by hand; a move asks for one stretch.",
        },
        why="The zone is made first, and it wants neighbouring free blocks. Enough free pages are not enough.",
    ),
    Ask(
        "A page is copied to node 1. Which of these is the same afterwards?",
        "its content, and who is charged for it",
        ("its content, and who is charged for it", "its pfn", "its zone", "its distance from the task"),
        feedback={
            "its pfn": "It is another frame, so it has another number. Page tables are changed so that nobody notices.",
            "its zone": "The old zone is on node 0. The page lies in the new one.",
            "its distance from the task": "That is what the move is for.",
        },
        why="Content, charge and age go along; frame, node and zone are others.",
    ),
    Ask(
        "When a task moves, why are the pages that it shares with a task that stays not simply copied, one for each of the two?",
        "both must see what the other writes",
        (
            "both must see what the other writes",
            "it would take too much memory",
            "the kernel does not know who shares them",
        ),
        feedback={
            "it would take too much memory": "It would, but that is not why: two copies are two contents after the first write.",
            "the kernel does not know who shares them": "It does: from a page it finds all page tables that it is in (reverse mapping).",
        },
        why="Shared memory is one page for all. Two copies would be two memories. (Read-only copies are another story: replication.)",
    ),
    Ask(
        "A page costs 3,000 ns to copy. A touch costs 100 ns near and 160 ns far. After how many touches has the copy paid?",
        50,
        kind="number",
        feedback={
            "30": "A near touch costs 100 ns, too. Only the difference is saved.",
            "19": "You divided by the whole price of a far touch. After the move it still costs 100 ns.",
        },
        otherwise="Each touch saves 60 ns.",
        why="3,000 / (160 − 100) = 50.",
    ),
    Ask(
        "A move is called off half way. Which is true of our machine?",
        "what was copied goes back, and nothing is lost",
        (
            "what was copied goes back, and nothing is lost",
            "half of the data stays on either node",
            "the copied pages are lost",
        ),
        feedback={
            "half of the data stays on either node": "In Linux what has moved stays moved. Our machine goes back.",
            "the copied pages are lost": "A frame is freed only after its copy is in every page table.",
        },
        why="Each page is in one place at any time, so one can stop after any page, and go back.",
    ),
)

RECALL = (
    Ask(
        "Which of these pages goes along when a container moves to another node?",
        "a page of its heap that only its own tasks use",
        (
            "a page of its heap that only its own tasks use",
            "a page that a device is writing to",
            "a page that a container that stays uses as well",
        ),
        feedback={
            "a page that a device is writing to": "It is pinned: the device knows the pfn, and would write to the old frame.",
            "a page that a container that stays uses as well": "It stays with those who stay.",
        },
        why="Only what is one's own and held by nobody can be copied and forgotten.",
    ),
    Ask(
        "Node 1 has plenty of free pages, and yet the move is refused. What is missing?",
        "free blocks that lie next to each other",
        ("free blocks that lie next to each other", "free pages", "a cpu"),
        feedback={
            "free pages": "There are plenty; they lie scattered.",
            "a cpu": "Zones are about memory.",
        },
        why="The new zone is made of whole blocks in one stretch.",
    ),
    Ask(
        "Copying a page costs 2,000 ns; each touch saves 100 ns afterwards. How many touches of it until the move has paid?",
        20,
        kind="number",
        feedback={"10": "2,000 / 200 would be the whole price of a far touch; what is saved is 100 ns."},
        otherwise="Divide the one by the other.",
        why="2,000 / 100 = 20: the break-even.",
    ),
)
