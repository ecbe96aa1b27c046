"""Refusals: is what a command was asked for possible at all? If not, say what is wrong and what would be right.

All of them look only. A command calls them before it changes anything. Those that take a number give it back as an int:
numpy's integers would wrap in the sums that follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine.charge import Rule
from zonelab.machine.container import Container, Mount, Task
from zonelab.machine.memory import VMA, Mapping
from zonelab.machine.pages import BLOCK, MIB, pages_of_mib
from zonelab.machine.zone import Zone

if TYPE_CHECKING:
    from zonelab.machine.state import State

MOST_PAGES = 2**28
"""Pages that a mapping, a file, a zone or all nodes together may have: 1 TiB. The arrays for them take gigabytes."""
MOST_MIB = MOST_PAGES // MIB
_INTEGERS = (int, np.integer)
_NUMBERS = (int, float, np.integer, np.floating)


# -- how things are called in messages


def shown(thing: Any) -> str:
    """``repr``, cut short: what is refused may be of any length."""
    if isinstance(thing, int) and abs(thing) >= 10**40:  # Python refuses to print more than 4,300 digits
        return f"{'-' if thing < 0 else ''}2**{thing.bit_length() - 1} or more"
    text = repr(thing)
    return text if len(text) <= 80 else text[:79] + "…"


def some(names: Iterable[str]) -> str:
    """The first few names of a list that may be long."""
    names = list(names)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


# -- numbers


def whole(number: Any) -> bool:
    return type(number) is int or (isinstance(number, _INTEGERS) and not isinstance(number, bool))


def known_node(m: State, node: int) -> int:
    if not whole(node) or not 0 <= node < len(m.nodes):
        raise BadRequest(f"there is no node {shown(node)}; this machine has nodes 0 to {len(m.nodes) - 1}")
    return int(node)


def positive(number: int, what: str) -> int:
    """`what` is the text before the colon, with {} for the number."""
    if not whole(number) or number < 1:
        raise BadRequest(f"{what.format(shown(number))}: it must be a whole number, at least 1")
    return int(number)


def window(pages: int, what: str) -> int:
    """So many pages that are dealt with together: as many as one page table maps at most."""
    if not whole(pages) or not 1 <= pages <= 512 or pages & (pages - 1):
        raise BadRequest(f"{what}={shown(pages)}: it must be a power of two from 1 to 512, in pages")
    return int(pages)


def size(mib: float, what: str, zero: bool = False) -> int:
    """In pages."""
    try:
        value = float(mib) if isinstance(mib, _NUMBERS) and not isinstance(mib, bool) else np.nan
    except OverflowError:  # an int that is larger than any float
        value = np.inf
    if not 0 <= value <= MOST_MIB or (value == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise BadRequest(f"{what} of {shown(mib)} MiB: it must be a number, {least}, and at most {MOST_MIB:,} (1 TiB)")
    return pages_of_mib(value)


def pages(pages: int | None, mib: float | None, what: str) -> int:
    if (pages is None) == (mib is None):
        raise BadRequest(f"{what} needs a length: give pages or mib, one of the two")
    count: Any = size(mib, what) if mib is not None else pages
    if not whole(count) or not 1 <= count <= MOST_PAGES:
        raise BadRequest(
            f"{what} of {shown(count)} pages: it must have at least 1 page, and at most {MOST_PAGES:,} (1 TiB)"
        )
    return int(count)


def page_range(offset: int, pages: int, length: int, what: str) -> tuple[int, int]:
    if not whole(offset) or not whole(pages):
        raise BadRequest(f"{shown(pages)} pages from page {shown(offset)}: both must be whole numbers")
    offset, pages = int(offset), int(pages)
    if pages < 1:
        raise BadRequest(
            f"{shown(pages)} pages of {what}: it must be at least 1, and at most {length - max(0, offset)}"
        )
    if offset < 0 or offset + pages > length:
        raise BadRequest(
            f"pages {shown(offset)} to {shown(offset + pages - 1)} are not all inside {what}, "
            f"which has pages 0 to {length - 1}"
        )
    return offset, pages


def offset(offset: int, file: Mapping | None) -> int:
    if not whole(offset):
        raise BadRequest(f"offset {shown(offset)}: it must be a whole number, in pages")
    if file is None and offset:
        raise BadRequest(f"offset {shown(offset)} without a file: anonymous memory has none")
    if file is not None and not 0 <= offset < file.pages:
        raise BadRequest(f"offset {shown(offset)} lies outside of {file.name}, which has pages 0 to {file.pages - 1}")
    return int(offset)


def place(m: State, node: int, at: int | None) -> int | None:
    """A pfn of that node; whether a zone fits there is looked at by ``Node.choose_blocks``."""
    if at is None:
        return None
    if not whole(at):
        raise BadRequest(f"at={shown(at)}: give the pfn where the zone shall start, a multiple of {BLOCK:,}")
    home = m.nodes[node]
    last = home.start_pfn + home.pages - 1
    if not home.start_pfn <= at <= last:
        pfn = f"{int(at):,}" if abs(int(at)) < 10**40 else shown(at)
        raise BadRequest(f"pfn {pfn} lies outside of node {node}, which has pfn {home.start_pfn:,} to {last:,}")
    return int(at)


def no_place(at: int | None, why: str) -> None:
    if at is not None:
        raise BadRequest(f"at={shown(at)} without a zone to put there: {why}; leave out at")


# -- names


def label(name: str, what: str) -> None:
    """For names that people read in a line of text."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise BadRequest(f"{shown(name)} is no good as the name of a {what}: it must be a line of text, not empty")


