"""Unit 02, nodes and zonelists: what does "near" memory mean, and what happens when it is full?"""

from __future__ import annotations

from random import Random

from zonelab.course.exercise import Exercise
from zonelab.machine import Machine
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """A request goes along its zonelist, and stops at the first zone above its watermark."""
    drawing = Drawing(
        680,
        186,
        "A task on node 1 wants a page. Its zonelist is node 1, node 2, node 0. Node 1 is full down to its low watermark and says no; "
        "node 2, the next nearest, is above its watermark and gives the page; node 0 is not asked.",
    )
    drawing.box(10, 66, 110, 40, "task on node 1\nwants a page", "plain")
    for x, name, fill, said in (
        (170, "node 1, distance 10", 92, "no"),
        (340, "node 2, distance 20", 52, "yes"),
        (510, "node 0, distance 20", 20, ""),
    ):
        drawing.text(x + 65, 28, name).box(x, 38, 130, 110, "", "free")
        drawing.box(x, 148 - fill, 130, fill, "", "web" if fill > 60 else "main")
        drawing.line(x - 6, 56, x + 136, 56, dashed=True)
        if said:
            drawing.text(x + 65, 172, said)
    drawing.arrow(120, 86, 166, 86).arrow(304, 86, 336, 86)
    drawing.text(575, 172, "not asked").text(650, 60, "low", "start", 11)
    return drawing


def _matrices(dice: Random) -> list[tuple[list[list[int]], int]]:
    """(distances, node) without equal distances, where the order by number is not the order by distance."""
    cases = []
    for _ in range(5):
        count = dice.randrange(3, 6)
        rows = []
        for a in range(count):
            far = dice.sample(range(11, 60), count - 1)
            rows.append([*far[:a], 10, *far[a:]])
        cases.append((rows, dice.randrange(1, count)))
    return [([[10, 40, 20], [40, 10, 30], [20, 30, 10]], 2), ([[10, 50, 30], [20, 10, 40], [30, 40, 10]], 0), *cases]


def _order(distances: list[list[int]], node: int) -> list[int]:
    machine = Machine(nodes=len(distances), node_mib=8, distances=distances)
    return [zone.node for zone in machine.fallback(node)]


ORDER = Exercise(
    name="fallback",
    cases=_matrices,
    right=_order,
    wrong={
        "by number": (
            lambda distances, node: [node, *(n for n in range(len(distances)) if n != node)],
            "That goes by the nodes' numbers. A number is only a name; what counts is the distance.",
        ),
        "farthest first": (
            lambda distances, node: [
                node,
                *sorted((n for n in range(len(distances)) if n != node), key=lambda n: -distances[node][n]),
            ],
            "After its own node that begins with the farthest. A small distance is near.",
        ),
        "without home": (
            lambda distances, node: sorted(
                (n for n in range(len(distances)) if n != node), key=lambda n: distances[node][n]
            ),
            "Home is missing: the node itself, at distance 10, is tried first of all.",
        ),
    },
    hints=(
        "Which row of the matrix has the distances from this node?",
        "Sort the nodes by distances[node][n]; home has 10, the smallest number there is.",
    ),
    praise="That is node_order of a zonelist; Linux builds it once, at boot (find_next_best_node()).",
)


def _demands(dice: Random) -> list[tuple[int, list[int], list[int]]]:
    """(pages wanted, free pages of the zones in zonelist order, their low watermarks)."""
    cases = []
    for _ in range(5):
        free = [dice.randrange(3000, 9000) for _ in range(3)]
        cases.append((free[0] + dice.randrange(500, 2500), free, [dice.randrange(40, 90) for _ in range(3)]))
    return [(100, [5000, 5000, 5000], [50, 60, 70]), *cases, (9_000, [4000, 4000, 9000], [40, 50, 60])]


def _spread(wanted: int, free: list[int], low: list[int]) -> list[int]:
    out = []
    for have, mark in zip(free, low, strict=True):
        part = max(0, min(wanted, have - mark))
        out.append(part)
        wanted -= part
    return out


def _emptied(wanted: int, free: list[int], low: list[int]) -> list[int]:
    return _spread(wanted, free, [0] * len(free))


