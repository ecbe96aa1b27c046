"""One fault, from VMA to page: ``handle_mm_fault()`` for runs of pages.

1. The page table: is the page there? Then it is only marked as used.
2. The page cache: does the file's mapping have it? Then it is mapped; nothing is allocated, nobody is charged anew.
3. The policy: from which zones may this page come? (``zonelist``)
4. The first zone above its low watermark gives a page, its buddy lists say which. If there is none: reclaim, then the
   min watermark, then out of memory. (``get_page_from_freelist()``, ``__alloc_pages_slowpath()``)
5. The page is installed: page table, page cache, charge, age.

Pages are handled in stretches that are in the same state. The result is what single touches in rising order would leave,
free-list order included; where reclaim may change what comes next, the stretch is cut short and looked at anew.

Fault-around and readahead are options of the machine, see ``around``. Simplified: kswapd works at once when it is woken, instead
of in the background; page tables take no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from zonelab.errors import BadRequest, OutOfMemory
from zonelab.machine import around
from zonelab.machine.memory import ABSENT, SWAP, VMA, ZERO, Entries, Mapping
from zonelab.machine.pages import DIRTY, KERNEL, MAX_ORDER, PINNED, READAHEAD, SWAPPABLE, Pfns, Run, expand
from zonelab.machine.policy import Kind
from zonelab.machine.reclaim import reclaim_owner, reclaim_zone

if TYPE_CHECKING:
    from zonelab.machine.container import Container, Task
    from zonelab.machine.state import State
    from zonelab.machine.zone import Zone

CLUSTER = 32
"""Pages that direct reclaim takes back at least (``SWAP_CLUSTER_MAX``)."""

# States of a page that is touched: what has to be done about it.
HIT, FIND, NULL, NEW, COPY, BOTH, BACK = range(7)
"""Present; in the page cache; map the zero page; allocate; copy on write; allocate and then copy; swap in."""


@dataclass(slots=True)
class Touched:
    """What a touch or a read came to, in pages: each page of the range is counted once, by what it needed last."""

    hits: int = 0
    found: int = 0
    zero: int = 0
    new: int = 0
    copies: int = 0
    swapped_in: int = 0

    @property
    def faults(self) -> int:
        """Page faults taken. A page that the fault of another one has mapped, by fault-around, is a hit."""
        return self.found + self.zero + self.new + self.copies + self.swapped_in


def touch(m: State, vma: VMA, offset: int, pages: int, write: bool) -> Touched:
    """Touch pages [offset, offset + pages) of a VMA in rising order, as that many single touches would."""
    done = Touched()
    at, end = offset, offset + pages
    step = 1 if vma.file is None else _together(m, vma.file, write)
    while at < end:
        version = m.evictions
        stop = end if step == 1 else min(end, at - at % step + step)  # faults deal with neighbours: a window at a time
        for state, first, count in _stretches(m, vma, at, stop, write):
            at = first + _resolve(m, vma, state, first, count, write, done)
            if at != first + count or m.evictions != version or (step > 1 and state != HIT):
                break  # reclaim, or this fault, may have changed what comes next: look again
    return done


def _together(m: State, file: Mapping, write: bool) -> int:
    """Pages of a file that one fault may deal with: by fault-around if it is a read, by readahead if there is a disk."""
    return max(1 if write else m.fault_around, m.readahead if file.kind == "file" else 1)


def file_io(m: State, task: Task, file: Mapping, offset: int, pages: int, write: bool) -> Touched:
    """``read`` or ``write`` of a file: the page cache is filled without any VMA (``filemap_get_pages()``)."""
    done = Touched()
    at, end = offset, offset + pages
    while at < end:
        version = m.evictions
        for state, first, count in _runs_of_states(_cache_states(file.cache[at:end]), at):
            cause = m.emit("syscall", task=task.name, mapping=file.name, page=first, pages=count, write=write)
            if state == FIND:
                _use(m, task, file.cache[first : first + count], write)
                done.hits += count
            elif state == NEW:
                _fill_cache(m, task, None, file, first, count, write, cause)
                done.new += count
            else:
                swap_in(m, task, None, file, first, cause)
                done.swapped_in += 1
            at = first + (count if state != BACK else 1)
            if at != first + count or m.evictions != version:
                break
    return done


# -- what state is each page in?


def _cache_states(cache: Entries) -> Entries:
    return np.where(cache >= 0, FIND, np.where(cache == ABSENT, NEW, BACK))


def _runs_of_states(states: Entries, start: int) -> Iterator[tuple[int, int, int]]:
    breaks = (np.flatnonzero(np.diff(states)) + 1).tolist()
    for first, last in zip([0, *breaks], [*breaks, len(states)], strict=True):
        yield int(states[first]), start + first, last - first


def _stretches(m: State, vma: VMA, at: int, end: int, write: bool) -> Iterator[tuple[int, int, int]]:
    """``(state, first page, pages)``, stretch by stretch."""
    if end - at == 1:
        yield _state(m, vma, at, write), at, 1
        return
    table = vma.table[at:end]
    if table[0] == ABSENT and (table == ABSENT).all():  # the common case: a fresh stretch
        states = np.full(end - at, (NEW if write else NULL) if vma.file is None else BOTH)
    else:
        states = np.where(table >= 0, HIT, np.where(table == ZERO, NEW if write else HIT, BACK))
        absent = table == ABSENT
        states[absent] = (NEW if write else NULL) if vma.file is None else BOTH
        if write and not vma.shared and vma.anon is not None:
            there = np.flatnonzero(table >= 0)
            mine = m.pages.mapping[table[there]] == vma.anon.id
            states[there[~mine]] = COPY
            for other in vma.anon.vmas:
                if other is not vma and len(there):
                    place = there + at + vma.offset - other.offset
                    inside = (place >= 0) & (place < other.pages)
                    same = there[inside][other.table[place[inside]] == table[there[inside]]]
                    states[same] = COPY
            if vma.file is not None:
                states[table == ZERO] = COPY
    if vma.file is not None and (vma.shared or not write):
        absent = states == BOTH
        cache = vma.file.cache[vma.offset + at : vma.offset + end]
        states[absent] = _cache_states(cache)[absent]
    yield from _runs_of_states(states, at)


def _state(m: State, vma: VMA, at: int, write: bool) -> int:
    """As ``_stretches`` for one page, without the price of arrays."""
    entry = int(vma.table[at])
    if entry >= 0:
        if not write or vma.shared or vma.anon is None:
            return HIT
        if m.pages.mapping[entry] != vma.anon.id:
            return COPY
        place = at + vma.offset
        for other in vma.anon.vmas:
            there = place - other.offset
            if other is not vma and 0 <= there < other.pages and other.table[there] == entry:
                return COPY
        return HIT
    if entry == ZERO:
        return NEW if write else HIT
    if entry != ABSENT:
        return BACK
    if vma.file is None:
        return NEW if write else NULL
    if write and not vma.shared:
        return BOTH
    cached = vma.file.cache[vma.offset + at]
    return FIND if cached >= 0 else NEW if cached == ABSENT else BACK


# -- what is done about it


def _resolve(
    m: State, vma: VMA, state: int, first: int, count: int, write: bool, done: Touched, alone: bool = False
) -> int:
    """Deal with a stretch in one state; returns how many of its pages are dealt with (at least one).

    Args:
        alone: for a copy that is made at once: map no neighbours.
    """
    task, file = vma.task, vma.file
    if file is not None and state in (FIND, NEW) and (vma.anon is None or not write) and _together(m, file, write) > 1:
        return _with_neighbours(m, vma, state, first, write, done, alone)
    here = slice(first, first + count)
    if state == HIT:
        m.emit("hit", vma=vma.name, page=first, pages=count)
        _use(m, task, vma.table[here], write and vma.shared)
        done.hits += count
        return count
    cause = m.emit("fault", task=task.name, vma=vma.name, page=first, pages=count, write=write)
    if state == NULL:
        vma.table[here] = ZERO
        m.emit("zero", cause, vma=vma.name, page=first, pages=count)
        done.zero += count
    elif state == FIND:
        assert file is not None
        start = vma.offset + first
        vma.table[here] = file.cache[start : start + count]
        m.emit("found", cause, mapping=file.name, page=start, pages=count, pfn=int(vma.table[first]))
        _use(m, task, vma.table[here], write)
        done.found += count
    elif (state == NEW and file is not None and vma.anon is None) or (state == NEW and not write):
        assert file is not None
        start = vma.offset + first
        _fill_cache(m, task, vma, file, start, count, write, cause, vma.table[here])
        done.new += count
    elif state == NEW:
        _fill_private(m, task, vma, first, count, "anon", cause)
        done.new += count
    elif state == COPY:
        m.emit("copy", cause, vma=vma.name, page=first, pages=count)
        count = _fill_private(m, task, vma, first, count, "copy", cause)
        done.copies += count
    elif state == BOTH:
        # The page of the cache first, as for a read; then the private copy. Page by page, as the kernel does it: the two
        # may come from the same zone, and then take turns.
        for at in range(first, first + count):
            read = Touched()
            _resolve(m, vma, _state(m, vma, at, False), at, 1, False, read, alone=True)
            m.emit("copy", cause, vma=vma.name, page=at, pages=1)
            _fill_private(m, task, vma, at, 1, "copy", cause)
            done.copies += 1
    else:
        swap_in(m, task, vma, file if vma.table[first] == ABSENT else None, first, cause)
        if write:  # a page that came back may still have to be copied
            _resolve(m, vma, _state(m, vma, first, write), first, 1, write, Touched())
        done.swapped_in += 1
        return 1
    return count


def _with_neighbours(m: State, vma: VMA, state: int, first: int, write: bool, done: Touched, alone: bool) -> int:
    """One fault on page `first` of a file, with what fault-around and readahead do about the pages near it; returns 1."""
    task, file, index = vma.task, vma.file, vma.offset + first
    assert file is not None
    cause = m.emit("fault", task=task.name, vma=vma.name, page=first, pages=1, write=write)
    reads = m.readahead > 1 and file.kind == "file"
    if state == NEW:
        runs = around.ahead_of_miss(m, vma, index) if reads else [(index, 1)]
        _read_in(m, vma, runs, index, write, cause)
        done.new += 1
    else:
        if reads and m.pages.flags[file.cache[index]] & READAHEAD:
            m.pages.flags[file.cache[index]] &= ~np.uint8(READAHEAD)
            _read_in(m, vma, around.ahead_of_mark(m, vma, index), index, False, cause)
        m.emit("found", cause, mapping=file.name, page=index, pages=1, pfn=int(file.cache[index]))
        done.found += 1
    vma.table[first] = file.cache[index]
    _use(m, task, vma.table[first : first + 1], write)
    if m.fault_around > 1 and not write and not alone:
        around.map_around(m, vma, first, cause)
    return 1


def _read_in(m: State, vma: VMA, runs: list[Run], needed: int, write: bool, cause: int | None) -> None:
    """Bring runs of a file's pages into the page cache; only the `needed` one must come, the others if there is room."""
    task, file = vma.task, vma.file
    assert file is not None
    kept = np.empty(0, np.int64)
    try:
        for first, count in runs:
            _fill_cache(m, task, vma, file, first, count, write, cause)
            if file.cache[needed] >= 0 and not len(kept):  # the rest of the window must not push this one out
                kept = file.cache[needed : needed + 1].copy()
                kept = kept[m.pages.flags[kept] & PINNED == 0]
                m.pages.flags[kept] |= PINNED
    except OutOfMemory:
        if file.cache[needed] < 0:
            raise
    finally:
        m.pages.flags[kept] &= ~np.uint8(PINNED)
    if file.cache[needed] < 0:  # pushed out by the pages behind it
        _fill_cache(m, task, vma, file, needed, 1, write, cause)
    if len(runs) and (len(runs) > 1 or runs[0][1] > 1):
        m.emit("ahead", cause, mapping=file.name, page=runs[0][0], pages=sum(length for _, length in runs))
    if m.readahead > 1 and file.kind == "file":
        around.mark(m, vma, runs)