def new_task_name(m: State, name: str | None) -> None:
    if name is None:
        return
    label(name, "task")
    if any(task.name == name for task in m.tasks):
        raise BadRequest(f"there is a task {name!r} already; choose another name, or none")


def good_name(name: str) -> None:
    """For names that programs read: they split lines at blanks."""
    if not isinstance(name, str) or not name or any(c.isspace() for c in name):
        raise BadRequest(f"{shown(name)} is no good as a name: it must have at least one character and no blanks")


def new_name(m: State, name: str, zone: str | None = None) -> None:
    """Nothing has this name, nor that of the zone ``name.zone`` that goes with it."""
    good_name(name)
    accounts = [c for c in m.accounts if c is not None and c.alive]
    taken = {thing.name for things in (accounts, m.sets, m.mounts, m.zones) for thing in things}
    taken |= {f"{c.name}.private" for c in accounts if c.lazy}  # will be made on first need
    for one in (name, f"{name}.{zone}") if zone else (name,):
        if one in taken:
            why = "" if one == name else f", and {name} would have a zone of that name"
            raise BadRequest(f"the name {one!r} is taken{why}; taken are {some(sorted(taken))}")


def new_file_name(m: State, name: str) -> None:
    good_name(name)
    if any(file.name == name for file in m.files):
        raise BadRequest(f"there is a file {name!r} already; choose another name, or unlink it first")


# -- things

KINDS: dict[str, Any] = {"container": Container, "task": Task, "VMA": VMA, "file": Mapping, "mount": Mount}


def living(m: State, thing: Any, what: str) -> None:
    """`thing` is a `what` (a key of KINDS) of this machine, and still there."""
    if not isinstance(thing, KINDS[what]) or (what == "file" and thing.kind not in ("file", "shmem")):
        raise BadRequest(f"{shown(thing)} is not a {what}; give one that this machine has made")
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


def can_move(m: State, who: Container | Task, node: int) -> int:
    living(m, who, "task" if isinstance(who, Task) else "container")
    node = known_node(m, node)
    if who is m.root:
        raise BadRequest("root cannot be moved: it has no zone and no node of its own")
    if who.node == node:
        raise BadRequest(f"{who.name} is on node {node} already; choose another of the nodes 0 to {len(m.nodes) - 1}")
    return node