def _even(wanted: int, free: list[int], low: list[int]) -> list[int]:
    return [wanted // len(free) + (at < wanted % len(free)) for at in range(len(free))]


SPREAD = Exercise(
    name="spread",
    cases=_demands,
    right=_spread,
    wrong={
        "to the last page": (
            _emptied,
            "That empties each zone. An ordinary request stops at the low watermark, and goes on to the next zone.",
        ),
        "in equal parts": (
            _even,
            "That is interleaving, another policy. By default all come from the nearest zone, as long as it gives.",
        ),
    },
    hints=(
        "Go along the zones. How many pages can the first one give before it is down to its mark?",
        "Each gives min(wanted, free - low), but never less than 0; what is still wanted goes to the next.",
    ),
    praise="Compare that with recording e3a below: it is what Linux did, to within a few pages that each cpu keeps for itself.",
)

EXERCISES = (ORDER, SPREAD)

QUIZ = (
    Ask(
        "A task runs on node 0 and writes its memory. Then the scheduler moves it to node 1. Where is its memory?",
        "on node 0",
        ("on node 0", "on node 1", "half on each"),
        feedback={
            "on node 1": "Pages do not follow. Each was taken where the task ran when it touched it first.",
            "half on each": "Only pages that it touches for the first time from now on will be on node 1.",
        },
        why="First touch decides, and once allocated a page stays. Unit 10 is about making it move.",
    ),
    Ask(
        "Node 0 has 60 free pages, low watermark 64. Node 1, far away, has 30,000. A task on node 0 wants a page. What happens?",
        "it gets one from node 1",
        ("it gets one from node 1", "it gets one of the 60", "pages of node 0 are reclaimed for it"),
        feedback={
            "it gets one of the 60": "They are below the mark, and kept for those who cannot wait.",
            "pages of node 0 are reclaimed for it": "Not while another zone of the list is above its mark: a far page is cheaper than reclaim.",
        },
        why="The first zone of the list that is above its low watermark gives.",
    ),
    Ask(
        "numactl --hardware says that node 0 is at distance 21 from node 1. What does the 21 mean?",
        "about 2.1 times the time of a local access",
        ("about 2.1 times the time of a local access", "21 nanoseconds", "21 hops between them"),
        feedback={
            "21 nanoseconds": "It is a ratio, not a time: local is 10 by definition.",
            "21 hops between them": "Most machines have one or two hops. It is a ratio, with local access as 10.",
        },
        why="Distances come from a table of the firmware (SLIT), in which 10 is local.",
    ),
    Ask(
        "Is a node the same as a zone?",
        "no: a node has one zone or several",
        ("no: a node has one zone or several", "yes, two words for one thing", "no: a zone has several nodes"),
        feedback={
            "yes, two words for one thing": "On our machine a node begins with one zone, but the course cuts more out of it; Linux has DMA, DMA32, "
            "Normal and others in one node.",
            "no: a zone has several nodes": "The other way round: every zone lies in one node.",
        },
        why="A node says how near memory is, a zone what it is used for.",
    ),
)

RECALL = (
    Ask(
        "From which node does a task's page come, if nothing is said and all nodes have room?",
        "the one it runs on when it touches the page",
        ("the one it runs on when it touches the page", "the one it was started on", "the one with most free memory"),
        feedback={
            "the one it was started on": "It may have been moved since. What counts is where it runs at the first touch.",
            "the one with most free memory": "Free memory only counts when the near node is down to its mark.",
        },
        why="First touch: the zonelist is that of the node where the task runs.",
    ),
    Ask(
        "What is a zonelist?",
        "the zones that a page may come from, in order",
        ("the zones that a page may come from, in order", "all zones of one node", "the free lists of a zone"),
        feedback={
            "all zones of one node": "It goes on to other nodes, nearest first.",
            "the free lists of a zone": "Those are its free areas, one list for each order.",
        },
        why="Whoever allocates goes along it, until a zone gives.",
    ),
    Ask(
        "A zone has 100 free pages and a low watermark of 64. How many single pages does it give before the next zone is asked?",
        36,
        kind="number",
        feedback={
            "100": "It never gives its last pages to an ordinary request.",
            "64": "Those are the ones that it keeps.",
        },
        otherwise="It stops when it is down to the mark.",
        why="100 - 64 = 36.",
    ),
)