def _use(m: State, task: Task, entries: Entries, dirty: bool) -> None:
    """Mark resident pages as used now, by this task."""
    pfns = entries if len(entries) == 1 and entries[0] >= 0 else entries[entries >= 0]
    if not len(pfns):
        return
    m.lru.used(m, pfns)
    m.dirty[pfns >> MAX_ORDER] = True
    if dirty:
        m.pages.flags[pfns] |= DIRTY
    if m.rule.follows_touches:
        m.rule.touched(m, task.container, pfns)
    m.accessed(task, pfns)


def _fill_cache(
    m: State,
    task: Task,
    vma: VMA | None,
    file: Mapping,
    index: int,
    count: int,
    write: bool,
    cause: int | None,
    table: Entries | None = None,
) -> None:
    """Allocate pages [index, index + count) of a file or shmem object; enter them in the page cache and in `table`."""
    kind: Kind = "shmem" if file.kind == "shmem" else "cache"
    # Dirty from the start: of a long stretch the first pages may be taken back before the last ones are there.
    flags = (SWAPPABLE if kind == "shmem" else 0) | (DIRTY if write else 0)
    done = 0
    while done < count:
        m.index = index + done
        runs = allocate(m, task, kind, vma, file, count - done, cause)
        pfns = install(m, task, file, index + done, runs, flags)
        n = len(pfns)
        at = index + done
        file.cache[at : at + n] = pfns
        if table is not None:
            table[done : done + n] = pfns
        lost = int(np.count_nonzero(file.shadow[at : at + n]))
        if lost:
            file.shadow[at : at + n] = 0
            m.refault(task.container, lost, cause)
        done += n


