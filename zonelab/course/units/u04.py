"""Unit 04, container assignment: who gets a zone?"""

from __future__ import annotations

from random import Random
from typing import Literal

from zonelab.course.exercise import Exercise
from zonelab.machine import Corrected, Machine
from zonelab.story.ask import Ask
from zonelab.view.drawing import Drawing


def picture() -> Drawing:
    """Three keys for the pages of a file."""
    drawing = Drawing(
        660,
        190,
        "One page of a file, read by web, which is in a set with db. Three keys, three zones: by container it goes to web's private zone, "
        "by set to the zone that web and db share, by mount to the zone of the file system the file is on.",
    )
    drawing.box(10, 70, 130, 50, "web reads a page\nof a file", "plain")
    for y, key, zone, kind in (
        (12, "by container", "web.private", "web"),
        (74, "by set", "pair.shared", "shared"),
        (136, "by mount", "shop.mount", "main"),
    ):
        drawing.arrow(140, 95, 300, y + 21).box(304, y, 130, 42, zone, kind)  # type: ignore[arg-type]
        drawing.text(450, y + 26, key, "start")
    drawing.text(548, 38, "its own, though db\nmay read it, too", "start", 11).text(
        552, 100, "both members’", "start", 11
    )
    drawing.text(548, 162, "of all who mount it", "start", 11)
    return drawing


Reads = list[tuple[str, str]]
Key = Literal["set", "container", "mount"]


def _reads(dice: Random) -> list[tuple[Reads, str]]:
    """((container, file) in order, key): a and b are one set, c is alone; x and y lie on one mount, z on another."""
    fixed: Reads = [("c", "x"), ("a", "x"), ("b", "y"), ("b", "z"), ("a", "z"), ("c", "y")]
    cases: list[tuple[Reads, str]] = [(fixed, key) for key in ("container", "set", "mount")]
    for key in ("container", "set", "mount"):
        cases.append(([(dice.choice("abc"), dice.choice("xyz")) for _ in range(8)], key))
    return cases


ZONE_OF_MOUNT = {"x": "shop", "y": "shop", "z": "home"}


def _zones(reads: Reads, key: Key) -> dict[str, str]:
    machine = Machine(nodes=1, node_mib=64, policy=Corrected(cache_key=key))
    containers = {name: machine.container(name, private_mib=4) for name in "abc"}
    machine.container_set("ab", [containers["a"], containers["b"]], shared_mib=4)
    mounts = {name: machine.mount(name, mib=4) for name in ("shop", "home")}
    files = {name: machine.file(name, pages=1, mount=mounts[ZONE_OF_MOUNT[name]]) for name in "xyz"}
    tasks = {name: machine.task(containers[name]) for name in "abc"}
    for who, name in reads:
        machine.read(tasks[who], files[name], pages=1)
    return {
        name: machine.zone_of(int(file.cache[0])).name.split(".")[0]
        for name, file in files.items()
        if file.cache[0] >= 0
    }


def _by_hand(reads: Reads, key: str, first: bool = True, set_for_c: str = "c", mounts: bool = True) -> dict[str, str]:
    out: dict[str, str] = {}
    for who, name in reads:
        group = "ab" if who in "ab" else set_for_c
        zone = {"container": who, "set": group, "mount": ZONE_OF_MOUNT[name] if mounts else name}[key]
        if not first or name not in out:
            out[name] = zone
    return out


WHERE = Exercise(
    name="zones_of",
    cases=_reads,
    right=_zones,
    wrong={
        "the last reader's": (
            lambda reads, key: _by_hand(reads, key, first=False),
            "Those are the zones of whoever read last. A page is placed when it is read first, and stays.",
        ),
        "a set for everybody": (
            lambda reads, key: _by_hand(reads, key, set_for_c="ab"),
            "c is in no set, so it has no shared zone; its pages go to its own.",
        ),
        "a mount for each file": (
            lambda reads, key: _by_hand(reads, key, mounts=False),
            "A mount has many files, and one zone: x and y are on the same one.",
        ),
    },
    hints=(
        "Go through the reads in order. Which file's page is placed at which of them?",
        "setdefault keeps the first. The zone is who reads, or 'ab' if that is a or b and the key is the set, or the file's mount.",
    ),
    praise="One question, whom does a page belong to, and three answers; each is right for somebody.",
)

EXERCISES = (WHERE,)

QUIZ = (
    Ask(
        "Two containers form a set. How many zones does the proposal give them?",
        3,
        kind="number",
        feedback={
            "2": "Two private ones, and one for what they share.",
            "1": "Then one's private data could be in the way of the other's.",
        },
        otherwise="One each, and one for the set.",
        why="Two private zones and one shared zone.",
    ),
    Ask(
        "A container's zone is made on first need. It is started, maps 10 MiB and goes to sleep. How large is its zone?",
        "it has none yet",
        ("it has none yet", "10 MiB", "4 MiB"),
        feedback={
            "10 MiB": "Mapping takes no page, so nobody has needed a zone yet.",
            "4 MiB": "The smallest zone has 4 MiB, but there is none before the first fault.",
        },
        why="Who allocates makes it, and mapping allocates nothing.",
    ),
    Ask(
        "Files belong to the container that faults. web and db both read libc, web first. What is odd about the result?",
        "db uses pages in web's private zone",
        ("db uses pages in web's private zone", "libc is in memory twice", "db has to wait for web"),
        feedback={
            "libc is in memory twice": "A file is in the page cache once; db finds web's pages.",
            "db has to wait for web": "It maps the same pages, at once.",
        },
        why="Private is only a name then: whoever comes first lends his zone to all. That is why the mail has a shared zone.",
    ),
    Ask(
        "20 blocks of a node are free, no two of them side by side. What is the largest zone that can be made in one stretch?",
        "one block, 4 MiB",
        ("one block, 4 MiB", "20 blocks, 80 MiB", "none at all"),
        feedback={
            "20 blocks, 80 MiB": "If it need not be in one stretch, nearly so. In one stretch, it needs neighbours.",
            "none at all": "One block is a stretch of its own.",
        },
        why="Zones cut a node into pieces, too. That is fragmentation one floor higher.",
    ),
)

RECALL = (
    Ask(
        "What are the three possible keys for the zone of a file's pages?",
        "container, set, mount",
        ("container, set, mount", "node, zone, block", "read, write, map"),
        feedback={
            "node, zone, block": "Those say where memory is, not whose.",
            "read, write, map": "Those are ways to get at a page.",
        },
        why="Whom a page belongs to: to who faults, to his set, or to the file's mount.",
    ),
    Ask(
        "When is a lazy container's zone made?",
        "at its first fault",
        ("at its first fault", "when it is started", "when it maps memory"),
        feedback={
            "when it is started": "That is how the others are made; a lazy one waits.",
            "when it maps memory": "A mapping needs no page.",
        },
        why="The one who allocates selects or creates the zonelist.",
    ),
    Ask(
        "10 blocks are wanted in one stretch, 15 are free, and it is refused. Why?",
        "they are not side by side",
        ("they are not side by side", "some are in use", "the watermark"),
        feedback={
            "some are in use": "Those 15 are wholly free.",
            "the watermark": "Watermarks are about pages that are given out, not about blocks that are carved.",
        },
        why="A stretch needs neighbours.",
    ),
)
