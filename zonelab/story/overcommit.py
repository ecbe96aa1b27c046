"""The story of unit 06: a container outgrows its zone, with and without zones that it may borrow from."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from zonelab.errors import OutOfMemory
from zonelab.machine import Corrected, Machine
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider, Toggle
from zonelab.story.scenario import Step, scenario, step

NOBODY, MAIN, DB = "nobody", "the main zone", "db"


@scenario("More than one's own")
def overcommit(
    allowed: Any = Choice((NOBODY, MAIN, DB), DB, "web may borrow from"),
    demand: Any = Slider(8, 40, 2, 26, "web writes"),
    reclaim_first: Any = Toggle(False, "reclaim before borrowing"),
) -> Generator[Step, None, None]:
    """web fills its zone and goes on; db, who did nothing, may be the one who pays."""
    machine = Machine(nodes=1, node_mib=64, policy=Corrected(reclaim_first=reclaim_first))
    main = machine.nodes[0].main
    web, db = machine.container("web", private_mib=16), machine.container("db", private_mib=16)
    assert web.private is not None and db.private is not None
    web.borrow = {NOBODY: (), MAIN: (main,), DB: (db.private,)}[allowed]
    server, base = machine.task(web, "server"), machine.task(db, "base")
    heap = machine.mmap(server, mib=demand, name="heap")
    listed = ", then ".join(zone.name for zone in machine.zonelist(heap))
    yield step(
        machine,
        f"web and db have a zone of 16 MiB each; {len(main.blocks)} blocks are left in the main zone. web may borrow from {allowed}, so its "
        f"zonelist is {listed}.",
    )

    table = machine.file("table", mib=10)
    machine.read(base, table, pages=table.pages)
    log = machine.file("log", mib=3)
    machine.read(server, log, pages=log.pages)
    yield step(
        machine,
        f"db reads a table of {table.pages:,} pages, and web a log of {log.pages:,}. The pages lie in their own zones. They are "
        "clean pages of files: they can be dropped, and read again.",
    )

    room = web.private.free_pages - web.private.low
    first = min(room, heap.pages)
    machine.touch(heap, 0, first)
    fits = first == heap.pages
    yield step(
        machine,
        f"web writes {first:,} pages of its own."
        + (
            " They fit into its zone."
            if fits
            else f" Its zone is down to its low watermark: {web.private.free_pages} pages are free, {log.pages:,} hold the log."
        ),
    )

    if not fits:
        some = min(64, heap.pages - first)
        had = int((log.cache >= 0).sum())
        machine.touch(heap, first, some)
        now = int((log.cache >= 0).sum())
        zone = machine.zone_of(int(heap.table[first]))
        own, away = "from its own zone, in place of the log", "from the zone it may borrow from"
        answer = own if zone is web.private else away
        yield step(
            machine,
            f"web goes on. The next {some} pages come from {zone.name}"
            + (
                f": {had - now} pages of its log were reclaimed for them."
                if zone is web.private
                else "; its log is not touched, though it could be dropped."
            ),
            Ask(
                f"web's zone is down to its low watermark, and {log.pages:,} of its pages hold a log that could be dropped. web may borrow from "
                f"{allowed}. Where do the next pages come from?",
                answer,
                (own, away),
                feedback={
                    (away if answer == own else own): (
                        "It may not borrow, so there is no other zone on its list."
                        if allowed == NOBODY
                        else "Here the rule is: reclaim at home before you borrow."
                        if answer == own
                        else "Here the rule is: borrow as long as there is something to borrow; reclaim comes last."
                    )
                },
                why="The mail does not say which comes first. Linux tries all zones of the list before it reclaims.",
            ),
        )
        at = first + some
        lost, whole = "yes", True
        try:
            if at < heap.pages:
                machine.touch(heap, at, heap.pages - at)
        except OutOfMemory:
            whole = False
        got = int((heap.table >= 0).sum())
        taken = machine.interference[("db", "web")]
        lost = "yes" if taken else "no"
        yield step(
            machine,
            (
                f"web has all {got:,} pages it wanted. "
                if whole
                else f"web is out of memory with {got:,} of {heap.pages:,} pages: nothing is left to reclaim on its list. "
            )
            + f"In db's zone, {_in(machine, heap, db.private):,} pages are web's, and db has lost {taken:,} pages of its "
            "table.",
            Ask(
                f"web goes on until it has {heap.pages:,} pages or nothing is left. db only read its table, {table.pages:,} pages. Will db lose "
                "any of them?",
                lost,
                ("yes", "no"),
                feedback={
                    "yes" if lost == "no" else "no": (
                        "web can only get at zones of its list, and db's zone is not on it."
                        if allowed != DB
                        else "web has enough with what is free there, and stops."
                        if lost == "no"
                        else "When db's zone is down to its mark, it is reclaimed like any zone of the list, and what can be dropped is db's."
                    )
                },
                why="Borrowing opens db's zone to web's reclaim, too. The matrix says who lost pages because of whom.",
            ),
        )

    before = machine.refaults["db"]
    problem = ""
    try:
        machine.read(base, table, pages=table.pages)
    except OutOfMemory:
        problem = " Then db is out of memory, in its own zone."
    back = machine.refaults["db"] - before
    yield step(
        machine,
        f"db reads its table once more. {back:,} pages have to be read from the disk again, because of web.{problem}"
        if back
        else f"db reads its table once more. All of it is still there.{problem}",
    )

    machine.exit(web)
    yield step(
        machine,
        f"web ends. What it had borrowed goes back to where it came from: db's zone has {db.private.free_pages:,} free pages. "
        f"In all, db lost {machine.interference[('db', 'web')]:,} pages because of web, {machine.interference[('db', 'db')]:,} because of itself.",
    )


def _in(machine: Machine, heap: Any, zone: Any) -> int:
    """Pages of a VMA that lie in a zone."""
    present = heap.table[heap.table >= 0]
    return int((machine.block_zone[present >> 10] == zone.id).sum())
