"""``/proc/zoneinfo``: watermarks, sizes and counters per zone, as ``zoneinfo_show_print()`` in mm/vmstat.c prints them.

Which counters there are, and their order, differs between versions and configurations of the kernel; so they are read by
name, and what we print is what the model knows: a counter that it does not keep is left out, not printed as 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from zonelab.errors import BadFormat
from zonelab.kernel.text import number, numbered
from zonelab.machine.machine import Machine
from zonelab.machine.node import Node
from zonelab.machine.pages import BLOCK, DIRTY, KERNEL, SWAPPABLE
from zonelab.machine.zone import Zone

HEAD = re.compile(r"Node\s+(\d{1,9}),\s*zone\s+(\S+)")
PROTECTION = re.compile(r"protection:\s*\(([\d,\s]*)\)")
PAIR = re.compile(r"([A-Za-z_][\w ()-]*?):?\s+(\d{1,19})(?:\s+\([^()]*\))?")
SIZES = ("free", "boost", "min", "low", "high", "promo", "spanned", "present", "managed", "cma")
PLACE = re.compile(
    r"^(?:Node +(\d{1,9}), zone +(\S+)|        spanned +(\d{1,19})|  start_pfn: +(\d{1,19}))$", re.MULTILINE
)
RESERVES = 5
"""Entries of a ``protection`` line: one for each type of zone that a usual 64-bit kernel has."""


@dataclass
class PerCpu:
    """One cpu's list of free pages (``pageset``).

    Attributes:
        threshold: pages that this cpu may count for itself before it tells the zone (*vm stats threshold*): as far may the zone's
            free pages be off for each cpu.
    """

    cpu: int
    count: int = 0
    high: int = 0
    batch: int = 0
    threshold: int = 0


@dataclass
class ZoneInfo:
    """What ``/proc/zoneinfo`` says about a zone; numbers of pages, 0 where this kernel does not print them.

    Attributes:
        free, boost, min, low, high, promo: free pages and watermarks.
        spanned, present, managed, cma: its span; without holes; without what the kernel took at boot; for CMA.
        protection: pages to be kept from allocations that could have had a higher zone (``lowmem_reserve``).
        counters: counters by name; ``node_counters``: those of the node, under its first populated zone.
        pagesets: the per-cpu lists.
        start_pfn: where it starts; None for a zone without pages.
    """

    node: int
    zone: str
    free: int = 0
    boost: int = 0
    min: int = 0
    low: int = 0
    high: int = 0
    promo: int = 0
    spanned: int = 0
    present: int = 0
    managed: int = 0
    cma: int = 0
    protection: tuple[int, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)
    node_counters: dict[str, int] = field(default_factory=dict)
    pagesets: list[PerCpu] = field(default_factory=list)
    start_pfn: int | None = None

    @property
    def populated(self) -> bool:
        """Whether it has pages; the others are not in ``/proc/buddyinfo``."""
        return bool(self.present or self.managed or self.start_pfn is not None)


def format(machine: Machine) -> str:
    """The machine's ``/proc/zoneinfo``: one cpu a node, no per-cpu lists, watermarks as the zone has them."""
    return "".join(_zone(machine, node, zone) for node in machine.nodes for zone in node.zones)


def _zone(machine: Machine, node: Node, zone: Zone) -> str:
    lines = [f"Node {zone.node}, zone {zone.name:>8s}"]
    if zone is node.main:
        lines.append("  per-node stats")
        lines += [f"      {name:<12s} {value}" for name, value in _node_counters(machine, node).items()]
    first, last = int(zone.blocks[0]) * BLOCK, (int(zone.blocks[-1]) + 1) * BLOCK
    modern = zone.profile != "2.6.20"
    lines.append(f"  pages free     {zone.free_pages}")
    lines += ["        boost    0"] * modern
    lines += [
        f"        {name:<8s} {value}" for name, value in (("min", zone.min), ("low", zone.low), ("high", zone.high))
    ]
    lines += [f"        promo    {2 * zone.high - zone.low}"] * modern
    lines += [f"        spanned  {last - first}", f"        present  {zone.pages}"]
    lines += [f"        managed  {zone.pages}", "        cma      0"] * modern
    lines.append(f"        protection: ({', '.join(['0'] * RESERVES)})")
    lines.append(f"      {'nr_free_pages':<12s} {zone.free_pages}")
    lines.append("  pagesets")
    for cpu in range(len(machine.nodes)):
        lines += [f"    cpu: {cpu}", "              count: 0", "              high:  0", "              batch: 1"]
        lines.append("  vm stats threshold: 0")
    lines += [*["  node_unreclaimable:  0"] * modern, f"  start_pfn:           {first}"]
    return "\n".join(lines) + "\n"


