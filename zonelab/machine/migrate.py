"""Moving pages: a task or container goes to another node, and its data after it (C19).

The plan comes first: which pages go, which stay and why, whether the target has room. Then the move is run page by page
or in larger steps, and can be called off at any moment: what had moved goes back, if possible to the very frames it came
from. Modelled on ``migrate_pages()`` and ``cpuset_migrate_mm()``; a page's charge, age and content go with it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zonelab.errors import BadRequest
from zonelab.machine import refuse
from zonelab.machine.container import Container, Task, Trip
from zonelab.machine.memory import by_mapping, users
from zonelab.machine.pages import BLOCK, BLOCK_MIB, KERNEL, MAX_ORDER, PAGE, PINNED, Mask, Pfns, as_slice, expand
from zonelab.machine.zone import Zone

if TYPE_CHECKING:
    from zonelab.machine.state import State


@dataclass(slots=True)
class MovePlan:
    """What a move would do.

    Attributes:
        name: of the container or task.
        target: node to move to.
        moving: pfns that would move, in order of the page tables.
        staying: reason → pfns that would stay.
        blocks: MAX_ORDER blocks that the new zone needs; 0 if the policy has no zones.
        longest: longest stretch of free blocks on the target.
        problem: why it cannot be done; None if it can.
        copy_ns: cost of copying, by the machine's cost model.
        saved_ns: what one touch of each moving page costs less afterwards; so ``copy_ns / saved_ns`` is the number of
            rounds after which the move has paid.
    """

    name: str
    target: int
    moving: Pfns
    staying: dict[str, Pfns]
    blocks: int
    longest: int
    problem: str | None
    copy_ns: float
    saved_ns: float

    @property
    def pages(self) -> int:
        return len(self.moving)

    @property
    def bytes(self) -> int:
        return len(self.moving) * PAGE

    @property
    def stayed(self) -> int:
        return sum(len(pfns) for pfns in self.staying.values())

    @property
    def break_even(self) -> float:
        """Touches of every page after which the move has paid for itself; inf if it never does."""
        return self.copy_ns / self.saved_ns if self.saved_ns > 0 else float("inf")


@dataclass(slots=True)
class MoveReport:
    """What a move did: pages moved, pages that stayed by reason, its cost in nanoseconds."""

    name: str
    target: int
    moved: int
    staying: dict[str, int] = field(default_factory=dict)
    cost_ns: float = 0.0

    @property
    def stayed(self) -> int:
        return sum(self.staying.values())


@dataclass(slots=True)
class Progress:
    """One step of a move: `done` of `total` pages are on the target; the last ones went from `source` to `target` pfns.

    The move follows `plan`.
    """

    done: int
    total: int
    source: Pfns
    target: Pfns
    plan: MovePlan


PORTION = 1 << 14
"""Pages looked at in one go: arrays of this size stay in the processor's cache, which makes long moves several times faster."""


def portions(pfns: Pfns) -> Iterator[slice]:
    for at in range(0, len(pfns), PORTION):
        yield slice(at, at + PORTION)


def migrate_pages(m: State, source: Pfns, target: Pfns) -> None:
    """Copy pages to (allocated, still empty) frames and free the old ones; every page table and page cache entry follows."""
    for part in portions(source):
        old, new = source[part], target[part]
        to, of = as_slice(new), as_slice(old)
        for mapping, at, index in by_mapping(m.pages, m.mappings, old):
            whole = len(at) == len(old)
            for vma, mask, place in users(mapping, old if whole else old[at], index):
                here = new if whole else new[at]
                vma.table[as_slice(place)] = here if mask.all() else here[mask]
            if mapping.kind in ("file", "shmem"):
                mapping.cache[index] = new[at]
        for array in m.pages.arrays():
            array[to] = array[of]
        m.dirty[new >> MAX_ORDER] = True
        m.release(old, uncharge=False)
    m.lru.forget()
    m.spent_ns += len(source) * m.costs.copy_page_ns


