"""A script: one experiment in the controller's language (guest/lab.h lists the words), written for a machine and a seed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from tools.record.machines import Machine

BYTES_PER_TOUCH = 220
"""Trace of a page that is touched once and freed: six events of 32 bytes, and what a ring buffer wastes."""
LEAST_TRACE_KIB = 12288
TOUCH = re.compile(r"\w+ (?:write|read) \d+ \d+ (\d+)")
MAP = re.compile(r"(\w+) map (\d+) (\d+) ")
WHOLE = re.compile(r"(\w+) (?:writeperm|fill) (\d+) ")


@dataclass
class Script:
    """The lines of one experiment, and shell commands for before and after it, outside of the trace."""

    name: str
    lines: list[str] = field(default_factory=list)
    before: str = ""
    after: str = ""

    def do(self, *lines: str) -> None:
        self.lines += lines

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def touches(self) -> int:
        """How many pages the script touches at most, again and again counted: so long is its trace."""
        regions: dict[tuple[str, str], int] = {}
        total = 0
        for line in self.lines:
            if found := MAP.match(line):
                regions[found[1], found[2]] = int(found[3])
            elif found := WHOLE.match(line):
                total += regions[found[1], found[2]]
            elif found := TOUCH.match(line):
                total += int(found[1])
        return total


@dataclass
class Lab:
    """What all experiments of a set share: the machine, the seed, and one stream of random numbers."""

    machine: Machine
    seed: int

    def __post_init__(self) -> None:
        self.draw = Random(self.seed)

    @property
    def everywhere(self) -> str:
        """All nodes, as a cpuset writes them."""
        return f"0-{self.machine.nodes - 1}"

    def mask(self, nodes: Iterable[int]) -> str:
        """Those of these nodes that the machine has, as a mask."""
        return hex(sum(1 << node for node in nodes if node < self.machine.nodes))

    def scaled(self, least: int, below: int, pages: int, of: int = 128 * 256) -> int:
        """A random number of pages for a node of `pages`; the range is given for one of `of` pages."""
        return self.draw.randrange(least * pages // of, below * pages // of)

    def set_of(self, name: str, nodes: int | str) -> list[str]:
        """A cpuset on these nodes, with every cpu."""
        return [
            f"mkdir /cs/{name}",
            f"put /cs/{name}/cpuset.cpus 0-{self.machine.cpus - 1}",
            f"put /cs/{name}/cpuset.mems {nodes}",
        ]


def groups(*names: str) -> list[str]:
    """Memory cgroups."""
    return [f"mkdir /cg/{name}" for name in names]


def charges(*names: str) -> list[str]:
    """What these memory cgroups are charged with, in all and per node."""
    return [f"cat /cg/{name}/memory.{what}" for name in names for what in ("current", "stat", "numa_stat")]


def events(name: str) -> str:
    """How often a memory cgroup came to its limits."""
    return f"cat /cg/{name}/memory.events"


def trace_kib(scripts: Iterable[Script]) -> int:
    """Size of a working cpu's ring buffer, in KiB, in which the longest of these traces has room."""
    touches = max((script.touches for script in scripts), default=0)
    return max(LEAST_TRACE_KIB, touches * BYTES_PER_TOUCH // 1024)
