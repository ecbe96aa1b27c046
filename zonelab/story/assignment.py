"""The story of unit 04: who is given a zone, when it is made, and what happens when room in one stretch runs out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

from zonelab.errors import BadRequest
from zonelab.machine import BLOCK, Corrected, Machine
from zonelab.machine.pages import BLOCK_MIB
from zonelab.story.ask import Ask, called
from zonelab.story.controls import Choice, Slider, Toggle
from zonelab.story.scenario import Step, scenario, step

SET, CONTAINER, MOUNT = "the set", "the container that faults", "the mount"
KEYS: dict[str, Literal["set", "container", "mount"]] = {SET: "set", CONTAINER: "container", MOUNT: "mount"}


@scenario("Who gets a zone?")
def assignment(
    key: Any = Choice((SET, CONTAINER, MOUNT), SET, "file pages belong to"),
    private: Any = Slider(8, 32, 4, 16, "web and db, each"),
    big: Any = Slider(8, 64, 4, 60, "a late one wants"),
    together: Any = Toggle(True, "in one stretch"),
) -> Generator[Step, None, None]:
    """Containers, a set and a mount get zones; one is made on first need, and one comes too late for a stretch of its size."""
    machine = Machine(nodes=2, node_mib=128, policy=Corrected(cache_key=KEYS[key]))
    main = machine.nodes[0].main
    yield step(
        machine, f"Two nodes of 128 MiB. Files shall belong to {key}: that is the rule for pages that come from a file."
    )

    web = machine.container("web", private_mib=private)
    db = machine.container("db", private_mib=private)
    assert web.private is not None and db.private is not None
    yield step(
        machine,
        f"web and db get a zone each for private data, {len(web.private.blocks)} blocks: {web.private.name} and {db.private.name}.",
    )

    pair = machine.container_set("pair", [web, db], shared_mib=8)
    assert pair.shared is not None
    yield step(
        machine,
        f"They will share data, so they form a set, and the set gets a zone, too: {pair.shared.name}, {len(pair.shared.blocks)} blocks. "
        "Two containers, three zones.",
    )

    log = machine.container("log", private_mib=8, lazy=True)
    writer = machine.task(log, "writer")
    heap = machine.mmap(writer, mib=4, name="buffer")
    yield step(
        machine,
        f"log is started. It has a task and has mapped 4 MiB, but it has {len(log.zones)} zones: its zone is to be made when it is needed.",
    )
    machine.touch(heap, 0)
    assert log.private is not None
    when = ("at its first page fault", "when it maps memory", "when somebody asks for a list of zones")
    yield step(
        machine,
        f"log writes to its first page. The fault looks for log's zone, finds none, and makes it: {log.private.name}, "
        f"{len(log.private.blocks)} blocks from pfn {int(log.private.blocks[0]) * BLOCK:,}. Then the page is taken from it.",
        Ask(
            "log's zone shall be made when it is needed. log has mapped memory already. When is the zone made?",
            when[0],
            when,
            feedback={
                when[1]: "It has mapped memory already, and there is no zone: mapping needs no page.",
                when[2]: "Looking makes nothing; a zone that was never used should not exist because somebody looked.",
            },
            why="The one who allocates selects, or creates, the zonelist: that is at the fault.",
        ),
    )

    mount = machine.mount("shop", mib=8 if key == MOUNT else 0)
    if key == MOUNT:
        assert mount.zone is not None
        yield step(
            machine,
            f"The file system shop is mounted. Files belong to their mount, so it gets a zone, too: {mount.zone.name}.",
        )

    catalogue = machine.file("catalogue", mib=1, mount=mount)
    reader = machine.task(web, "server")
    view = machine.mmap(reader, file=catalogue, name="catalogue")
    machine.touch(view, 0, view.pages, write=False)
    zone = machine.zone_of(int(catalogue.cache[0]))
    wrong = {
        "web.private": "web reads it, but with this rule pages of a file are not web's own affair.",
        "pair.shared": "So it would be if files belonged to the set.",
        "db.private": "db has nothing to do with it yet.",
        "log.private": "log has nothing to do with it.",
        "shop.mount": "So it would be if files belonged to their mount.",
        called(main): "web has zones of its own; the main zone is not on its list.",
    }
    names = {called(one) for one in machine.zones}
    yield step(
        machine,
        f"web reads a file on shop, catalogue, {catalogue.pages} pages. Files belong to {key}, so the pages come from {zone.name}; web came "
        "first and is charged.",
        Ask(
            f"web is about to read a file on shop. Files belong to {key}. Click the zone that its pages will come from.",
            called(zone),
            kind="zone",
            feedback={name: said for name, said in wrong.items() if name in names and name != called(zone)},
            otherwise="That node is far away, and there are zones nearby that the rule names.",
            why="The rule needs a key for pages that no mapping decides about: container, set or mount. The mail leaves it open.",
        ),
    )

    second = machine.task(db, "base")
    again = machine.mmap(second, file=catalogue, name="catalogue")
    seen = machine.touch(again, 0, again.pages, write=False)
    orders = machine.file("orders", mib=1, mount=mount)
    own = machine.mmap(second, file=orders, name="orders")
    machine.touch(own, 0, own.pages, write=False)
    yield step(
        machine,
        f"db reads catalogue: all {seen.found} pages are found, where they are. Then it reads orders, first of all: its pages lie in "
        f"{machine.zone_of(int(orders.cache[0])).name}.",
    )

    machine.container("dot", private_mib=4, at=(int(main.blocks[-1]) - 6) * BLOCK)
    free, longest = len(machine.nodes[0].free_blocks()), machine.nodes[0].longest_free_stretch()
    yield step(
        machine,
        f"dot gets a single block, near the end of node 0. {free} blocks of the main zone are free now, but not more than {longest} of them "
        "side by side.",
    )

    wanted = -(-big // BLOCK_MIB)
    yes, no = "yes", "no"
    try:
        late = machine.container("late", private_mib=big, contiguous=together)
        answer = yes
        assert late.private is not None
        pieces = len(late.private.spans())
        text = f"late gets its zone: {wanted} blocks in {pieces} piece{'s' * (pieces > 1)}."
    except BadRequest as problem:
        answer = no
        text = f"late is refused, and nothing is changed: {problem}."
    yield step(
        machine,
        text,
        Ask(
            f"late wants {big} MiB on node 0, {wanted} blocks, {'side by side' if together else 'wherever they are'}. {free} blocks are free, at "
            f"most {longest} side by side. Does it get them?",
            answer,
            (yes, no),
            feedback={
                (no if answer == yes else yes): (
                    f"It needs {wanted} blocks side by side, and at most {longest} are."
                    if together
                    else f"It needs {wanted} blocks, and {free - 1} can be had: the main zone keeps one."
                )
            },
            why="A zone in one stretch is simple, and needs a stretch. Zones cut memory into pieces, as allocations do a zone.",
        ),
    )

    machine.exit(log)
    total, pages, used = machine.conserved()
    bound = sum(zone.free_pages for zone in machine.zones if zone is not main and zone.node == 0)
    yield step(
        machine,
        f"log ends, and its zone goes back. {total:,} pages = {pages:,} free + {used:,} used; {bound:,} of the free pages of node 0 "
        "lie in somebody's zone.",
    )
