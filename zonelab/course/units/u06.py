"""Unit 06, overcommit: what if a container wants more than its zone?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine import Machine
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """A zonelist of one zone is a wall; a longer one has a door."""
    drawing = Drawing(
        660,
        170,
        "Left, web's zonelist is its own zone alone: when that is full, web is out of memory, and db is safe. Right, db's zone is appended to web's "
        "list: web goes on there, and when that zone is full as well, pages of db are reclaimed for web.",
    )
    drawing.text(150, 18, "zonelist of web: [web]").box(20, 30, 110, 90, "web\nfull", "web").box(
        170, 30, 110, 90, "db", "db"
    )
    drawing.line(150, 24, 150, 128).text(150, 150, "a wall, for both sides", size=12)
    drawing.text(500, 18, "zonelist of web: [web, db]").box(370, 30, 110, 90, "web\nfull", "web").box(
        520, 30, 110, 90, "", "db"
    )
    drawing.box(520, 30, 46, 90, "web", "web").text(598, 80, "db").arrow(470, 75, 522, 75)
    drawing.text(500, 150, "a door: web in, pages of db out", size=12)
    return drawing


def _wishes(dice: Random) -> list[tuple[int, int, int]]:
    """(pages wanted, pages of the own zone, its low watermark): some fit, some do not."""
    cases = []
    for blocks in (1, 2, dice.randrange(3, 6), dice.randrange(3, 6)):
        low = Machine(nodes=1, node_mib=128).carve("zone", 0, 4 * blocks).low
        size = 1024 * blocks
        cases += [
            (size - low - dice.randrange(1, 300), size, low),
            (size - dice.randrange(1, low), size, low),
            (size + dice.randrange(1, 900), size, low),
        ]
    return cases


def _borrowed(wanted: int, size: int, low: int) -> int:
    machine = Machine(nodes=1, node_mib=128)
    web = machine.container("web", private_mib=size // 256)
    main = machine.nodes[0].main
    web.borrow = (main,)
    free = main.free_pages
    machine.touch(machine.mmap(machine.task(web), pages=wanted), 0, wanted)
    return free - main.free_pages


BORROWED = Exercise(
    name="borrowed",
    cases=_wishes,
    right=_borrowed,
    wrong={
        "to the last page": (
            lambda wanted, size, low: max(0, wanted - size),
            "That uses up the own zone to its last page. It stops giving at its low watermark, and the next zone is asked.",
        ),
        "never below zero forgotten": (
            lambda wanted, size, low: wanted - (size - low),
            "A negative number of pages? What fits at home is not borrowed at all.",
        ),
        "all of it": (
            lambda wanted, size, low: wanted if wanted > size - low else 0,
            "Only what does not fit is borrowed. What was taken at home stays there.",
        ),
    },
    hints=(
        "How many pages does the own zone give before it is down to its low watermark?",
        "size - low at home; the rest, if there is one, is borrowed: max(0, …).",
    ),
    praise="The reserve below the mark is why a container can borrow while its own zone still has free pages.",
)

EXERCISES = (BORROWED,)

QUIZ = (
    Ask(
        "What does overcommit mean in the mail?",
        "taking pages from zones that are not one's own",
        (
            "taking pages from zones that are not one's own",
            "promising more virtual memory than there is",
            "more containers than nodes",
        ),
        feedback={
            "promising more virtual memory than there is": "That is vm.overcommit_memory, which decides about mmap. Here pages are really taken.",
            "more containers than nodes": "Nodes are not counted here.",
        },
        why="The allowable zones are appended to the zonelist. To keep the two apart we say: borrow.",
    ),
    Ask(
        "web may borrow from db. Can db now lose pages to web?",
        "yes, when db's zone is down to its mark, too",
        ("yes, when db's zone is down to its mark, too", "no, web only takes free pages", "no, db's pages are db's"),
        feedback={
            "no, web only takes free pages": "As long as there are some. Then the zones of its list are reclaimed, and db's zone is on it.",
            "no, db's pages are db's": "Reclaim goes by zones, not by owners.",
        },
        why="Being on the list means being reclaimed for it. That is the interference that the administrator accepts.",
    ),
    Ask(
        "web is full, may not borrow, and holds pages of a log that nobody reads. What happens at its next fault?",
        "a page of the log is dropped",
        ("a page of the log is dropped", "web is out of memory", "a page of db is dropped"),
        feedback={
            "web is out of memory": "Not as long as its zone has something to reclaim.",
            "a page of db is dropped": "db's zone is not on web's list.",
        },
        why="Reclaim inside its own zone: whoever fills it hurts himself.",
    ),
    Ask(
        "Who should be able to switch borrowing on?",
        "who answers for all the containers",
        ("who answers for all the containers", "the container that wants to borrow", "nobody"),
        feedback={
            "the container that wants to borrow": "It would always say yes: the others pay.",
            "nobody": "Then memory lies idle while others starve; that was the strongest argument against zones.",
        },
        why="Isolation and use are at odds, and the one who is hurt is not the one who gains. So the administrator decides.",
    ),
)

RECALL = (
    Ask(
        "How does the proposal let a container take more than its zone?",
        "further zones are appended to its zonelist",
        ("further zones are appended to its zonelist", "its zone grows by itself", "its limit is raised"),
        feedback={
            "its zone grows by itself": "A zone keeps its blocks until somebody changes that.",
            "its limit is raised": "There is no limit here, only places.",
        },
        why="A longer list is all there is to it.",
    ),
    Ask(
        "In an interference matrix, what does a number in row db, column web mean?",
        "pages that db lost because web needed memory",
        ("pages that db lost because web needed memory", "pages that db took from web", "pages that both use"),
        feedback={
            "pages that db took from web": "The other way round: the row is the victim, the column the cause.",
            "pages that both use": "Shared pages are no interference by themselves.",
        },
        why="Victim × cause.",
    ),
    Ask(
        "Without borrowing and without sharing, what stands in the matrix off the diagonal?",
        0,
        kind="number",
        feedback={"1": "Not a single page: nobody reaches another one's zone."},
        otherwise="Nobody reaches another one's zone.",
        why="Zero: that is what zones are for.",
    ),
)
