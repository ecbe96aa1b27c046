"""The stories of unit 08: a neighbour streams a film through a shared zone; and a shrinker that cannot aim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from random import Random
from typing import Any, Literal

import numpy as np

from zonelab.machine import Corrected, Machine
from zonelab.machine.memory import Mapping
from zonelab.machine.pages import ACTIVE
from zonelab.machine.reclaim import reclaimable
from zonelab.machine.slab import PER_PAGE
from zonelab.machine.zone import Zone
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider, Toggle
from zonelab.story.scenario import Step, scenario, step

EXACT, CLOCK = "exact: by last use", "two lists: as Linux"
ORDERS: dict[str, Literal["exact", "clock"]] = {EXACT: "exact", CLOCK: "clock"}


@scenario("Who loses pages?")
def streaming(
    index: Any = Slider(1, 6, 1, 4, "web uses again and again"),
    film: Any = Slider(1, 16, 1, 6, "db reads once"),
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
    brought = machine.conserved()[2]
    for _ in range(2):
        machine.read(server, book, pages=book.pages)
    promoted = int((machine.pages.flags[book.cache] & ACTIVE > 0).sum())
    yield step(
        machine,
        f"web reads its index, {brought:,} pages, and then twice more: everything is there. {zone.name} has "
        f"{zone.free_pages:,} free pages left."
        + (f" Used again and again, {promoted:,} pages are on the active list now." if promoted else ""),
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
                f"{place.name} is down to its low watermark. web has used its index three times, some time ago; db has read each page of the film "
                "once, a moment ago. Whose pages are dropped for the next ones?",
                answer,
                ("web", "db"),
                feedback={
                    "web": "Not here: "
                    + (
                        "pages that were used again and again are on the active list, and the others go first."
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
        f"db has seen the film. {mine:,} of web's pages were dropped because of db, and {own:,} of db's own. {cached(movie):,} pages of the film "
        "are in memory still, and nobody will look at them again.",
    )

    before = machine.refaults["web"]
    machine.read(server, book, pages=book.pages)
    back = machine.refaults["web"] - before
    share = "none of it" if not back else "all of it" if back == book.pages else "a part of it"
    options = ("none of it", "a part of it", "all of it")
    why = {
        "none of it": "Nothing of it was dropped.",
        "a part of it": "What was dropped"
        + (", and what the reading itself dropped before its turn came." if back > mine else ", and no more."),
        "all of it": "All of it had been dropped."
        if mine >= book.pages
        else "Reading what is missing drops what will be needed next: a loop that is a little too long gains nothing.",
    }
    yield step(
        machine,
        f"web reads its index once more: {back:,} of {book.pages:,} pages come from the disk again. "
        + (
            f"{mine:,} were gone, and to make room for them reclaim dropped those that were to be read next. "
            if back > mine
            else ""
        )
        + "Refaults are what db's film costs web.",
        Ask(
            f"{mine:,} pages of web's index, which has {book.pages:,}, were dropped because of db. web now reads all of it, from beginning to "
            "end. How much has to come from the disk again?",
            share,
            options,
            feedback={option: f"It was {back:,} of {book.pages:,} pages." for option in options if option != share},
            why=why[share],
        ),
    )

    before = machine.refaults["web"]
    machine.read(server, book, pages=book.pages)
    again = machine.refaults["web"] - before
    yield step(
        machine,
        f"The film is over, and web reads its index yet again: {again:,} refaults. "
        + (f"The {back:,} were the price of one film, and web paid it." if back else "It never lost anything."),
    )


def cached(file: Mapping) -> int:
    """Pages of a file that are in memory."""
    return int((file.cache >= 0).sum())


def queue(machine: Machine, zone: Zone) -> list[str]:
    """Whose pages lie in a zone, in the order in which reclaim comes to them: by age, those on the active list last."""
    pfns = reclaimable(machine, zone)
    active = machine.pages.flags[pfns] & ACTIVE > 0
    order = np.lexsort((machine.pages.stamp[pfns], active))
    names = [account.name if account else "nobody" for account in machine.accounts]
    return [names[owner] for owner in machine.pages.owner[pfns[order]].tolist()]


def queues(**values: Any) -> dict[str, list[str]]:
    """Step of *Who loses pages?* → whose pages lie in the zone of web's index, those that go first at the beginning."""
    given = streaming.values(values)
    name = "pair.shared" if given["shared"] else "web.private"
    out = {}
    for number, now in enumerate(streaming.story(**given), 1):
        zone = next(one for one in now.machine.zones if one.name == name)
        out[f"step {number}"] = queue(now.machine, zone)
    return out


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
    zone = web.private
    assert zone is not None
    yield step(
        machine,
        f"Three containers, the third on node 1. Each name of a file that is looked up leaves a dentry, and {PER_PAGE} dentries fit in a page.",
    )

    dice = Random(8)
    who: list[str] = []
    while len(who) < 60 * PER_PAGE:
        for task in tasks:
            who += [task.name] * len(machine.dentries(task, dice.randrange(1, turns + 1)))
    total = len(who)
    cache = machine._dentries
    pages = {one.name: sum(machine.zone_of(pfn) is one for pfn in cache.filled) for one in machine.zones}
    where = ", ".join(f"{count} in {name}" for name, count in pages.items() if count)
    strangers = sum(who[one] != "web" for one, pfn in cache.page_of.items() if machine.zone_of(pfn) is zone)
    yield step(
        machine,
        f"They look up names by turns, up to {turns} in a row, {total:,} in all. A dentry goes where a place is free, perhaps in a page that "
        f"was begun for somebody else. {len(cache.filled)} pages: {where}. Of the dentries in {zone.name}, {strangers:,} are not web's.",
    )

    again = sorted(dice.sample(range(total), total // 3))
    machine.lookup_dentries(again)
    yield step(
        machine,
        f"{len(again):,} of the names, here and there, are looked up again: they are the youngest now. Old and young lie side by side in "
        "the same pages.",
    )

    had = sum(machine.zone_of(pfn) is zone for pfn in cache.filled)
    sees = {"global": "all dentries of the machine", "node": "those on the node", "zone": "those in the zone"}[reach]
    done = machine.shrink_dentries(zone, wanted, reach)
    need = wanted * PER_PAGE
    near = max(5, done.objects // 10)
    aimed = (
        {str(need): "So many fit in the pages wanted; but the oldest ones do not lie in these pages alone."}
        if abs(need - done.objects) > near
        else {}
    )
    yield step(
        machine,
        f"{wanted} pages are wanted back in {zone.name}, which has {had}. The shrinker sees {sees}, throws away "
        f"{done.objects:,} dentries, oldest first, and frees {done.pages} pages, {done.wanted_there} of them where they were wanted. {need:,} would "
        "have been enough, had they lain together.",
        Ask(
            f"{wanted} pages are wanted back in {zone.name}; that is room for {need:,} dentries. The shrinker sees "
            f"{sees}, oldest first. How many will it throw away? (There are {total:,}; within a tenth is close enough.)",
            done.objects,
            kind="number",
            within=near,
            feedback=aimed,
            otherwise="Think of how many zones the oldest dentries are spread over, and that a page comes back when its last dentry is gone.",
            why="A page is free only when all dentries in it are gone, and old and young ones share pages.",
        ),
    )

    gone = Counter(name for one, name in enumerate(who) if one not in cache.page_of)
    yield step(
        machine,
        f"Whose names were they? {', '.join(f'{gone[name]:,} of {name}' for name in ('web', 'db', 'far'))}. "
        f"Whoever needs one of them again looks it up on the disk, so that {done.wanted_there} page{'s' * (done.wanted_there != 1)} of web's "
        "zone could be freed.",
    )

    left, slots = len(cache.page_of), len(cache.filled) * PER_PAGE
    yield step(
        machine,
        f"{left:,} of {total:,} dentries are left. They keep {len(cache.filled)} pages, in which {slots:,} would find room: the gaps are of use "
        "for further dentries, and for nothing else."
        if left
        else f"Not one of the {total:,} dentries is left: that is the only way to be sure that a page comes back.",
    )


def slab_pages(**values: Any) -> list[dict[str, int]]:
    """The slab pages of web's zone before the shrinker came, by pfn: of each, how many dentries are *left* and how many *thrown away*."""
    given = dentries.values(values)
    steps = dentries.story(**given)
    for _ in range(3):
        now = next(steps)
    machine = now.machine
    zone = next(one for one in machine.zones if one.name == "web.private")
    before = {pfn: count for pfn, count in sorted(machine._dentries.filled.items()) if machine.zone_of(pfn) is zone}
    next(steps)
    after = machine._dentries.filled
    steps.close()
    return [{"left": after.get(pfn, 0), "thrown away": count - after.get(pfn, 0)} for pfn, count in before.items()]