def _mapped_by(tasks: list[Task]) -> Pfns:
    """Resident pages of some tasks, in order of their page tables, each once."""
    tables = []
    for table in (vma.table for task in tasks for vma in task.vmas):
        there = table >= 0
        if there.any():
            tables.append(table if there.all() else table[there])
    if not tables:
        return np.empty(0, np.int64)
    pfns = np.concatenate(tables) if len(tables) > 1 else tables[0]
    objects = [x.id for task in tasks for vma in task.vmas for x in (vma.file, vma.anon) if x is not None]
    if len(set(objects)) == len(objects):  # no two tables can lead to the same page
        return pfns
    _, first = np.unique(pfns, return_index=True)
    return pfns[np.sort(first)]


def _unmapped(m: State, container: Container, mapped: Pfns) -> Pfns:
    """Pages charged to a container or lying in its zones that are not among `mapped`, in order of pfn.

    Counters tell where there are none, so that 16 million pages are not read for nothing.
    """
    charged = 0
    inside = np.zeros(len(m._zones), np.int64)
    for part in portions(mapped):
        charged += int(np.count_nonzero(m.pages.owner[as_slice(mapped[part])] == container.id))
        inside += np.bincount(m.block_zone[mapped[part] >> MAX_ORDER], minlength=len(inside))
    found = []
    for zone in container.zones:
        if zone.used > inside[zone.id]:
            pfns = np.concatenate([np.arange(first, first + length) for first, length in zone.spans()])
            found.append(pfns[m.pages.owner[pfns] > 0])
    if container.charged > charged:
        found.append(m.pages_of(container))
    if not found:
        return np.empty(0, np.int64)
    return np.setdiff1d(np.concatenate(found), mapped)


def _sort_out(m: State, container: Container, tasks: list[Task], pfns: Pfns) -> Iterator[tuple[str | None, Pfns]]:
    """Why pages stay, and which: ``(reason, pfns)``; last those without a reason, which move: ``(None, pfns)``."""
    left = np.ones(len(pfns), bool)
    found: dict[str, Mask] = {}

    def stay(why: str, mask: Mask) -> None:
        nonlocal left
        mask = mask & left
        if mask.any():
            found[why] = mask
            left = left & ~mask

    flags = m.pages.flags[as_slice(pfns)]
    if flags.any():
        stay("slab objects have kernel pointers to them and cannot move", flags & KERNEL > 0)
        stay("pinned: a device or the kernel holds the frame itself", flags & PINNED > 0)
    going = set(map(id, tasks))
    others: dict[str, Mask] = {}
    ids = m.pages.mapping[as_slice(pfns)]
    mappings = [m.mappings[one] for one in ([ids[0]] if (ids == ids[0]).all() else np.unique(ids))] if len(ids) else []
    alone = all(id(vma.task) in going for mapping in mappings if mapping is not None for vma in mapping.vmas)
    for mapping, at, index in () if alone else by_mapping(m.pages, m.mappings, pfns):
        for vma, mask, _ in users(mapping, pfns[at], index):
            if id(vma.task) not in going:
                name = vma.task.container.name if vma.task.container is not container else f"task {vma.task.name}"
                others.setdefault(name, np.zeros(len(pfns), bool))[at[mask]] = True
    for name, mask in others.items():
        stay(f"shared with {name}, which stays", mask)
    zone_ids = m.block_zone[pfns >> MAX_ORDER]
    for zone in m.zones:
        if zone.role in ("shared", "mount"):
            whose = f"belongs to {zone.owner.name}" if zone.owner is not None else "is an orphan"
            stay(f"lies in {zone.name}, which {whose} and stays", zone_ids == zone.id)
    if not found:
        yield None, pfns
        return
    yield from ((why, pfns[mask]) for why, mask in found.items())
    yield None, pfns[left]


