"""Unit 09, orphaned zones: what happens to a zone when its container is gone?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine import Machine
from zonelab.machine.whatif import UncheckedZones
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """A zone in use, the orphan, and what is left of it in the main zone."""
    drawing = Drawing(
        660,
        190,
        "Three stages of the same memory. First: web's zone with a heap and a file, beside the main zone. Second, web is gone: "
        "its zone is an orphan, the heap is free, the file is still there and charged to root. Third, merged: all blocks belong to the "
        "main zone, and the file lies in it at the same place.",
    )
    rows = (("web is alive", 14), ("web is gone", 74), ("merged", 134))
    for name, y in rows:
        drawing.text(10, y + 26, name, "start")
    drawing.box(130, 14, 300, 42, "", "web").box(438, 14, 212, 42, "main zone", "main")
    drawing.box(136, 20, 170, 30, "heap", "web").box(312, 20, 112, 30, "file", "shared")
    drawing.box(130, 74, 300, 42, "", "plain").box(438, 74, 212, 42, "main zone", "main")
    drawing.box(136, 80, 170, 30, "free, stranded", "free").box(312, 80, 112, 30, "file", "shared")
    drawing.box(130, 134, 520, 42, "", "main").text(540, 160, "main zone")
    drawing.box(136, 140, 170, 30, "free", "free").box(312, 140, 112, 30, "file", "shared")
    return drawing


# -- exercises


def _things(dice: Random) -> list[tuple[list[tuple[str, int, list[str]]]]]:
    """What web is charged for: (kind, pages, who maps it)."""
    cases = []
    for _ in range(4):
        things = [
            ("heap", dice.randrange(10, 200), ["web"]),
            ("file", dice.randrange(10, 200), ["db", "web"]),
            ("file", dice.randrange(10, 200), []),
            ("tmpfs", dice.randrange(10, 200), ["web"]),
            ("heap", dice.randrange(10, 200), ["web"]),
        ]
        dice.shuffle(things)
        cases.append((things[: dice.randrange(4, 6)],))
    return [*cases, ([("file", 7, []), ("heap", 30, ["web"]), ("tmpfs", 5, ["web"]), ("file", 11, ["db", "web"])],)]


def _came_back(things: list[tuple[str, int, list[str]]]) -> list[int]:
    """(pages free at once, pages charged to root), by letting a simulated web do all that, and exit."""
    machine = Machine(nodes=1, node_mib=64)
    containers = {name: machine.container(name, private_mib=8) for name in ("web", "db")}
    tasks = {name: machine.task(container) for name, container in containers.items()}
    for number, (kind, count, mapped_by) in enumerate(things):
        if kind == "heap":
            machine.touch(machine.mmap(tasks["web"], pages=count), 0, count)
            continue
        file = machine.file(f"file{number}", pages=count, tmpfs=kind == "tmpfs")
        machine.read(tasks["web"], file, 0, count)
        for name in mapped_by:
            machine.touch(machine.mmap(tasks[name], file=file, shared=True), 0, count, write=False)
    return [machine.exit(containers["web"]), machine.root.charged]


def _sums(things: list[tuple[str, int, list[str]]], freed: object) -> list[int]:
    assert callable(freed)
    back = sum(count for kind, count, users in things if freed(kind, users))
    return [back, sum(count for _, count, _ in things) - back]


EXIT = Exercise(
    name="after_exit",
    cases=_things,
    right=_came_back,
    wrong={
        "all that it paid for": (
            lambda things: _sums(things, lambda kind, users: True),
            "You free everything that web was charged for. But paying for a file is not owning it: the page cache stays.",
        ),
        "what nobody else maps": (
            lambda things: _sums(things, lambda kind, users: "db" not in users),
            "You free files as soon as nobody else maps them. Page cache needs no mapping: it waits there for the next reader.",
        ),
        "tmpfs is memory, so it goes": (
            lambda things: _sums(things, lambda kind, users: kind in ("heap", "tmpfs")),
            "tmpfs lives in memory, but its files have names: who knows the name can still open them. They stay until they are deleted.",
        ),
        "the bill goes to the users": (
            lambda things: [
                sum(count for kind, count, _ in things if kind == "heap"),
                sum(count for kind, count, users in things if kind != "heap" and "db" not in users),
            ],
            "What db maps you charge to db. Nobody asks who maps a page when an account is closed: all that is left goes to root.",
        ),
    },
    hints=(
        "Which of these things could somebody who comes tomorrow still get at, because it has a name?",
        "Heaps come back; everything with a name (file, tmpfs) stays, and root is charged for it, whoever maps it.",
    ),
    praise="A name is what keeps memory alive. That is why a container can be gone and its bill is not.",
)


def _borders(dice: Random) -> list[tuple[int]]:
    inside = [(dice.randrange(1, 2048),) for _ in range(4)]
    return [*inside, (1024,), (512,), (1000,), (1 + 2 * dice.randrange(1000),)]


def _joins(border: int) -> int:
    zones = UncheckedZones(0, border, 2048, checked=True)
    zones.start_used()
    for pfn in range(2048):
        zones.free(pfn)
    return len(zones.merge())


JOINS = Exercise(
    name="joins",
    cases=_borders,
    right=_joins,
    wrong={
        "one border, one pair": (
            lambda border: 1,
            "Blocks on both sides of the border touch each other, whatever they are; joined are buddies only, and a joined pair may "
            "find its own buddy free: one join leads to the next.",
        ),
        "one pair, unless it is aligned": (
            lambda border: int(border % 1024 != 0),
            "None if the border is a multiple of 1,024: right. But inside a block one join leads to the next, up to order 10.",
        ),
        "one too many": (
            lambda border: 11 - ((border & -border).bit_length() - 1) if border % 1024 else 0,
            "You count the blocks of the chain, it seems. The first of them is there already; joins are the steps between.",
        ),
    },
    hints=(
        "How large is the free block that begins at the border, and how large must it become?",
        "The largest block that can begin at the border has the order k of the lowest bit that is set in it. It is joined 10 - k times; "
        "never, if k is 10 or more.",
    ),
    praise="Zero for every multiple of 1,024, and never otherwise: that is all of the alignment rule, seen from the day of the merge.",
)

EXERCISES = (EXIT, JOINS)

# -- questions

QUIZ = (
    Ask(
        "A container exits. It had read a log file that nobody maps and nobody will ever read again. What happens to those pages?",
        "they stay until memory is needed or the file is deleted",
        (
            "they stay until memory is needed or the file is deleted",
            "they are freed with the container",
            "they are freed when its zone is merged",
        ),
        feedback={
            "they are freed with the container": "Nobody knows that no one will read it again. Page cache belongs to the file.",
            "they are freed when its zone is merged": "Merging changes to which zone blocks belong. It frees nothing.",
        },
        why="Page cache is kept as long as there is room: it costs nothing, except for who is charged.",
    ),
    Ask(
        "What does merging an orphaned zone of 1,000 blocks cost?",
        "about as much as it has blocks and free lists",
        (
            "about as much as it has blocks and free lists",
            "a copy of each page in use",
            "a search for the buddy of each free page",
        ),
        feedback={
            "a copy of each page in use": "Nothing moves. The pages keep their pfns, the blocks get another zone.",
            "a search for the buddy of each free page": "No buddy can lie beyond an aligned border, so nobody has to look.",
        },
        why="The block table gets new entries, and the free lists are hung up elsewhere.",
    ),
    Ask(
        "A set has a shared zone. Its first member exits, then its last. When is the shared zone an orphan?",
        "when the last has exited",
        ("when the last has exited", "when the first has exited", "never: files lie in it"),
        feedback={
            "when the first has exited": "The set goes on with the others, and uses it.",
            "never: files lie in it": "Pages in use do not make an owner.",
        },
        why="It belongs to the set, and a set lives as long as one of its members.",
    ),
    Ask(
        "Two zones without the alignment rule meet at pfn 1,536. All pages are free on both sides. How many joins does the merge need?",
        1,
        kind="number",
        feedback={
            "0": "1,536 is no multiple of 1,024: it lies in the middle of a block.",
            "10": "That would be so if the border were an odd pfn.",
        },
        otherwise="How large is the free block that begins at 1,536?",
        why="1,024 to 1,535 and 1,536 to 2,047 are buddies of order 9; they become one block of order 10.",
    ),
)

RECALL = (
    Ask(
        "A container exits. Which of its pages are free at once?",
        "its private memory",
        ("its private memory", "all that it is charged for", "none, until its zone is merged"),
        feedback={
            "all that it is charged for": "Pages of files may be in use by others, and stay in the page cache anyway.",
            "none, until its zone is merged": "They are free, in the orphaned zone; only no zonelist leads there yet.",
        },
        why="Heap and stack go with the tasks. What others can find by a name, files and tmpfs, lives on.",
    ),
    Ask(
        "An orphaned zone is merged into the main zone. How many pairs of free blocks have to be joined across the old border, at least?",
        0,
        kind="number",
        feedback={
            "1": "One border, but no buddies on either side of it: it lies between two blocks of the largest order."
        },
        otherwise="Where does a zone border lie, seen from the buddies?",
        why="None: zones begin and end with blocks of the largest order, and a buddy never lies outside of one's own block.",
    ),
    Ask(
        "A container is gone, and pages of a file that it had read live on. Who pays for them in our machine?",
        "root, the parent",
        ("root, the parent", "nobody", "whoever reads the file next"),
        feedback={
            "nobody": "Then the bill would no longer add up to the pages in use. Somebody has to be charged.",
            "whoever reads the file next": "Being found in the page cache costs nothing: only who has a page allocated is charged.",
        },
        why="The account is closed, and its pages are charged to the parent: they are reparented.",
    ),
)
