"""Refusals: is what a command was asked for possible at all? If not, say what is wrong and what would be right.

All of them look only. A command calls them before it changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine.container import Container, Mount, Task
from zonelab.machine.memory import VMA, Mapping
from zonelab.machine.pages import pages_of_mib
from zonelab.machine.state import State
from zonelab.machine.zone import Zone


def can_move(m: State, who: Container | Task, node: int) -> None:
    living(m, who, "task" if isinstance(who, Task) else "container")
    known_node(m, node)
    if who is m.root:
        raise BadRequest("root cannot be moved: it has no zone and no node of its own")
    if who.node == node:
        raise BadRequest(f"{who.name} is on node {node} already; choose another of the nodes 0 to {len(m.nodes) - 1}")


def whole(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def known_node(m: State, node: int) -> None:
    if not whole(node) or not 0 <= node < len(m.nodes):
        raise BadRequest(f"there is no node {node!r}; this machine has nodes 0 to {len(m.nodes) - 1}")


KINDS: dict[str, Any] = {"container": Container, "task": Task, "VMA": VMA, "file": Mapping, "mount": Mount}


def living(m: State, thing: Any, what: str) -> None:
    """`thing` is a `what` (a key of KINDS) of this machine, and still there."""
    if not isinstance(thing, KINDS[what]):
        raise BadRequest(f"{thing!r} is not a {what}; give one that this machine has made")
    known: bool = getattr(thing, "alive", True)
    if isinstance(thing, Container):
        known &= thing.id < len(m.accounts) and m.accounts[thing.id] is thing
    elif isinstance(thing, Mapping):
        known &= thing.id < len(m.mappings) and m.mappings[thing.id] is thing
    elif isinstance(thing, Mount):
        known &= thing in m.mounts
    else:
        known &= (thing.task if isinstance(thing, VMA) else thing) in m.tasks
    if not known:
        raise BadRequest(f"{what} {thing.name} is gone, or belongs to another machine; make a new one")


def new_members(m: State, members: Sequence[Container]) -> None:
    for at, member in enumerate(members):
        living(m, member, "container")
        if member is m.root or member in members[:at]:
            why = "stands for everything outside of containers" if member is m.root else "is named twice"
            raise BadRequest(f"{member.name} cannot be a member: it {why}")
        if member.set is not None:
            raise BadRequest(
                f"container {member.name} is in set {member.set.name} already; a container is in one set at most"
            )


def known(m: State, zone: Zone) -> None:
    if not (isinstance(zone, Zone) and zone.id < len(m._zones) and m._zones[zone.id] is zone):
        raise BadRequest(
            f"zone {zone} is gone, or belongs to another machine; this one has {[z.name for z in m.zones]}"
        )


def software(m: State, zone: Zone) -> None:
    known(m, zone)
    if zone.role == "main":
        raise BadRequest(
            f"{zone.name} is the main zone of node {zone.node}: software zones are cut from it, not the other way"
        )


def zones_given(m: State, zones: Sequence[Zone]) -> None:
    for zone in zones:
        known(m, zone)


def new_name(m: State, name: str) -> None:
    if not name or not isinstance(name, str) or any(c.isspace() for c in name):
        raise BadRequest(f"{name!r} is no good as a name: it must have at least one character and no blanks")
    taken = (
        {c.name for c in m.accounts if c is not None and c.alive}
        | {s.name for s in m.sets}
        | {x.name for x in m.mounts}
    )
    taken |= {zone.name for zone in m.zones}
    if name in taken:
        raise BadRequest(f"the name {name!r} is taken; names here are {', '.join(sorted(taken))}")


def size(m: State, mib: float, what: str, zero: bool = False) -> int:
    number = isinstance(mib, int | float | np.number) and not isinstance(mib, bool)
    if not number or not np.isfinite(mib) or mib < 0 or (mib == 0 and not zero):
        raise BadRequest(f"{what} of {mib!r} MiB: the size must be {'0 or more' if zero else 'more than 0'}, in MiB")
    return pages_of_mib(float(mib))


def pages(m: State, pages: int | None, mib: float | None, what: str) -> int:
    if (pages is None) == (mib is None):
        raise BadRequest(f"{what} needs a length: give pages or mib, one of the two")
    count: Any = size(m, mib, what) if mib is not None else pages
    if not whole(count) or not 1 <= count < 2**31:
        raise BadRequest(f"{what} of {count} pages: it must have at least 1 page, and less than {2**31:,}")
    return int(count)


def page_range(m: State, offset: int, pages: int, length: int, what: str) -> None:
    if not whole(offset) or not whole(pages):
        raise BadRequest(f"{pages!r} pages from page {offset!r}: both must be whole numbers")
    if pages < 1:
        raise BadRequest(f"{pages} pages of {what}: it must be at least 1, and at most {length - max(0, offset)}")
    if offset < 0 or offset + pages > length:
        raise BadRequest(
            f"pages {offset} to {offset + pages - 1} are not all inside {what}, which has pages 0 to {length - 1}"
        )