def plan_move(m: State, who: Container | Task, node: int) -> MovePlan:
    """Work out a move without doing anything."""
    container = who if isinstance(who, Container) else who.container
    tasks = container.tasks if isinstance(who, Container) else [who]
    whole = len(tasks) == len(container.tasks)
    pfns = _mapped_by(tasks)
    if whole:  # and what is charged to the container, or lies in its zones, without being mapped
        rest = _unmapped(m, container, pfns)
        pfns = np.concatenate([pfns, rest]) if len(rest) else pfns

    pieces: dict[str | None, list[Pfns]] = {}
    for part in portions(pfns):
        here = pfns[part]
        away = m.node_of_block[here >> MAX_ORDER] != node
        for why, some in _sort_out(m, container, tasks, here if away.all() else here[away]):
            pieces.setdefault(why, []).append(some)
    pfns = np.concatenate(pieces.pop(None, [pfns[:0]]))
    staying = {why: np.concatenate(some) for why, some in pieces.items() if why is not None}

    size = sum(zone.pages for zone in container.zones if zone.node != node) if whole else 0
    need = max(size, len(pfns))
    while (
        need
        and m.policy.blocks_for(container, need) * BLOCK - len(pfns) < need // 64
        and need < 2 * max(size, len(pfns))
    ):
        need += BLOCK  # leave air above the low watermark
    blocks = m.policy.blocks_for(container, need) if need and (size or not whole or container.zones) else 0
    longest = m.nodes[node].longest_free_stretch()
    problem = None
    main = m.nodes[node].main
    if blocks > longest or (blocks and blocks >= len(main.blocks)):
        free = len(main.free_area.lists[MAX_ORDER])
        what = "is too fragmented" if free >= blocks and blocks < len(main.blocks) else "is too full"
        problem = (
            f"node {node} {what}: the new zone needs {blocks} neighbouring blocks ({blocks * BLOCK_MIB} MiB), "
            f"{free} are free there, {longest} of them in one stretch"
            + (", and the main zone must keep one" if blocks == len(main.blocks) else "")
        )
    elif not blocks:
        room = max(0, m.nodes[node].main.free_pages - m.nodes[node].main.min)
        if room < len(pfns):  # as in Linux: what fits goes, the rest stays
            staying[f"node {node} has no room for it"] = pfns[room:]
            pfns = pfns[:room]
    far = np.zeros(len(m.nodes), np.int64)
    for part in portions(pfns):
        far += np.bincount(m.node_of_block[pfns[part] >> MAX_ORDER], minlength=len(m.nodes))
    saved = sum(int(n) * (m.costs.access_ns(m.distances[node][at]) - m.costs.access_ns(10)) for at, n in enumerate(far))
    return MovePlan(
        who.name, node, pfns, staying, blocks, longest, problem, len(pfns) * m.costs.copy_page_ns, float(saved)
    )


def moving(m: State, who: Container | Task, node: int, step: int) -> Generator[Progress, None, MoveReport]:
    """Run a move, `step` pages at a time. Closing the generator before its end calls the move off without loss.

    Other commands may run between two steps: a page that was freed or replaced meanwhile is passed over. If it is the
    container or task itself that ends, the move ends, too: what has moved stays there, in the main zone.

    Raises:
        BadRequest: another move is under way, or the plan has a problem; nothing was changed.
    """
    refuse.can_set_out(m, who, node)  # once more: a generator starts later than it is made
    plan = plan_move(m, who, node)
    if plan.problem:
        raise BadRequest(f"{plan.name} cannot move to node {node}: {plan.problem}")
    container = who if isinstance(who, Container) else who.container
    tasks = list(container.tasks) if isinstance(who, Container) else [who]
    whole = len(tasks) == len(container.tasks)
    new = m.policy.new_home(m, container, node, plan.blocks * BLOCK) if plan.blocks else []
    source_node = container.node if isinstance(who, Container) else who.node
    begun = m.emit("move", name=plan.name, source=source_node, target=node, pages=plan.pages)
    for why, pfns in plan.staying.items():
        m.emit("stay", begun, why=why, pages=len(pfns))
    pages = m.pages
    at = as_slice(plan.moving)
    what: list[npt.NDArray[np.unsignedinteger]] = [a[at].copy() for a in (pages.owner, pages.mapping, pages.index)]
    came_from: list[tuple[Pfns, Pfns]] = []
    done = passed = 0
    finished = False
    container.trip = Trip(node, new)
    try:
        while done + passed < plan.pages and who.alive:
            part = slice(done + passed, min(done + passed + step, plan.pages))
            source = plan.moving[part]
            if part.start:  # since the step before, others may have freed, replaced or pinned pages
                same = np.ones(len(source), bool)
                arrays: tuple[npt.NDArray[np.unsignedinteger], ...] = (pages.owner, pages.mapping, pages.index)
                for array, then in zip(arrays, what, strict=True):
                    same &= array[as_slice(source)] == then[part]
                same &= pages.flags[as_slice(source)] & PINNED == 0
                passed += int((~same).sum())
                source = source[same]
                if not len(source):
                    continue
            runs = []
            missing = len(source)
            for zone in new or [m.nodes[node].main]:
                got = zone.free_area.take(missing)
                runs += got
                missing -= sum(length for _, length in got)
            target = expand(runs)
            if missing:
                m.release(target, uncharge=False)
                raise BadRequest(
                    f"{plan.name} cannot move to node {node}: {missing} pages of room are missing there by now"
                )
            origin = m.zone_of(int(source[0])).name
            migrate_pages(m, source, target)
            came_from.append((source, target))
            done += len(source)
            m.emit(
                "moved",
                begun,
                pages=len(source),
                source=origin,
                target=m.zone_of(int(target[0])).name,
                done=done,
                total=plan.pages,
            )
            yield Progress(done, plan.pages, source, target, plan)
        finished = True
    finally:
        container.trip = None
        if not finished:
            _undo(m, came_from, container, new, begun)
    staying = {why: len(pfns) for why, pfns in plan.staying.items()}
    if passed:
        staying["freed, replaced or pinned while the move was under way"] = passed
    if done + passed < plan.pages:
        staying[f"{plan.name} ended while the move was under way"] = plan.pages - done - passed
    report = MoveReport(plan.name, node, done, staying, done * m.costs.copy_page_ns)
    if not who.alive:
        m.emit("ended", begun, name=plan.name, node=node, pages=done, stayed=report.stayed)
        _give_up(m, container, new)
        return report
    if isinstance(who, Container):
        container.node = node
    for task in tasks:
        task.node = node
    left = [zone for zone in container.zones if whole and new and zone.node != node]
    container.zones = [*new, *(zone for zone in container.zones if zone not in left)]
    for zone in left:
        m._merge(zone)
    m.emit("arrived", begun, name=plan.name, node=node, pages=done, stayed=report.stayed)
    return report


