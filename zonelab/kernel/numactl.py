"""``numactl --hardware``: nodes, their cpus, sizes and distances.

Two styles are about: until 2.0.18 numbers of the distance table are 3 wide, since then 4. Both are printed and read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from zonelab.errors import BadFormat
from zonelab.kernel.text import number, numbered
from zonelab.machine.machine import Machine
from zonelab.machine.node import LOCAL
from zonelab.machine.pages import MIB

Style = Literal["old", "new"]
AVAILABLE = re.compile(r"available:\s+(\d{1,5})\s+nodes?\s+\(([\d,\s-]+)\)")
FIELD = re.compile(r"node\s+(\d{1,5})\s+(cpus|size|free):\s*(.*)")
MEMORY = re.compile(r"(\d{1,15})\s*MB")
UNKNOWN = "<not available>"
NO_DISTANCES = "No distance information available."
UNREACHABLE = 255
"""What a SLIT table says of a node that cannot be reached."""
MAX_NODES = 1024
"""As many nodes as Linux can be configured for."""


@dataclass(frozen=True)
class HardwareNode:
    """One node: its cpus (none for a node that is memory only), MiB in all and free; None where not available."""

    id: int
    cpus: tuple[int, ...]
    size_mib: int | None
    free_mib: int | None


@dataclass(frozen=True)
class Hardware:
    """All of ``numactl --hardware``; `distances` is nodes × nodes in the order of `nodes`, None where not available."""

    nodes: tuple[HardwareNode, ...]
    distances: tuple[tuple[int, ...], ...] | None


def hardware(machine: Machine, cpus: Sequence[Iterable[int]] | None = None) -> Hardware:
    """A simulated machine's hardware. It has no cpus of its own: one for each node, unless `cpus` lists others."""
    own = [(node.id,) for node in machine.nodes] if cpus is None else [tuple(of) for of in cpus]
    nodes = [
        HardwareNode(node.id, own[node.id], node.pages // MIB, sum(zone.free_pages for zone in node.zones) // MIB)
        for node in machine.nodes
    ]
    return Hardware(tuple(nodes), tuple(tuple(row) for row in machine.distances))


def format(machine: Machine, style: Style = "old", cpus: Sequence[Iterable[int]] | None = None) -> str:
    """What ``numactl --hardware`` would print on this machine, trailing blanks included."""
    return format_hardware(hardware(machine, cpus), style)


def format_hardware(hardware: Hardware, style: Style = "old") -> str:
    """Hardware as numactl prints it."""
    ids = [node.id for node in hardware.nodes]
    out = [f"available: {len(ids)} nodes ({_ranges(ids)})"]
    for node in hardware.nodes:
        out.append(f"node {node.id} cpus:" + "".join(f" {cpu}" for cpu in node.cpus))
        for name, mib in (("size", node.size_mib), ("free", node.free_mib)):
            out.append(f"node {node.id} {name}: " + (UNKNOWN if mib is None else f"{mib} MB"))
    if hardware.distances is None:
        return "\n".join([*out, NO_DISTANCES]) + "\n"
    width = 3 if style == "old" else 4
    out.append("node distances:")
    out.append("node".ljust(width + 2) + "".join(f"{id:{width}d} " for id in ids))
    for id, row in zip(ids, hardware.distances, strict=True):
        out.append(f"{id:{width}d}: " + "".join(f"{distance:{width}d} " for distance in row))
    return "\n".join(out) + "\n"


def _ranges(ids: Sequence[int]) -> str:
    """``[0, 1, 2, 5]`` as ``0-2,5``."""
    parts: list[list[int]] = []
    for id in ids:
        if parts and parts[-1][1] == id - 1:
            parts[-1][1] = id
        else:
            parts.append([id, id])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def node_ids(text: str, line: int) -> list[int]:
    out: list[int] = []
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        a = number(first, line, "a node")
        b = number(last, line, "a node") if last else a
        if not a <= b < MAX_NODES:
            raise BadFormat(f"nodes {part}", line, f"rising numbers below {MAX_NODES}")
        out += range(a, b + 1)
    return out


def parse(text: str) -> Hardware:
    """Read ``numactl --hardware`` in either style; blanks do not matter.

    Raises:
        BadFormat: torn or foreign: a line that is none of these, a node without its lines, a table that is not square.
    """
    lines = list(numbered(text))
    end = lines[-1][0] + 1 if lines else 1
    at, line = lines[0] if lines else (1, "")
    head = AVAILABLE.fullmatch(line.strip())
    if head is None:
        raise BadFormat(f"not the start of numactl --hardware: {line[:60]!r}", at, "available: N nodes (0-M)")
    ids = node_ids(head[2], at)
    if len(ids) != int(head[1]):
        raise BadFormat(f"{head[1]} nodes, but {len(ids)} are listed", at, f"{len(ids)} nodes, or another list")
    found: dict[tuple[int, str], str] = {}
    rest = 1
    for at, line in lines[1:]:
        match = FIELD.fullmatch(line.strip())
        if match is None:
            break
        key = (int(match[1]), match[2])
        if key in found or key[0] not in ids:
            raise BadFormat(f"{match[2]} of node {key[0]}", at, f"each of nodes {_ranges(ids)} once")
        found[key] = match[3]
        _value(key[1], match[3], at)
        rest += 1
    after = lines[rest][0] if rest < len(lines) else end
    for id in ids:
        for name in ("cpus", "size", "free"):
            if (id, name) not in found:
                torn = f", but {lines[rest][1][:60]!r}" if rest < len(lines) else ""
                raise BadFormat(f"no {name} of node {id}{torn}", after, f"node {id} {name}: ...")
    nodes = tuple(
        HardwareNode(
            id,
            tuple(int(cpu) for cpu in found[id, "cpus"].split()),
            _value("size", found[id, "size"], after),
            _value("free", found[id, "free"], after),
        )
        for id in ids
    )
    return Hardware(nodes, _distances(lines[rest:], ids, end))


def _value(name: str, text: str, line: int) -> int | None:
    """A node's size or free memory in MiB; None for its cpus, which are only checked, and where not available."""
    if name == "cpus":
        for word in text.split():
            number(word, line, "a cpu")
        return None
    if text.strip() == UNKNOWN:
        return None
    match = MEMORY.fullmatch(text.strip())
    if match is None:
        raise BadFormat(f"{name} {text[:40]!r}", line, f"{name}: N MB")
    return int(match[1])


def _distances(lines: list[tuple[int, str]], ids: list[int], end: int) -> tuple[tuple[int, ...], ...] | None:
    if len(lines) == 1 and lines[0][1].strip() == NO_DISTANCES:
        return None
    header = "node " + " ".join(str(id) for id in ids)
    expected = ["node distances:", header, *[f"{id}: and {len(ids)} distances" for id in ids]]
    table: list[tuple[int, ...]] = []
    for place, wanted in enumerate(expected):
        if place >= len(lines):
            raise BadFormat("the text ends within the distances", end, wanted)
        at, line = lines[place]
        words = line.split()
        if place < 2:
            if words != wanted.split():
                raise BadFormat(f"not the distances: {line[:60]!r}", at, wanted)
            continue
        if words[0] != f"{ids[place - 2]}:" or len(words) != len(ids) + 1:
            raise BadFormat(f"not a row of distances: {line[:60]!r}", at, wanted)
        row = tuple(number(word, at, "a distance") for word in words[1:])
        if not all(LOCAL <= distance <= UNREACHABLE for distance in row):
            raise BadFormat(f"distances {row}", at, f"{LOCAL} to {UNREACHABLE}, as in an ACPI SLIT table")
        table.append(row)
    if len(lines) > len(expected):
        at, line = lines[len(expected)]
        raise BadFormat(f"something behind the distances: {line[:60]!r}", at, "the end of the text")
    return tuple(table)
