"""``/proc/PID/numa_maps``: where the pages of each mapping of a process lie, as ``show_numa_map()`` prints it.

A simulated task prints the same: ``format(machine, task)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from zonelab.errors import BadFormat
from zonelab.kernel.text import number, numbered
from zonelab.machine import PAGE, Machine
from zonelab.machine.container import Task
from zonelab.machine.memory import by_mapping, users
from zonelab.machine.pages import DIRTY, MAX_ORDER

ADDRESS = re.compile(r"[0-9a-f]{1,16}")
NODE = re.compile(r"N(\d{1,4})=(.*)")
POLICY = re.compile(
    r"(default|local|prefer \(many\)|prefer|bind|interleave|weighted interleave)((?:=\w+(?:\|\w+)*)?)(?::([\d,-]+))?"
)
FLAGS = ("heap", "stack", "huge")
COUNTS = ("anon", "dirty", "mapped", "mapmax", "swapcache", "active", "writeback", "kernelpagesize_kB")
ESCAPE = re.compile(r"\\([0-7]{3})")
LINE = "an address, a policy, then file=, heap, stack, huge, name=count or Nnode=pages, separated by blanks"
START = 0x7F00_0000_0000
"""Where we place the first mapping of a simulated task, which has no addresses of its own."""


@dataclass(frozen=True)
class NumaMap:
    """One mapping.

    Attributes:
        start: its first address; policy: as printed, *default*, *bind:0-1*, *interleave:0-3* …
        file: path of the file behind it, unescaped; None for none.
        flags: of "heap", "stack", "huge".
        counts: *anon*, *dirty*, *mapped* (pages), *mapmax* (most users of a page), *kernelpagesize_kB* …, as far as printed.
        nodes: node → pages in memory there.
    """

    start: int
    policy: str = "default"
    file: str | None = None
    flags: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    nodes: dict[int, int] = field(default_factory=dict)

    @property
    def pages(self) -> int:
        """Pages of it that are in memory, of whatever size."""
        return sum(self.nodes.values())

    def __str__(self) -> str:
        """The line that the kernel prints."""
        words = [f"{self.start:08x} {self.policy}"]
        if self.file is not None:
            words.append("file=" + re.sub(r"[ \t\n=\\]", lambda c: f"\\{ord(c[0]):03o}", self.file))
        words += [flag for flag in FLAGS if flag in self.flags]
        words += [f"{name}={self.counts[name]}" for name in COUNTS[:-1] if name in self.counts]
        words += [f"N{node}={pages}" for node, pages in sorted(self.nodes.items())]
        words += [f"{name}={self.counts[name]}" for name in COUNTS[-1:] if name in self.counts]
        return " ".join(words)


def parse(text: str) -> list[NumaMap]:
    """Read ``/proc/PID/numa_maps``. A process without mappings, a kernel thread for one, has an empty one.

    Raises:
        BadFormat: a line that is torn or foreign, or the same address twice.
    """
    out: list[NumaMap] = []
    seen: set[int] = set()
    for line, row in numbered(text):
        address, _, rest = row.partition(" ")
        if not ADDRESS.fullmatch(address) or not rest:
            raise BadFormat(f"{row[:60]!r}", line, LINE)
        policy = POLICY.match(rest)
        if policy is None or rest[policy.end() : policy.end() + 1] not in ("", " "):
            raise BadFormat(
                f"policy {rest[:40]!r}", line, "default, local, prefer, bind or interleave, with nodes behind a colon"
            )
        one = NumaMap(int(address, 16), policy[0])
        if one.start in seen:
            raise BadFormat(f"address {address} a second time", line, "each mapping once")
        seen.add(one.start)
        file = None
        flags: list[str] = []
        for word in rest[policy.end() :].split():
            name, equals, value = word.partition("=")
            node = NODE.fullmatch(word)
            if word in FLAGS and word not in flags:
                flags.append(word)
            elif name == "file" and equals and file is None:
                file = ESCAPE.sub(lambda code: chr(int(code[1], 8)), value)
            elif node is not None and int(node[1]) not in one.nodes:
                one.nodes[int(node[1])] = number(node[2], line, f"the pages on node {node[1]}")
            elif name in COUNTS and equals and name not in one.counts:
                one.counts[name] = number(value, line, name)
            else:
                raise BadFormat(f"{word[:40]!r}", line, LINE)
        out.append(NumaMap(one.start, one.policy, file, tuple(flags), one.counts, one.nodes))
    return out


def of_task(machine: Machine, task: Task) -> list[NumaMap]:
    """The mappings of a simulated task. It has no addresses; they are made up, one mapping behind the other."""
    out = []
    at = START
    for vma in task.vmas:
        pfns = vma.table[vma.table >= 0]
        anon = int((machine.pages.mapping[pfns] == vma.anon.id).sum()) if vma.anon is not None else 0
        dirty = anon + int(((machine.pages.flags[pfns] & DIRTY) > 0).sum())
        most = np.zeros(len(pfns), np.int64)
        for mapping, where, index in by_mapping(machine.pages, machine.mappings, pfns):
            for _, mask, _ in users(mapping, pfns[where], index):
                most[where[mask]] += 1
        counts = {"anon": anon, "dirty": dirty}
        if len(pfns) not in (anon, dirty):
            counts["mapped"] = len(pfns)
        if len(pfns) and int(most.max()) > 1:
            counts["mapmax"] = int(most.max())
        counts = {name: count for name, count in counts.items() if count}
        nodes = np.bincount(machine.node_of_block[pfns >> MAX_ORDER]) if len(pfns) else np.zeros(0, int)
        if len(pfns):
            counts["kernelpagesize_kB"] = PAGE // 1024
        named = vma.file.name if vma.file is not None and vma.file.keep else None
        file = f"/{named}" if named is not None else "/dev/zero (deleted)" if vma.file is not None else None
        out.append(NumaMap(at, "default", file, (), counts, {n: int(c) for n, c in enumerate(nodes) if c}))
        at += (vma.pages + 1) * PAGE
    return out


def format(machine: Machine, task: Task) -> str:
    """``/proc/PID/numa_maps`` of a simulated task; pages of the zero page are not in it, as in Linux."""
    return "".join(f"{one}\n" for one in of_task(machine, task))


__all__ = ["NumaMap", "format", "of_task", "parse"]