def _undo(
    m: State, came_from: list[tuple[Pfns, Pfns]], container: Container, new: list[Zone], cause: int | None
) -> None:
    """Bring moved pages back, to the frames they came from if those are still free; then give up the new zones."""
    back = 0
    for source, target in reversed(came_from):
        living = (m.pages.owner[target] > 0) & (m.pages.flags[target] & PINNED == 0)
        for old, now in zip(source[living].tolist(), target[living].tolist(), strict=True):
            zone = m.zone_of(old)
            home = old if zone.free_area.claim(old) else zone.free_area.alloc()
            if home is not None:  # else it stays where it is: in the zone that is merged below
                migrate_pages(m, np.array([now]), np.array([home]))
                back += 1
    m.emit("undo", cause, pages=back)
    _give_up(m, container, new)


def _give_up(m: State, container: Container, new: list[Zone]) -> None:
    """Merge the new zones of a move; those that became orphans when the container ended are dealt with already."""
    for zone in new:
        if zone.owner is container:
            zone.owner = None
            m._merge(zone)


def evacuate(m: State, zone: Zone, blocks: np.ndarray) -> int:
    """Move all used pages out of some blocks of a zone into its other blocks; their free areas leave the zone's lists.

    The caller has checked that there is room. Returns the pages moved.
    """
    side = type(zone.free_area)(zone.free_area.tail_rule)
    moved = 0
    for block in blocks.tolist():
        zone.free_area.cut(block * BLOCK, (block + 1) * BLOCK, side)
    for block in blocks.tolist():
        source = block * BLOCK + np.flatnonzero(m.pages.owner[block * BLOCK : (block + 1) * BLOCK])
        if len(source):
            target = expand(zone.free_area.take(len(source)))
            migrate_pages(m, source, target)
            zone.free_area.cut(
                block * BLOCK, (block + 1) * BLOCK, side
            )  # what was just freed came back to the zone's lists
            moved += len(source)
    # The parts of one block that lie in two lists merge now.
    for order, area in enumerate(side.lists):
        for pfn in list(area):
            if order < 10 and pfn in area:
                del area[pfn]
                side.free_pages -= 1 << order
                side.free(pfn, order)
    return moved