def _node_counters(machine: Machine, node: Node) -> dict[str, int]:
    """The node's counters that the model can tell from its page arrays. O(pages of the node)."""
    span = slice(node.start_pfn, node.start_pfn + node.pages)
    flags, mapping = machine.pages.flags[span], machine.pages.mapping[span]
    per_mapping = np.bincount(mapping[machine.pages.owner[span] > 0], minlength=len(machine.mappings))
    kinds = dict.fromkeys(("anon", "file", "shmem", "slab", "kernel"), 0)
    for known in machine.mappings:
        if known is not None:
            kinds[known.kind] += int(per_mapping[known.id])
    return {
        "nr_anon_pages": kinds["anon"],
        "nr_file_pages": kinds["file"] + kinds["shmem"],
        "nr_dirty": int(np.count_nonzero((flags & DIRTY > 0) & (flags & (SWAPPABLE | KERNEL) == 0))),
        "nr_shmem": kinds["shmem"],
        "nr_slab_reclaimable": kinds["slab"],
    }


def parse(text: str) -> list[ZoneInfo]:
    """Read ``/proc/zoneinfo`` of any version, by the names of its lines.

    Raises:
        BadFormat: a line that is torn or foreign, a zone twice or without its ``protection`` line, or no zone at all.
    """
    out: list[ZoneInfo] = []
    at = 1
    in_node = False
    for at, line in numbered(text):
        words = line.strip()
        head = HEAD.fullmatch(words)
        if head is not None:
            if out:
                _complete(out[-1], at)
            zone = ZoneInfo(int(head[1]), head[2])
            if any((zone.node, zone.zone) == (other.node, other.zone) for other in out):
                raise BadFormat(f"node {zone.node}, zone {zone.zone} for the second time", at, "each zone once")
            out.append(zone)
            in_node = False
            continue
        if not out:
            raise BadFormat(f"not the start of zoneinfo: {line[:60]!r}", at, "Node N, zone NAME")
        zone = out[-1]
        if words in ("per-node stats", "pagesets"):
            in_node = words != "pagesets"
            continue
        protection = PROTECTION.fullmatch(words)
        if protection is not None:
            zone.protection = tuple(number(word.strip(), at, "a reserve") for word in protection[1].split(",") if word)
            continue
        pair = PAIR.fullmatch(words)
        if pair is None:
            raise BadFormat(f"not a line of zoneinfo: {line[:60]!r}", at, "a name and a number")
        if pair[1] == "pages free":
            in_node = False
        _store(zone, pair[1], int(pair[2]), in_node, at)
    if not out:
        raise BadFormat("no zone in this text", at, "Node N, zone NAME")
    _complete(out[-1], at + 1)
    return out


def spans(text: str) -> list[tuple[int, str, int, int]]:
    """Only where the populated zones lie, as (node, zone, first pfn, pages spanned): ten times faster than ``parse``.

    For text that comes straight from a kernel: lines that it does not know are passed over.
    """
    out: list[tuple[int, str, int, int]] = []
    node, zone, spanned = -1, "", 0
    for name_node, name, pages, start in PLACE.findall(text):
        if name:
            node, zone, spanned = int(name_node), name, 0
        elif pages:
            spanned = int(pages)
        elif spanned:
            out.append((node, zone, int(start), spanned))
    return out


def _store(zone: ZoneInfo, name: str, value: int, in_node: bool, line: int) -> None:
    if in_node:
        zone.node_counters[name] = value
    elif name == "pages free":
        zone.free = value
    elif name == "cpu":
        zone.pagesets.append(PerCpu(value))
    elif zone.pagesets and name in ("count", "high", "batch"):
        setattr(zone.pagesets[-1], name, value)
    elif zone.pagesets and name == "vm stats threshold":
        zone.pagesets[-1].threshold = value
    elif name in ("count", "batch"):
        raise BadFormat(f"a per-cpu {name} that belongs to no cpu", line, "a line 'cpu: N' before it")
    elif name in SIZES:
        setattr(zone, name, value)
    elif name == "start_pfn":
        zone.start_pfn = value
    elif name not in ("node_unreclaimable", "all_unreclaimable", "vm stats threshold"):
        zone.counters[name] = value


def _complete(zone: ZoneInfo, line: int) -> None:
    """Every zone has a protection line; one with per-cpu lists ends with its start_pfn."""
    if not zone.protection:
        raise BadFormat(
            f"node {zone.node}, zone {zone.zone} ends before its protection", line, "protection: (N, N, ...)"
        )
    if zone.pagesets and zone.start_pfn is None:
        raise BadFormat(f"node {zone.node}, zone {zone.zone} ends before its start_pfn", line, "start_pfn: N")
