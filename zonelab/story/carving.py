"""The story of unit 03: a zone is cut out of a node, rounded up to blocks, refused where it would cut a block in two."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from zonelab.errors import BadRequest
from zonelab.machine import BLOCK, MIB, Machine
from zonelab.machine.whatif import UncheckedZones
from zonelab.story.ask import Ask
from zonelab.story.controls import Slider
from zonelab.story.scenario import Step, scenario, step


def across(offset: int) -> UncheckedZones:
    """Two zones of about 4 MiB whose border lies `offset` pages inside a block; all their pages were in use and are freed."""
    zones = UncheckedZones(0, BLOCK + offset, 2 * BLOCK + offset)
    zones.start_used()
    for pfn in range(zones.border, zones.end):  # first all of B's
        zones.free(pfn)
    for pfn in range(zones.border):  # then A's
        zones.free(pfn)
    return zones


@scenario("Cutting a zone out of a node")
def carving(
    mib: Any = Slider(1, 24, 1, 10, "zone wanted"),
    start: Any = Slider(0, 8192, 256, 2304, "to start at", "pfn"),
    count: Any = Slider(1, 12, 1, 5, "containers of that size", ""),
) -> Generator[Step, None, None]:
    """A zone has a size, a place and a border; each of the three has its rule."""
    machine = Machine(nodes=1, node_mib=64)
    main = machine.nodes[0].main
    yield step(
        machine,
        f"One node of 64 MiB is one zone, its main zone: {len(main.blocks)} blocks of {BLOCK:,} pages. New zones are cut out of it.",
    )

    zone = machine.carve("first", 0, mib)
    wanted = mib * MIB
    over = zone.pages - wanted
    yield step(
        machine,
        f"A zone of {mib} MiB is wanted, {wanted:,} pages. It gets {len(zone.blocks)} whole block{'s' * (len(zone.blocks) > 1)}, "
        f"{zone.pages:,} pages: "
        + (f"{over:,} more than wanted, and nobody else's from now on." if over else "that fits without a rest."),
        Ask(
            f"A zone of {mib} MiB is to be cut out of the node. How many pages will it have?",
            zone.pages,
            kind="number",
            feedback={
                str(
                    wanted
                ): "So many were wanted. But zones are made of whole blocks of 1,024 pages, and the last one counts, too.",
                str(wanted // BLOCK * BLOCK): "Rounded down it would be smaller than what was asked for.",
            }
            if over
            else {str(mib): "Those are MiB; a MiB has 256 pages."},
            otherwise="A MiB has 256 pages, a block has 1,024, and only whole blocks are cut.",
            why="MAX_ORDER_NR_PAGES, one block, is the smallest zone and the smallest step.",
        ),
    )

    pfn = int(zone.blocks[-1]) * BLOCK + 7
    table, per_page = len(machine.block_zone) * 2, machine.total_pages * 2
    yield step(
        machine,
        f"Which zone does pfn {pfn:,} lie in? {pfn:,} shifted right by 10 bits is {pfn >> 10}, and entry {pfn >> 10} of a table says "
        f"{machine.zone_of(pfn).name}. The table has one entry a block, {table} bytes; one for each page would be {per_page:,}.",
    )
    machine.merge(zone)

    fits = f"yes, from pfn {start:,}"
    refused = "no, it is refused"
    try:
        second = machine.carve("second", 0, mib, at=start)
        answer = fits
        text = f"{start:,} is a multiple of {BLOCK:,}, and the blocks from there on are free: {second} begins at block {start // BLOCK}."
    except BadRequest as problem:
        second = None
        answer = refused
        text = f"Refused: {problem}."
    yield step(
        machine,
        text,
        Ask(
            f"The next zone of {mib} MiB shall begin at pfn {start:,}. Is it made?",
            answer,
            (fits, refused),
            feedback={
                (refused if answer == fits else fits): (
                    f"{start:,} / {BLOCK:,} is {start / BLOCK:g}: a border there cuts no block."
                    if answer == fits
                    else f"{start:,} / {BLOCK:,} is {start / BLOCK:g}, so the border would lie inside a block, or there is no room."
                )
            },
            why=f"A border has to be a multiple of {BLOCK:,} pages, so that no block lies in two zones.",
        ),
    )

    offset = start % BLOCK
    what_if = across(offset)
    damage = what_if.damage()
    if what_if.thefts:
        theft = what_if.thefts[-1]
        text = (
            f"What if nobody checked? Two zones A and B with a border {offset} pages inside a block: all pages are freed, and "
            f"{len(what_if.thefts)} times a buddy is taken from the other zone, as when {theft.zone} joins its page {theft.pfn:,} with "
            f"{theft.robbed}'s block at {theft.buddy:,}. In the end A counts {damage['A'][0]:,} free pages and has {damage['A'][1]:,} on its "
            f"lists; B counts {damage['B'][0]:,} and has {damage['B'][1]:,}."
        )
    else:
        text = (
            f"What if nobody checked? With a border at a multiple of {BLOCK:,} nothing happens: {damage['A'][0]:,} pages freed in A, "
            f"{damage['B'][0]:,} in B, and no buddy was ever on the other side. Move the start off the multiple, and look again."
        )
    yield step(
        machine,
        text,
        Ask(
            f"Suppose nobody checked, and a border lay {offset} pages inside a block. All pages on both sides are freed. Do the two zones' free "
            "lists get mixed up?",
            "yes" if what_if.thefts else "no",
            ("yes", "no"),
            feedback={
                "no": "A block and its buddy can lie on either side of such a border, and the merge test sees only that both are free.",
            }
            if what_if.thefts
            else {"yes": "An aligned border lies between two blocks, and buddies never leave their block."},
            why="Joining stays inside an aligned block of 1,024 pages. A border inside it is what breaks that.",
        ),
    )

    if second is not None:
        machine.merge(second)
    made, short = 0, ""
    for number in range(count):
        try:
            machine.container(f"c{number}", private_mib=mib)
        except BadRequest:
            short = (
                f" For the {count - made} others there is no room: the main zone keeps one block for everybody else."
            )
            break
        made += 1
    lost = sum(zone.pages for zone in machine.zones if zone is not main) - made * wanted
    yield step(
        machine,
        f"{made} container{'s' * (made != 1)} of {mib} MiB each: together they asked for {made * wanted:,} pages and hold "
        f"{made * wanted + lost:,}. {lost:,} pages, {100 * lost / max(1, made * wanted + lost):.0f}%, are lost to rounding.{short}",
    )

    for container in list(machine.containers):
        machine.exit(container)
    yield step(
        machine,
        f"The containers end, and their zones go back to the main zone: {main.free_pages:,} pages in {len(main.blocks)} blocks, as at boot.",
    )
