"""The stories of unit 08: a neighbour streams a film through a shared zone; and a shrinker that cannot aim."""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import Any, Literal

from zonelab.machine import Corrected, Machine
from zonelab.machine.slab import PER_PAGE
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider, Toggle
from zonelab.story.scenario import Step, scenario, step

EXACT, CLOCK = "exact: by last use", "two lists: as Linux"
ORDERS: dict[str, Literal["exact", "clock"]] = {EXACT: "exact", CLOCK: "clock"}


@scenario("Who loses pages?")
def streaming(
    index: Any = Slider(1, 6, 1, 4, "web uses again and again"),
    film: Any = Slider(1, 16, 1, 8, "db reads once"),
    order: Any = Choice((EXACT, CLOCK), EXACT, "who goes first"),
    shared: Any = Toggle(True, "files in the shared zone"),
) -> Generator[Step, None, None]:
    """web has a working set; db reads something large, once, through the same zone or through its own."""
    policy = Corrected(cache_key="set" if shared else "container")
    machine = Machine(nodes=1, node_mib=64, policy=policy, lru=ORDERS[order])
    web, db = machine.container("web", private_mib=8), machine.container("db", private_mib=8)
    pair = machine.container_set("pair", [web, db], shared_mib=8)
    zone = pair.shared if shared else web.private
    assert zone is not None
    server, player = machine.task(web, "server"), machine.task(db, "player")
    yield step(
        machine,
        f"web and db are a set; each of the three zones has {zone.pages:,} pages. Pages of files go to "
        + ("the shared zone." if shared else "the zone of the container that reads."),
    )

    book, movie = machine.file("index", mib=index), machine.file("film", mib=film)
    machine.read(server, book, pages=book.pages)
    machine.read(server, book, pages=book.pages)
    yield step(
        machine,
        f"web reads its index, {book.pages:,} pages, and then again: the second time everything is there. {zone.name} has "
        f"{zone.free_pages:,} free pages left.",
    )

    place = pair.shared if shared else db.private
    assert place is not None
    room = min(movie.pages, place.free_pages - place.low)
    machine.read(player, movie, 0, room)
    yield step(
        machine,
        f"db begins to read a film of {movie.pages:,} pages, each of them once. The first {room:,} find free pages in {place.name}.",
    )

    at = room
    if at < movie.pages:
        some = min(32, movie.pages - at)
        machine.read(player, movie, at, some)
        at += some
        mine, own = machine.interference[("web", "db")], machine.interference[("db", "db")]
        answer = "web" if mine else "db"
        yield step(
            machine,
            f"{place.name} is down to its low watermark, so for the next {some} pages of the film others have to go: {mine} of web's index, {own} of "
            "the film itself.",
            Ask(
                f"{place.name} is down to its low watermark. web has used its index twice, some time ago; db has read each page of the film once, a "
                "moment ago. Whose pages are dropped for the next ones?",
                answer,
                ("web", "db"),
                feedback={
                    "web": "Not here: "
                    + (
                        "pages that were used twice are on the active list, and that is spared."
                        if shared
                        else "it has no pages in that zone."
                    ),
                }
                if answer == "db"
                else {
                    "db": "By last use, the index is the oldest. That it will be needed again, and the film will not, is not written on a page."
                },
                why="Reclaim takes what was used longest ago, or seems to be; it does not know whose fault the shortage is.",
            ),
        )
        while at < movie.pages:  # as it would be read: in pieces
            part = min(64, movie.pages - at)
            machine.read(player, movie, at, part)
            at += part
    mine, own = machine.interference[("web", "db")], machine.interference[("db", "db")]
    yield step(
        machine,
        f"db has seen the film. {mine:,} of web's pages were dropped because of db, and {own:,} of db's own.",
    )

    before = machine.refaults["web"]
    machine.read(server, book, pages=book.pages)
    back = machine.refaults["web"] - before
    share = "none of it" if not back else "all of it" if back == book.pages else "a part of it"
    options = ("none of it", "a part of it", "all of it")
    why = {
        "none of it": "Nothing of it was dropped.",
        "a part of it": "Some was dropped, and the reading itself dropped nothing that was still to come.",
        "all of it": "All of it had been dropped."
        if mine >= book.pages
        else "Reading what is missing drops what will be needed next: a loop that is a little too long gains nothing.",
    }
    yield step(
        machine,
        f"web reads its index once more: {back:,} of {book.pages:,} pages are not there and come from the disk again. Refaults are what the "
        "neighbour's film costs web.",
        Ask(
            f"{mine:,} pages of web's index, which has {book.pages:,}, were dropped because of db. web now reads all of it, from beginning to "
            "end. How much has to come from the disk again?",
            share,
            options,
            feedback={option: f"It was {back:,} of {book.pages:,} pages." for option in options if option != share},
            why=why[share],
        ),
    )


