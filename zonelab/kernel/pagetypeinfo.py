"""``/proc/pagetypeinfo``: free blocks per zone, migrate type and order, as ``pagetypeinfo_show()`` in mm/vmstat.c prints them.

A simulated machine has no migrate types, so we only read this one and print back what was read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from zonelab.errors import BadFormat
from zonelab.kernel.text import number, numbered

HEAD = re.compile(r"(Page block order|Pages per block):\s+(\d{1,9})")
FREE_HEAD = re.compile(r"Free pages count per migrate type at order((?:\s+\d{1,3})+)")
FREE = re.compile(r"Node\s+(\d{1,9}),\s*zone\s+(\S+),\s*type\s+(\S+)\s+(.*)")
BLOCKS_HEAD = re.compile(r"Number of blocks type((?:\s+\S+)+)")
BLOCKS = re.compile(r"Node\s+(\d{1,9}),\s*zone\s+(\S+)\s+(.*)")
LIMIT = 100_000
"""The kernel stops counting a list here, and prints ``>100000``."""


@dataclass(frozen=True)
class PageTypes:
    """All of ``/proc/pagetypeinfo``.

    Attributes:
        block_order, block_pages: size of a page block, the unit that has a migrate type.
        free: (node, zone, type) → free blocks of each order; 100,000 stands for that many or more.
        blocks: (node, zone) → type → page blocks of that type.
    """

    block_order: int
    block_pages: int
    free: dict[tuple[int, str, str], tuple[int, ...]]
    blocks: dict[tuple[int, str], dict[str, int]]


def format_types(types: PageTypes) -> str:
    """As the kernel prints it: all of it once for each node."""
    orders = max((len(counts) for counts in types.free.values()), default=0)
    out = []
    for node in dict.fromkeys(node for node, *_ in types.free):
        out.append(f"Page block order: {types.block_order}\nPages per block:  {types.block_pages}\n\n")
        title = "Free pages count per migrate type at order"
        out.append(f"{title:<43s} " + "".join(f"{order:6d} " for order in range(orders)) + "\n")
        for (at, zone, kind), counts in types.free.items():
            if at == node:
                cells = "".join(f"{_count(count):>6s} " for count in counts)
                out.append(f"Node {at:4d}, zone {zone:>8s}, type {kind:>12s} {cells}\n")
        zones = {zone: row for (at, zone), row in types.blocks.items() if at == node}
        names = dict.fromkeys(kind for row in zones.values() for kind in row)
        out.append("\n" + f"{'Number of blocks type':<23s}" + "".join(f"{kind:>12s} " for kind in names) + "\n")
        for zone, row in zones.items():
            out.append(f"Node {node}, zone {zone:>8s} " + "".join(f"{row[kind]:12d} " for kind in names) + "\n")
    return "".join(out)


def _count(count: int) -> str:
    return f">{LIMIT}" if count >= LIMIT else str(count)


def parse(text: str) -> PageTypes:
    """Read ``/proc/pagetypeinfo``; blanks do not matter.

    Raises:
        BadFormat: a line that is torn, foreign, or out of place; a table that is missing.
    """
    sizes: dict[str, int] = {}
    free: dict[tuple[int, str, str], tuple[int, ...]] = {}
    blocks: dict[tuple[int, str], dict[str, int]] = {}
    orders = 0
    kinds: list[str] = []
    at = 0
    for at, line in numbered(text):
        words = line.strip()
        if match := HEAD.fullmatch(words):
            sizes[match[1]] = int(match[2])
        elif match := FREE_HEAD.fullmatch(words):
            orders = len(match[1].split())
        elif (match := FREE.fullmatch(words)) and orders:
            counts = tuple(number(word.removeprefix(">"), at, "a count") for word in match[4].split())
            if len(counts) != orders:
                raise BadFormat(f"{len(counts)} counts", at, f"{orders}, one per order")
            free[int(match[1]), match[2], match[3]] = counts
        elif match := BLOCKS_HEAD.fullmatch(words):
            kinds = match[1].split()
        elif (match := BLOCKS.fullmatch(words)) and kinds:
            values = [number(word, at, "a number of blocks") for word in match[3].split()]
            if len(values) != len(kinds):
                raise BadFormat(f"{len(values)} numbers", at, f"{len(kinds)}, one per type: {' '.join(kinds)}")
            blocks[int(match[1]), match[2]] = dict(zip(kinds, values, strict=True))
        else:
            raise BadFormat(
                f"not a line of pagetypeinfo: {line[:60]!r}", at, "a size, a title, or a zone's counts below one"
            )
    missing = [name for name in ("Page block order", "Pages per block") if name not in sizes]
    missing += [f"number of blocks of node {n}, zone {z}" for n, z, _ in free if (n, z) not in blocks]
    if missing or not free:
        raise BadFormat(f"the text ends without {missing[0] if missing else 'any zone'}", at + 1, "the rest of it")
    return PageTypes(sizes["Page block order"], sizes["Pages per block"], free, blocks)
