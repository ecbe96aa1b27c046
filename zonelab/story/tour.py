"""The story of unit 00: the whole subject on one machine, from boot to a move to another node and an exit.

Claims met on the way: C1 (zones for containers), C2 (nothing is allocated before it is touched), C4 (shared data), C6
(borrowing), C15 (orphans are merged), C19 (moving).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from zonelab.errors import BadRequest, OutOfMemory
from zonelab.machine import Machine
from zonelab.machine.pages import BLOCK, MIB
from zonelab.machine.zone import Zone
from zonelab.story.ask import Ask, called
from zonelab.story.controls import Choice, Slider, Toggle
from zonelab.story.scenario import Step, scenario, step

SMALL, LARGE = "2 nodes of 128 MiB", "4 nodes of 16 GiB, all sizes × 4"


def size(pages: int) -> str:
    """Pages as people say them: 24 MiB, 3 GiB."""
    mib = pages / MIB
    return f"{mib / 1024:g} GiB" if mib >= 1024 else f"{mib:g} MiB"


def room(zone: Zone) -> str:
    count = len(zone.blocks)
    return f"{size(zone.pages)}, {count} block{'s' * (count != 1)} of 4 MiB from pfn {int(zone.blocks[0]) * BLOCK:,}"


@scenario("Who gets which memory?")
def tour(
    web_mib: Any = Slider(4, 64, 4, 24, "web, private"),
    db_mib: Any = Slider(4, 64, 4, 16, "db, private"),
    shared_mib: Any = Slider(4, 32, 4, 8, "shared by web and db"),
    borrow: Any = Toggle(True, "web may borrow"),
    computer: Any = Choice((SMALL, LARGE), SMALL, "machine"),
) -> Generator[Step, None, None]:
    """Two containers share a machine; one outgrows its zone, one moves, one leaves."""
    large = computer == LARGE
    times = 4 if large else 1
    machine = Machine(nodes=4 if large else 2, node_mib=16384 if large else 128)
    main = machine.nodes[0].main
    yield step(
        machine,
        f"The machine boots: {len(machine.nodes)} nodes of {size(main.pages)}. All of it is free, and each node is one zone, "
        f"its main zone, made of {len(main.blocks):,} blocks of 4 MiB.",
    )

    web = machine.container("web", private_mib=web_mib * times)
    db = machine.container("db", private_mib=db_mib * times)
    assert web.private is not None and db.private is not None
    yield step(
        machine,
        f"Two containers arrive on node 0, and each gets a zone of its own, carved out of the main zone: web.private is "
        f"{room(web.private)}; db.private is {room(db.private)}.",
    )

    pair = machine.container_set("pair", [web, db], shared_mib=shared_mib * times)
    assert pair.shared is not None
    yield step(
        machine,
        f"web and db will work on the same files, so they form a set, and the set has a zone for shared data: pair.shared, "
        f"{room(pair.shared)}.",
    )

    server, base = machine.task(web, "server"), machine.task(db, "base")
    demand = web.private.pages * 5 // 4
    heap = machine.mmap(server, pages=demand, name="heap")
    free = machine.conserved()[1]
    yield step(
        machine,
        f"The server in web maps a heap of {size(demand)}, more than web.private has. Nothing happens to memory: "
        f"{free:,} pages were free, {free:,} are. The kernel decides when a page is touched, not when it is mapped.",
    )

    machine.touch(heap)
    pfn = int(heap.table[0])
    yield step(
        machine,
        f"It writes to the first page. That faults; the mapping is private, so the zonelist is one zone, {machine.zone_of(pfn)}; "
        f"a block of order 10 is split ten times over, and page pfn {pfn:,} is charged to web.",
    )

    half = web.private.pages // 2
    machine.touch(heap, 1, half - 1)
    yield step(
        machine,
        f"It writes on, page after page, {half:,} in all. Each one faults once. Free pages of web.private: "
        f"{web.private.free_pages:,} of {web.private.pages:,}.",
    )

    library = machine.file("library", pages=pair.shared.pages // 4)
    view = machine.mmap(base, file=library, name="library")
    read = machine.touch(view, 0, library.pages, write=False)
    pfn = int(view.table[0])
    yield step(
        machine,
        f"The base in db reads a library of {size(library.pages)} through a private mapping. The pages are page cache, which "
        f"others may use too, so all {read.new:,} go to {machine.zone_of(pfn)}, the first at pfn {pfn:,}. "
        f"db came first and is charged.",
        Ask(
            "The base in db is about to read a file, through a private mapping. Click the zone that the pages will come from.",
            called(machine.zone_of(pfn)),
            kind="zone",
            feedback={
                "db.private": "The mapping is private, but what is read are pages of the page cache, which others may use, too.",
                "web.private": "web has nothing to do with it yet; nobody else's pages ever go to its private zone.",
                called(main): "db has zones of its own, so the main zone is not on its zonelist.",
            },
            otherwise="That node is far away, and db has zones of its own nearby.",
            why="Whether a page is shared is decided by what it holds: a page of a file goes to the zone of the set.",
        ),
    )

    again = machine.mmap(server, file=library, name="library")
    seen = machine.touch(again, 0, library.pages, write=False)
    yield step(
        machine,
        f"Now the server reads the same library. The page cache has all {seen.found:,} pages, so they are mapped and nothing is "
        f"allocated; web uses {size(library.pages)} and pays for none of it. Is that fair? Unit 07 asks.",
    )

    store = machine.mmap(base, pages=db.private.pages // 2, name="store")
    machine.touch(store, 0, store.pages)
    yield step(
        machine,
        f"db writes {size(store.pages)} of its own, into {machine.zone_of(int(store.table[0]))}: web's zone is not touched.",
    )

    outside, refused, stolen = "from the main zone", "from nowhere: out of memory", "from db's zone"
    wrong = {
        stolen: "Nothing ever leads web to db's zone: it is not on web's zonelist. That is what the zone is for.",
        outside: "The main zone has room, but it is not on web's zonelist as long as web may not borrow.",
        refused: "So it would be if web might not borrow; but the main zone is on its zonelist, behind its own zone.",
    }
    wrong.pop(outside if borrow else refused)
    ask = Ask(
        f"The server writes to the rest of its heap, {demand - half:,} pages. Its zone has {web.private.free_pages:,} left. "
        "Where do the pages come from that do not fit?",
        outside if borrow else refused,
        (outside, stolen, refused),
        feedback=wrong,
        why="Only the zones of the zonelist count, in their order, however much is free elsewhere.",
    )
    if borrow:
        web.borrow = (main,)
    list_now = ", then ".join(zone.name + (" (main)" if zone is main else "") for zone in machine.zonelist(heap))
    try:
        machine.touch(heap, 0, heap.pages)
        borrowed = int((machine.block_zone[heap.table >> 10] == main.id).sum())
        yield step(
            machine,
            f"The heap outgrows its zone. web may borrow, so its zonelist is {list_now}: web.private is filled down to its low "
            f"watermark ({web.private.free_pages:,} pages free), and {borrowed:,} pages come from the main zone.",
            ask,
        )
    except OutOfMemory as problem:
        yield step(
            machine,
            f"The heap outgrows its zone. web may not borrow, its zonelist is {list_now}, and anonymous memory cannot be "
            f"reclaimed without swap: the server is out of memory with {problem.wanted:,} pages still to go, although "
            f"{main.free_pages:,} pages of the main zone are free. A zone is a wall, in both directions.",
            ask,
        )

    steps = machine.moving(web, 1, step=max(1, web.charged // 2))
    try:
        plan = next(steps).plan
    except BadRequest as problem:
        yield step(machine, f"web should move to node 1, but it is refused: {problem}. Nothing was changed.")
    else:
        yield step(
            machine,
            f"web moves to node 1. It needs a new zone of {plan.blocks:,} blocks there, and every page copied: "
            f"{web.charged // 2:,} of {plan.pages:,} are over, each at a new pfn. {plan.stayed:,} pages stay on "
            f"node 0, because they are shared with db.",
        )
        for _ in steps:
            pass
        yield step(
            machine,
            f"The move is done: {plan.pages:,} pages, {size(plan.pages)}, were copied, and the old zone is merged into the "
            f"main zone. By our cost model it pays once each page is touched {plan.break_even:.0f} times from the nearer node.",
        )

    orphan = db.private
    machine.exit(db, merge=False)
    yield step(
        machine,
        f"db exits. Its private memory is free again, and {orphan.name} is an orphan: {orphan.free_pages:,} free pages that no "
        f"zonelist leads to. The {library.pages:,} library pages live on, for web uses them; root is charged now.",
    )
    machine.merge(orphan)
    total, free, used = machine.conserved()
    yield step(
        machine,
        f"The orphan is merged into the main zone: its blocks change hands with their free lists, and no two of them have to be "
        f"joined, because aligned zones never parted two buddies. {total:,} pages = {free:,} free + {used:,} used, as ever.",
    )