def _fill_private(m: State, task: Task, vma: VMA, first: int, count: int, kind: Kind, cause: int | None) -> int:
    """Allocate private pages for a stretch of a VMA; returns how many were done before reclaim got in the way."""
    assert vma.anon is not None
    done = 0
    while done < count:
        version = m.evictions
        old: Pfns | None = None
        if kind == "copy":  # whoever is copied from must not be taken away under our hands
            old = vma.table[first + done : first + done + 1]
            old = old[(m.pages.flags[old] & PINNED) == 0]
            m.pages.flags[old] |= PINNED
        m.index = vma.offset + first + done
        try:
            runs = allocate(m, task, kind, vma, vma.file, count - done, cause, cautious=kind == "copy")
        finally:
            if old is not None:
                m.pages.flags[old] &= ~np.uint8(PINNED)
        pfns = install(m, task, vma.anon, vma.offset + first + done, runs, SWAPPABLE)
        vma.table[first + done : first + done + len(pfns)] = pfns
        done += len(pfns)
        if kind == "copy" and m.evictions != version:
            break
    return done


def swap_in(m: State, task: Task, vma: VMA | None, file: Mapping | None, at: int, cause: int | None) -> None:
    """Bring one page back from swap, for everybody who had it (``do_swap_page()``).

    Simplified: Linux keeps a swap cache so that each user finds the page when he faults himself; here all find it at once.
    """
    m.index = at + (vma.offset if vma else 0)
    if file is not None:
        index = m.index
        slot = SWAP - int(file.cache[index])
        pfns = install(m, task, file, index, allocate(m, task, "shmem", vma, file, 1, cause), SWAPPABLE)
        file.cache[index] = pfns[0]
        if vma is not None:
            vma.table[at] = pfns[0]
    else:
        assert vma is not None and vma.anon is not None
        entry = int(vma.table[at])
        slot = SWAP - entry
        index = vma.offset + at
        pfns = install(m, task, vma.anon, index, allocate(m, task, "anon", vma, vma.file, 1, cause), SWAPPABLE)
        for user in vma.anon.vmas:
            place = index - user.offset
            if 0 <= place < user.pages and user.table[place] == entry:
                user.table[place] = pfns[0]
    if not m.swap.free:  # anonymous pages can be reclaimed again
        m.lru.forget()
    m.swap.release(slot)
    m.emit("swapin", cause, vma=vma.name if vma else "", pages=1)
    m.refault(task.container, 1, cause)