@scenario("A shrinker that cannot aim")
def dentries(
    reach: Any = Choice(("global", "node", "zone"), "global", "the shrinker sees"),
    wanted: Any = Slider(1, 24, 1, 8, "wanted in web’s zone", "pages"),
    turns: Any = Slider(1, 42, 1, 7, "names in a row, up to", ""),
) -> Generator[Step, None, None]:
    """Three containers look up names; then some pages are wanted back, in one zone."""
    machine = Machine(nodes=2, node_mib=32)
    web, db = machine.container("web", private_mib=8), machine.container("db", private_mib=8)
    far = machine.container("far", node=1, private_mib=8)
    tasks = [machine.task(one, one.name) for one in (web, db, far)]
    assert web.private is not None
    yield step(
        machine,
        f"Three containers, the third on node 1. Each name of a file that is looked up leaves a dentry, and {PER_PAGE} dentries fit in a page.",
    )

    dice = Random(8)
    total = 0
    while total < 60 * PER_PAGE:
        for task in tasks:
            total += len(machine.dentries(task, dice.randrange(1, turns + 1)))
    machine.lookup_dentries(sorted(dice.sample(range(total), total // 3)))
    cache = machine._dentries
    pages = {zone.name: sum(machine.zone_of(pfn) is zone for pfn in cache.filled) for zone in machine.zones}
    where = ", ".join(f"{count} in {name}" for name, count in pages.items() if count)
    yield step(
        machine,
        f"They look up names by turns, up to {turns} in a row, {total:,} in all, and a third of them again later. A dentry goes where a place "
        f"is free, perhaps in a page that was begun for somebody else. {len(cache.filled)} pages: {where}.",
    )

    sees = {"global": "all dentries of the machine", "node": "those on the node", "zone": "those in the zone"}[reach]
    done = machine.shrink_dentries(web.private, wanted, reach)
    need = wanted * PER_PAGE
    off = abs(need - done.objects) > max(5, done.objects // 10)
    aimed = (
        {str(need): "So many fit in the pages wanted; but the oldest ones do not lie in these pages alone."}
        if off
        else {}
    )
    yield step(
        machine,
        f"{wanted} pages are wanted back in {web.private.name}. The shrinker sees {sees}, throws away "
        f"{done.objects:,} dentries, oldest first, and frees {done.pages} pages, {done.wanted_there} of them where they were wanted. {need:,} would "
        "have been enough, had they lain together.",
        Ask(
            f"{wanted} pages are wanted back in {web.private.name}; that is room for {need:,} dentries. The shrinker sees "
            f"{sees}, oldest first. How many will it throw away? (There are {total:,}; within a tenth is close enough.)",
            done.objects,
            kind="number",
            within=max(5, done.objects // 10),
            feedback=aimed,
            otherwise="Think of how many zones the oldest dentries are spread over, and that a page comes back when its last dentry is gone.",
            why="A page is free only when all dentries in it are gone, and the oldest of the machine lie everywhere.",
        ),
    )
    yield step(
        machine,
        f"{total - done.objects:,} of {total:,} dentries are left. Every name that was thrown away in vain will be looked up on the disk again.",
    )
