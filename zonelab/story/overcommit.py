"""The story of unit 06: a container outgrows its zone, with and without zones that it may borrow from."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from zonelab.errors import OutOfMemory
from zonelab.machine import Corrected, Machine
from zonelab.machine.fault import CLUSTER
from zonelab.machine.memory import VMA
from zonelab.machine.zone import Zone
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider, Toggle
from zonelab.story.scenario import Step, scenario, step

NOBODY, MAIN, DB, BOTH = "nobody", "the main zone", "db", "the main zone, then db"
PIECE = 64
"""Pages of the heap that are written at a time once no zone has any free ones to give, so that the story can stop at a loss."""


@scenario("More than one's own")
def overcommit(
    allowed: Any = Choice((NOBODY, MAIN, DB, BOTH), DB, "web may borrow from"),
    demand: Any = Slider(8, 64, 2, 26, "web writes"),
    table_mib: Any = Slider(2, 14, 1, 10, "db reads"),
    reclaim_first: Any = Toggle(False, "reclaim before borrowing"),
) -> Generator[Step, None, None]:
    """web fills its zone and goes on; db, who did nothing, may be the one who pays."""
    machine = Machine(nodes=1, node_mib=64, policy=Corrected(reclaim_first=reclaim_first))
    main = machine.nodes[0].main
    web, db = machine.container("web", private_mib=16), machine.container("db", private_mib=16)
    own, theirs = web.private, db.private
    assert own is not None and theirs is not None
    yield step(
        machine,
        f"web and db have a zone of {own.pages:,} pages each, 16 MiB; {len(main.blocks)} blocks are left in the main zone.",
    )

    web.borrow = {NOBODY: (), MAIN: (main,), DB: (theirs,), BOTH: (main, theirs)}[allowed]
    server, base = machine.task(web, "server"), machine.task(db, "base")
    heap = machine.mmap(server, mib=demand, name="heap")
    listed = ", then ".join(_named(zone) for zone in machine.zonelist(heap))
    yield step(
        machine,
        f"web may borrow from {allowed}. The zonelist of its heap, {heap.pages:,} pages, is {listed}.",
    )

    table, log = machine.file("table", mib=table_mib), machine.file("log", mib=3)
    machine.read(base, table, pages=table.pages)
    yield step(
        machine,
        f"db reads a table of {table.pages:,} pages into its own zone. They are clean pages of a file: they can be dropped, and read again.",
    )
    machine.read(server, log, pages=log.pages)
    yield step(machine, f"web reads a log of {log.pages:,} pages into its own zone. It will not need them again.")

    first = min(own.free_pages - own.low, heap.pages)
    machine.touch(heap, 0, first)
    at, whole, asked = first, True, False
    if first == heap.pages:
        yield step(machine, f"web writes its heap, {first:,} pages. All of it fits into its zone: nothing is borrowed.")
    else:
        yield step(
            machine,
            f"web writes {first:,} pages of its heap. Now its zone is down to its low watermark: {own.free_pages:,} pages are free, "
            f"{log.pages:,} hold the log.",
        )
        had = _cached(log)
        some = min(PIECE, heap.pages - at)
        machine.touch(heap, at, some)
        zone = machine.zone_of(int(heap.table[at]))
        at += some
        yield step(
            machine,
            f"web goes on. The next {some} pages come from {_named(zone)}"
            + (
                f": {had - _cached(log)} pages of its log were reclaimed for them."
                if zone is own
                else "; its log is not touched, though it could be dropped."
            ),
            _ask_where(log.pages, allowed, zone is own),
        )

        loss = machine.interference
        try:
            while at < heap.pages and not loss["db", "web"]:
                room = sum(max(0, zone.free_pages - zone.low) for zone in machine.zonelist(heap))
                some = min(max(PIECE, room), heap.pages - at)
                machine.touch(heap, at, some)
                at += some
            if loss["db", "web"] and at < heap.pages:
                yield step(
                    machine,
                    f"At page {at:,} of the heap, {_named(theirs)} is down to its low watermark as well. It is on web's list, so it is reclaimed "
                    f"for web: the first {loss['db', 'web']} pages of db's table are dropped.",
                    _ask_loss(heap.pages, table.pages, True, True),
                )
                asked = True
                machine.touch(heap, at, heap.pages - at)
        except OutOfMemory:
            whole = False
    taken = machine.interference["db", "web"]
    got = int((heap.table >= 0).sum())
    yield step(
        machine,
        (
            f"web has all {got:,} pages it wanted. "
            if whole
            else f"web is out of memory with {got:,} of {heap.pages:,} pages: nothing on its list is left to reclaim. "
        )
        + f"In its own zone lie {_lie(machine, heap, own):,} of them, in the main zone {_lie(machine, heap, main):,}, in db's zone "
        f"{_lie(machine, heap, theirs):,}. db has lost {taken:,} pages of its table.",
        None if asked else _ask_loss(heap.pages, table.pages, theirs in web.borrow, bool(taken)),
    )

    before = machine.refaults["db"]
    cramped = theirs.pages - _lie(machine, heap, theirs) - theirs.low < CLUSTER
    reads = min(256, table.pages) if cramped else table.pages
    machine.read(base, table, pages=reads)
    back, alone = machine.refaults["db"] - before, machine.interference["db", "db"]
    if not taken:
        text = "db reads its table once more, and all of it is there: nobody has come near it."
    elif cramped:
        text = (
            f"db begins to read its table once more: {back:,} of the first {reads:,} pages come from the disk again. web has left next to "
            f"nothing of db's zone, so that db drops a page of its own for nearly each that it reads."
        )
    else:
        text = (
            f"db reads its table once more: {back:,} pages come from the disk again. Refaults are db's price for web's door."
            + (f" Reading them, db drops {alone:,} pages of its own, for want of room beside web's." if alone else "")
        )
    yield step(machine, text)

    borrowed = _lie(machine, heap, theirs)
    machine.exit(web)
    yield step(
        machine,
        f"web ends, and each of its pages goes back to the zone that it came from. {_named(theirs)} has {theirs.free_pages:,} free pages now"
        + (
            f"; {borrowed:,} of them are back only because web has ended, for nothing calls in what was borrowed."
            if borrowed
            else "."
        ),
    )


def _named(zone: Zone) -> str:
    return "the main zone" if zone.role == "main" else zone.name


def _cached(file: Any) -> int:
    return int((file.cache >= 0).sum())


def _lie(machine: Machine, heap: VMA, zone: Zone) -> int:
    """Pages of a VMA that lie in a zone."""
    present = heap.table[heap.table >= 0]
    return int((machine.block_zone[present >> 10] == zone.id).sum())


def _ask_where(log: int, allowed: str, at_home: bool) -> Ask:
    home, away = "from its own zone, in place of the log", "from the zone it may borrow from"
    if allowed == NOBODY:
        said = "It may not borrow, so there is no other zone on its list."
    elif at_home:
        said = "Here the rule is: reclaim at home before you borrow."
    else:
        said = "Here the rule is: borrow as long as there is something to borrow; reclaim comes last."
    return Ask(
        f"web's zone is down to its low watermark, and {log:,} of its pages hold a log that could be dropped. web may borrow from {allowed}. "
        "Where do the next pages come from?",
        home if at_home else away,
        (home, away),
        feedback={away if at_home else home: said},
        why="Zones are tried in the order of the list. Whether one is reclaimed before the next is tried is a rule of its own; the mail does not "
        "say. Linux tries all of them first.",
    )


def _ask_loss(wanted: int, table: int, on_list: bool, lost: bool) -> Ask:
    if not on_list:
        said = "web can only get at zones of its list, and db's zone is not on it."
    elif lost:
        said = "When db's zone is down to its mark, it is reclaimed like any zone of the list, and what can be dropped is db's."
    else:
        said = "web has enough with what is free on its list, or can be dropped at home, and stops."
    return Ask(
        f"web goes on until it has {wanted:,} pages or nothing is left. db only read its table, {table:,} pages. Will db lose any of them?",
        "yes" if lost else "no",
        ("yes", "no"),
        feedback={"no" if lost else "yes": said},
        why="A zone that is on web's list can be reclaimed for web. The matrix says who lost pages because of whom.",
    )
