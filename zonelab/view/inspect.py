"""One block or one page of a machine, as plain data for whoever draws it."""

from __future__ import annotations

from typing import Any

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine import BLOCK, Machine
from zonelab.machine.memory import by_mapping, users
from zonelab.machine.pages import DIRTY, KERNEL, MAX_ORDER, PINNED, SWAPPABLE

FLAGS = {DIRTY: "dirty", PINNED: "pinned", SWAPPABLE: "swappable", KERNEL: "kernel"}


def free_blocks(machine: Machine, block: int) -> list[tuple[int, int]]:
    """The free buddy blocks inside a block of 4 MiB: ``(first pfn, order)``, rising."""
    start = block * BLOCK
    area = machine.zone_of(start).free_area
    found = []
    for order, blocks in enumerate(area.lists):
        step = 1 << order
        found += [(pfn, order) for pfn in range(start, start + BLOCK, step) if pfn in blocks]
    return sorted(found)


def block_view(machine: Machine, block: int) -> tuple[dict[str, Any], list[bytes]]:
    """The 1,024 pages of a block.

    Returns:
        ``free``, its free buddy blocks as [offset, order]; and the page arrays as bytes: owner (uint16), mapping (uint16),
        index (uint32), stamp (uint32), flags (uint8).

    Raises:
        BadRequest: no such block.
    """
    last = len(machine.block_zone) - 1
    if not 0 <= block <= last:
        raise BadRequest(f"block {block}: this machine has blocks 0 to {last}")
    start = block * BLOCK
    here = slice(start, start + BLOCK)
    pages = machine.pages
    arrays = (pages.owner, pages.mapping, pages.index, pages.stamp, pages.flags)
    free = [[pfn - start, order] for pfn, order in free_blocks(machine, block)]
    return {"free": free}, [array[here].tobytes() for array in arrays]


def page_view(machine: Machine, pfn: int) -> dict[str, Any]:
    """All about one page frame, as label → text, in the order in which it is read.

    Raises:
        BadRequest: no such page.
    """
    if not 0 <= pfn < machine.total_pages:
        raise BadRequest(f"pfn {pfn}: this machine has pages 0 to {machine.total_pages - 1:,}")
    zone = machine.zone_of(pfn)
    facts = {
        "zone": f"{zone.name} on node {zone.node}",
        "address": f"{pfn * 4096:#x}",
    }
    owner = int(machine.pages.owner[pfn])
    if not owner:
        first, order = next((p, o) for p, o in free_blocks(machine, pfn // BLOCK) if p <= pfn < p + (1 << o))
        facts["state"] = f"free, in a block of order {order}: pfn {first:,} to {first + (1 << order) - 1:,}"
        buddy = first ^ (1 << order)
        facts["buddy"] = (
            "none: this is the largest order" if order == MAX_ORDER else f"pfn {buddy:,}, not free as a whole"
        )
        return {"facts": facts}
    account = machine.accounts[owner]
    mapping = machine.mappings[int(machine.pages.mapping[pfn])]
    assert account is not None and mapping is not None
    index = int(machine.pages.index[pfn])
    facts["state"] = "in use, order 0"
    facts["charged to"] = account.name
    kind = {
        "anon": "private memory",
        "file": "file",
        "shmem": "shared memory",
        "slab": "slab",
        "kernel": "the kernel's own",
    }[mapping.kind]
    facts["content"] = f"page {index:,} of {mapping.name} ({kind})"
    flags = int(machine.pages.flags[pfn])
    facts["flags"] = ", ".join(name for bit, name in FLAGS.items() if flags & bit) or "clean"
    stamp = int(machine.pages.stamp[pfn])
    facts["last used"] = (
        (f"{machine.clock - stamp:,} touches ago" if machine.clock > stamp else "just now")
        if stamp
        else "not on an LRU list"
    )
    who = [
        f"{vma.task.name} in {vma.task.container.name} ({vma.name})"
        for one, where, at in by_mapping(machine.pages, machine.mappings, np.array([pfn]))
        for vma, _, _ in users(one, np.array([pfn])[where], at)
    ]
    facts["mapped by"] = ", ".join(who) or "nobody"
    return {"facts": facts}
