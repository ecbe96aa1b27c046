"""The machines that can be recorded: one small file each in ``machines/``, read here and turned into QEMU's words."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zonelab.errors import BadFormat, BadRequest

FOLDER = Path(__file__).resolve().parent / "machines"
PAGES_PER_MIB = 256
LEAST_MIB = 128
"""The kernel itself fills half of a smaller first node, and the experiments no longer fit."""
LEAST_CPUS = 3
"""Two that work, near node 0 and node 1, and the last one for the controller."""
MOST_NODES = 8
"""The controller opens two files a node beforehand (``FILES`` in guest/lab.h)."""


@dataclass(frozen=True)
class Board:
    """One node of the emulated hardware: its memory in MiB, the numbers of its cpus, its distance to every node."""

    mib: int
    cpus: tuple[int, ...]
    distances: tuple[int, ...]


@dataclass(frozen=True)
class Machine:
    """A machine as its file describes it, and as the kernel in it will see it.

    Attributes:
        name: the name of its file.
        about: what it is, in a few words.
        boards: the nodes of the hardware.
        fake: into how many nodes the kernel splits the hardware's only one (``numa=fake=``); 0: not at all.
        experiments: names of those to run; empty: all that have enough nodes.
    """

    name: str
    about: str
    boards: tuple[Board, ...]
    fake: int = 0
    experiments: tuple[str, ...] = ()

    @property
    def mib(self) -> int:
        return sum(board.mib for board in self.boards)

    @property
    def nodes(self) -> int:
        """How many nodes the kernel sees."""
        return self.fake or len(self.boards)

    @property
    def cpus(self) -> int:
        return sum(len(board.cpus) for board in self.boards)

    def pages(self, node: int) -> int:
        """Size of a node that the kernel sees, in pages."""
        mib = self.mib // self.fake if self.fake else self.boards[node].mib
        return mib * PAGES_PER_MIB

    def cpu(self, node: int) -> int:
        """A cpu near a node. In a split machine every cpu is near every node; they are dealt out in turn."""
        return node % self.cpus if self.fake else self.boards[node].cpus[0]

    def fallback(self, node: int) -> list[int]:
        """The nodes from the nearest on; of two at the same distance, the one that follows `node` sooner."""
        near = [10] * self.nodes if self.fake else self.boards[node].distances
        return sorted(range(self.nodes), key=lambda other: (near[other], (other - node) % self.nodes))

    def qemu(self) -> list[str]:
        """The machine in QEMU's options."""
        out = ["-m", f"{self.mib}M", "-smp", str(self.cpus)]
        if len(self.boards) == 1:
            return out
        for n, board in enumerate(self.boards):
            cpus = ",".join(f"cpus={cpu}" for cpu in board.cpus)
            out += ["-object", f"memory-backend-ram,id=m{n},size={board.mib}M"]
            out += ["-numa", f"node,nodeid={n},{cpus},memdev=m{n}"]
        for n, board in enumerate(self.boards):
            for other, distance in enumerate(board.distances):
                if other != n:
                    out += ["-numa", f"dist,src={n},dst={other},val={distance}"]
        return out

    def boot_words(self) -> list[str]:
        """What its kernel's command line needs."""
        return [f"numa=fake={self.fake}"] if self.fake else []


def machines() -> list[str]:
    """The names of the machines that are described here."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> Machine:
    """A machine by its name, or by the path of a file of one's own.

    Raises:
        BadRequest: there is none of this name.
        BadFormat: the file does not describe a machine.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise BadRequest(f"no machine {name!r}; there are {', '.join(machines())}, or give a .toml file")
    return parse(path.read_text(encoding="utf-8"), path.stem)


def parse(text: str, name: str) -> Machine:
    """A machine from the text of its file.

    Raises:
        BadFormat: what is missing or contradicts itself, with its numbers.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadFormat(f"{name}: {error}", None, "a TOML file") from None
    unknown = table.keys() - {"about", "node", "fake", "experiments"}
    if unknown:
        raise BadFormat(f"{name}: {', '.join(sorted(unknown))}", None, "about, fake, experiments and [[node]]")
    rows = table.get("node")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_NODES or not all(isinstance(row, dict) for row in rows):
        raise BadFormat(f"{name}: no list of nodes", None, f"1 to {MOST_NODES} times [[node]]")
    boards = tuple(_board(row, n, len(rows), name) for n, row in enumerate(rows))
    fake, about, experiments = table.get("fake", 0), table.get("about"), table.get("experiments", [])
    if not isinstance(about, str):
        raise BadFormat(f"{name}: about is {about!r}", None, "a text")
    if not isinstance(experiments, list) or not all(isinstance(word, str) for word in experiments):
        raise BadFormat(f"{name}: experiments is {experiments!r}", None, "a list of names")
    if not _is_number(fake) or fake < 0 or fake == 1 or fake > MOST_NODES or (fake and len(boards) > 1):
        raise BadFormat(f"{name}: fake is {fake!r} with {len(boards)} nodes", None, f"2 to {MOST_NODES}, with one node")
    machine = Machine(name, about, boards, fake, tuple(experiments))
    _check(machine)
    return machine


def _board(row: dict[str, Any], node: int, nodes: int, name: str) -> Board:
    where = f"{name}: node {node}"
    if row.keys() != {"mib", "cpus", "distances"}:
        raise BadFormat(f"{where} has {', '.join(sorted(row)) or 'nothing'}", None, "mib, cpus and distances")
    mib, cpus, distances = row["mib"], row["cpus"], row["distances"]
    for what, values in (("cpus", cpus), ("distances", distances)):
        if not isinstance(values, list) or not values or not all(_is_number(value) for value in values):
            raise BadFormat(f"{where}: {what} is {values!r}", None, "a list of numbers")
    if not _is_number(mib):
        raise BadFormat(f"{where}: mib is {mib!r}", None, "a number")
    if len(distances) != nodes:
        raise BadFormat(f"{where} has {len(distances)} distances", None, f"{nodes}, one to each node")
    if distances[node] != 10 or any(not 10 < far < 255 for n, far in enumerate(distances) if n != node):
        raise BadFormat(f"{where}: distances {distances}", None, "10 to itself, and 11 to 254 to the others")
    return Board(mib, tuple(cpus), tuple(distances))


def _check(machine: Machine) -> None:
    """What no node shows by itself."""
    cpus = sorted(cpu for board in machine.boards for cpu in board.cpus)
    if cpus != list(range(len(cpus))) or len(cpus) < LEAST_CPUS:
        raise BadFormat(f"{machine.name}: cpus {cpus}", None, f"each of 0, 1, 2 ... once, and at least {LEAST_CPUS}")
    if machine.nodes < 2:
        raise BadFormat(f"{machine.name}: one node", None, "two at least: the experiments move between nodes")
    last = machine.cpus - 1
    if last in (machine.cpu(0), machine.cpu(1)):
        raise BadFormat(
            f"{machine.name}: cpu {last}, the controller's, is the first of node 0 or 1",
            None,
            "another first cpu there, for the workers",
        )
    small = [node for node in range(machine.nodes) if machine.pages(node) < LEAST_MIB * PAGES_PER_MIB]
    if small:
        raise BadFormat(
            f"{machine.name}: node {small[0]} has {machine.pages(small[0]) // PAGES_PER_MIB} MiB",
            None,
            f"{LEAST_MIB} MiB or more for each node",
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