# -- allocate


def allocate(
    m: State,
    task: Task,
    kind: Kind,
    vma: VMA | None,
    file: Mapping | None,
    want: int,
    cause: int | None,
    cautious: bool = False,
) -> list[Run]:
    """Some of `want` pages, at least one, as runs, all of one zone (``get_page_from_freelist()`` and its slow path).

    Args:
        cautious: take only one page if reclaim was needed for it, because reclaim may have changed the next page's case.

    Raises:
        OutOfMemory: nothing above the min watermarks, and nothing to reclaim.
    """
    account = task.container
    try:
        zones = m.policy.zonelist(m, task, kind, vma, file)
    except BadRequest as problem:  # a zone that was to be made on first need (C3) finds no room
        _out_of_memory(m, account, want, (), cause, f"its zone, due on first need, cannot be made: {problem}")
    route = m.emit(
        "route", cause, what=_WHAT[kind], account=account.name, policy=m.policy.name, zones=[z.name for z in zones]
    )
    if account.limit is not None and account.charged + want > account.limit:
        left = account.limit - account.charged
        if left <= 0:
            m.emit("limit", route, account=account.name, charged=account.charged, limit=account.limit)
            # A limit may have been lowered below what is charged already: then all of the excess has to go first.
            reclaim_owner(m, account, max(CLUSTER, 1 - left), route)
            left = account.limit - account.charged
            if left <= 0:
                _out_of_memory(m, account, want, (), route)
            want = 1 if cautious else want
        want = min(want, left)
    want = m.policy.stretch(m, task, want)
    borrowed = set(account.borrow) - set(account.zones)
    for zone in zones:
        if zone.room or (m.policy.reclaim_first and zone not in borrowed and _reclaim(m, zone, account, route)):
            return _take(m, zone, want, "low", zone.low + zone.reserve, route)
        m.emit("skip", route, zone=zone.name, free=zone.free_pages, mark=zone.low + zone.reserve, mark_name="low")
    # Every zone of the list is down to its low mark: kswapd is woken for each of them, borrowed or not.
    woken = [zone for zone in zones if _reclaim(m, zone, account, route)]
    if woken:
        return _take(m, woken[0], 1 if cautious else want, "low", woken[0].low + woken[0].reserve, route)
    for zone in zones:
        if zone not in borrowed and zone.free_pages > zone.min + zone.reserve:
            # Nothing to reclaim now; but a page of the cache could be reclaimed for the next one.
            some = 1 if kind == "cache" or m.swap.pages else want
            return _take(m, zone, some, "min", zone.min + zone.reserve, route)
    _out_of_memory(m, account, want, zones, route)