def can_set_out(m: State, who: Container | Task, node: int) -> int:
    """As ``can_move``, and no other move of the container or of one of its tasks is under way."""
    node = can_move(m, who, node)
    container = who if isinstance(who, Container) else who.container
    if container.trip is not None:
        raise BadRequest(
            f"{container.name} is on its way to node {container.trip.target} already; finish that move, or close it, first"
        )
    return node


def can_unlink(m: State, file: Mapping) -> None:
    living(m, file, "file")
    if file not in m.files:
        raise BadRequest(f"{file.name} is shared memory without a name: it goes when the last task unmaps it")
    if file.vmas:
        raise BadRequest(f"{file.name} is mapped by {some(sorted({v.task.name for v in file.vmas}))}; unmap it first")


def new_members(m: State, name: str, members: Sequence[Container]) -> None:
    if not isinstance(members, list | tuple):
        raise BadRequest(f"members of {name}: {shown(members)} is not a list of containers")
    if not members:
        raise BadRequest(f"set {name} has no members; give it at least one container")
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
        name = zone.name if isinstance(zone, Zone) else shown(zone)
        raise BadRequest(
            f"zone {name} is gone, or belongs to another machine; this one has {some(z.name for z in m.zones)}"
        )


def software(m: State, zone: Zone) -> None:
    known(m, zone)
    if zone.role == "main":
        raise BadRequest(
            f"{zone.name} is the main zone of node {zone.node}: software zones are cut from it, not the other way"
        )


def zones_given(m: State, zones: Sequence[Zone]) -> None:
    if not isinstance(zones, list | tuple):
        raise BadRequest(f"borrow={shown(zones)}: give a list of zones, in the order in which they are tried")
    for zone in zones:
        known(m, zone)


def dentry_ids(ids: range | list[int]) -> None:
    if isinstance(ids, range):
        return
    if not isinstance(ids, list | tuple | np.ndarray) or not all(whole(one) for one in ids):
        raise BadRequest(
            f"{shown(ids)} are no ids of dentries: give what dentries() returned, or a list of whole numbers"
        )


def made(thing: Any, kind: type, what: str, example: str) -> None:
    """`thing` is an object of a class, and not that class, or its name."""
    if not isinstance(thing, kind):
        raise BadRequest(f"{what}={shown(thing)}: it must be an object, such as {example}()")


def rule(rule: Any) -> None:
    made(rule, Rule, "rule", "FirstTouch")


# -- a whole machine


def node_sizes(nodes: int, node_mib: int | Sequence[int]) -> list[int]:
    """MiB of each node."""
    if not whole(nodes) or not 1 <= nodes <= 64:
        raise BadRequest(f"{shown(nodes)} nodes: a machine has 1 to 64")
    if not whole(node_mib) and not isinstance(node_mib, list | tuple):
        raise BadRequest(f"node_mib={shown(node_mib)}: give a whole number of MiB, or a list with one for each node")
    sizes: list[Any] = list(node_mib) if isinstance(node_mib, list | tuple) else [node_mib] * int(nodes)
    if len(sizes) != nodes:
        raise BadRequest(f"{len(sizes)} sizes for {nodes} nodes: give one number, or one for each node")
    least = BLOCK // MIB
    for size in sizes:
        if not whole(size) or size < 2 * least or size % least:
            raise BadRequest(f"a node of {shown(size)} MiB: it must be a multiple of {least} MiB, at least {2 * least}")
    sizes = [int(size) for size in sizes]
    if sum(sizes) > MOST_MIB:
        raise BadRequest(f"{shown(sum(sizes))} MiB on {nodes} nodes: a machine has at most {MOST_MIB:,} MiB (1 TiB)")
    return sizes