def alloc_pages(m: State, task: Task, order: int) -> int:
    """One block of 2**order pages for the kernel itself, from the first zone that has it (``alloc_pages()``)."""
    account = task.container
    zones = m.policy.zonelist(m, task, "slab", None, None)
    route = m.emit(
        "route",
        None,
        what=f"an order-{order} block",
        account=account.name,
        policy=m.policy.name,
        zones=[z.name for z in zones],
    )
    size = 1 << order
    if account.limit is not None and account.charged + size > account.limit:
        reclaim_owner(m, account, account.charged + size - account.limit, route)
        if account.charged + size > account.limit:
            m.emit("limit", route, account=account.name, charged=account.charged, limit=account.limit)
            _out_of_memory(m, account, size, (), route)
    for attempt in ("low", "low", "min"):
        for zone in zones:
            mark = zone.low if attempt == "low" else zone.min
            if not zone.watermark_ok(order, mark):
                m.emit("skip", route, zone=zone.name, free=zone.free_pages, mark=mark, mark_name=attempt)
                continue
            chosen = m.emit(
                "zone", route, zone=zone.name, free=zone.free_pages, mark=mark, mark_name=attempt, pages=size
            )
            found = next(o for o, area in enumerate(zone.free_area.lists) if area and o >= order)
            pfn = zone.free_area.alloc(order)
            assert pfn is not None
            m.emit("split", chosen, zone=zone.name, pfn=pfn, order=order, from_order=found)
            m.last_route = chosen
            install(m, task, m.kernel, pfn, [(pfn, size)], KERNEL)
            m.pages.stamp[pfn : pfn + size] = 0  # on no LRU list
            m.kernel_blocks[pfn] = order
            return pfn
        if attempt == "low":  # once more after reclaim, then down to the min mark
            for zone in zones:
                reclaim_zone(m, zone, max(CLUSTER, zone.high - zone.free_pages), account, route)
    _out_of_memory(
        m, account, size, zones, route, f"no zone of the list has a free block of order {order} above its watermark"
    )


_WHAT = {
    "anon": "a private page",
    "copy": "a private copy",
    "cache": "a page of the page cache",
    "shmem": "a page of shared memory",
    "slab": "a slab page",
}


def _take(m: State, zone: Zone, want: int, mark_name: str, mark: int, route: int | None) -> list[Run]:
    pages = min(want, zone.free_pages - mark)
    if m.on_event is not None:
        may = zone.free_pages - mark
        chosen = m.emit("zone", route, zone=zone.name, free=zone.free_pages, mark=mark, mark_name=mark_name, pages=may)
        found = next(o for o, area in enumerate(zone.free_area.lists) if area)
        runs = zone.free_area.take(pages)
        m.emit("split", chosen, zone=zone.name, pfn=runs[0][0], order=0, from_order=found)
        m.last_route = chosen
        return runs
    return zone.free_area.take(pages)


def _reclaim(m: State, zone: Zone, account: Container, route: int | None) -> bool:
    """Reclaim up to the high watermark; did that make room above the low one?"""
    reclaim_zone(m, zone, max(CLUSTER, zone.high - zone.free_pages), account, route)
    return zone.room > 0


def _out_of_memory(
    m: State, account: Container, want: int, zones: tuple[Zone, ...], route: int | None, why: str = ""
) -> NoReturn:
    tried = [(z.name, z.free_pages, z.min, z.low) for z in zones]
    if why:
        pass
    elif zones:
        why = "reclaim found nothing to take back there"
        if not m.swap.pages:
            why += ": there is no swap, so anonymous memory has to stay"
        elif not m.swap.free:
            why += ": swap is full"
    elif account.limit is not None and account.charged >= account.limit:
        why = f"it is at its limit of {account.limit} pages, and none of them can be reclaimed"
        why += "" if m.swap.pages else " (no swap)"
    else:
        why = "its zonelist is empty"
    m.emit("oom", route, account=account.name, pages=want, why=why)
    m.oom_kills[account.name] += 1
    raise OutOfMemory(account.name, want, tried, why)


def install(m: State, task: Task, mapping: Mapping, index: int, runs: list[Run], flags: int) -> Pfns:
    """Enter newly allocated pages in the page arrays, with consecutive indices; charge them; returns their pfns."""
    pages, account = m.pages, task.container
    count = 0
    for first, length in runs if len(runs) <= 64 else ():
        last = first + length
        pages.owner[first:last] = account.id
        pages.mapping[first:last] = mapping.id
        pages.flags[first:last] = flags
        if length == 1:
            pages.index[first] = index + count
            pages.stamp[first] = m.clock + count + 1
        else:
            pages.index[first:last] = np.arange(index + count, index + count + length, dtype=np.uint32)
            pages.stamp[first:last] = np.arange(m.clock + count + 1, m.clock + count + length + 1, dtype=np.uint32)
        m.dirty[first >> 10 : (last - 1 >> 10) + 1] = True
        count += length
    pfns = expand(runs)
    if not count:
        count = len(pfns)
        pages.owner[pfns] = account.id
        pages.mapping[pfns] = mapping.id
        pages.flags[pfns] = flags
        pages.index[pfns] = np.arange(index, index + count, dtype=np.uint32)
        pages.stamp[pfns] = np.arange(m.clock + 1, m.clock + count + 1, dtype=np.uint32)
        m.dirty[pfns >> 10] = True
    m.tick(count)
    account.charged += count
    if m.on_event is not None:
        m.emit("page", m.last_route, runs=runs, zone=m.zone_of(runs[0][0]).name, account=account.name)
    m.accessed(task, pfns[:1], count)
    return pfns
