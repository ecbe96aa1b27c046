"""Be the kernel: somebody leaves, and the question is what comes back, what stays, and who pays from then on."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

from zonelab.machine import Machine
from zonelab.story.ask import Ask
from zonelab.story.controls import Seed
from zonelab.story.scenario import Step, scenario, step


def zone_names(machine: Machine) -> set[str]:
    return {zone.name for zone in machine.zones if zone.role != "main" and zone.owner is None}


@scenario("Be the kernel: what comes back?")
def leavers(seed: Any = Seed(1)) -> Generator[Step, None, None]:
    """A task exits, then its container, then the last one of a set: say what is free, what is an orphan, who is charged."""
    dice = random.Random(f"leavers {seed}")
    machine = Machine(nodes=1, node_mib=64)
    first, last = dice.sample(["web", "db", "mail", "shop"], 2)
    one, other = machine.container(first, private_mib=8), machine.container(last, private_mib=4)
    pair = machine.container_set("pair", [one, other], shared_mib=4)
    assert one.private and other.private and pair.shared
    server, base = machine.task(one, "server"), machine.task(other, "base")
    heap = machine.mmap(server, pages=dice.randrange(500, 900), name="heap")
    machine.touch(heap, 0, heap.pages)
    machine.fork(server, "worker")
    written = dice.randrange(50, 300)
    machine.touch(heap, 0, written)
    count = dice.randrange(100, 400)
    files = machine.file("files", pages=count)
    machine.read(server, files, 0, count)
    store = machine.mmap(base, pages=dice.randrange(100, 400), name="store")
    machine.touch(store, 0, store.pages)
    yield step(
        machine,
        f"{first} and {last} are a set. In {first} the server wrote a heap of {heap.pages} pages, forked worker, and wrote to "
        f"{written} of the pages again. It read {count} pages of files: they lie in pair.shared. {last} has a store of {store.pages}.",
    )

    freed = machine.exit(server)
    yield step(
        machine,
        f"The server exits: {freed} pages come back. The rest of the heap is worker's as well.",
        Ask(
            f"The task server exits; worker, its child, goes on, and so does {first}. How many pages are free after it?",
            freed,
            kind="number",
            feedback={
                str(
                    heap.pages
                ): "worker has inherited the heap as it was at the fork. Only copies made since are the server's alone.",
                str(freed + count): "The files stay: page cache does not belong to the task that read it.",
                "0": f"The server had copies of its own: the {written} pages that it wrote to after the fork.",
            },
            otherwise="Which pages has nobody but the server?",
            why=f"After the fork it wrote to {written} pages, and got a copy of each. Those were its own; all else has other users.",
            key=f"leavers/{seed}/1",
        ),
    )

    freed = machine.exit(one, merge=False)
    yield step(
        machine,
        f"{first} exits: {freed} pages come back at once.",
        Ask(
            f"Now the container {first} exits, with worker. It is charged for {heap.pages + count} pages. How many come back?",
            freed,
            kind="number",
            feedback={
                str(heap.pages + count): "The files stay in the page cache; only the bill for them goes elsewhere.",
                str(
                    heap.pages - written
                ): "worker still had the old version of those pages, too: each of the two had one.",
                "0": "worker's memory is private to it, so it comes back.",
            },
            otherwise="All that was private to its last task; nothing that has a name.",
            why=f"The heap as worker had it: {heap.pages} pages. The {count} pages of files stay.",
            key=f"leavers/{seed}/2",
        ),
    )

    options = (f"{first}.private", "pair.shared", "both of them", "neither")
    orphaned = zone_names(machine)
    answer = f"{first}.private" if orphaned == {f"{first}.private"} else "neither"
    words = {
        "pair.shared": f"The set still has a member, {last}; its zone is in use.",
        "both of them": f"The set lives as long as one of its members does, and {last} does.",
        "neither": f"{first}.private had one owner, and that is gone.",
    }
    yield step(
        machine,
        f"Orphans: {', '.join(sorted(orphaned))}. The set pair has one member left.",
        Ask(
            "Nothing is merged yet. Which zones are orphans now?",
            answer,
            options,
            feedback=words,
            why="A zone is an orphan when its owner is gone. The shared zone belongs to the set.",
            key=f"leavers/{seed}/3",
        ),
    )
    for zone in [zone for zone in machine.zones if zone.name in orphaned]:
        machine.merge(zone)

    here = machine.root.charged
    payer = "root" if here == count else last
    machine.exit(other, merge=False)
    orphaned = zone_names(machine)
    yield step(
        machine,
        f"{last} exits, too. Orphans: {', '.join(sorted(orphaned))}; the {count} pages of files lie in pair.shared and are charged to "
        f"root: {machine.root.charged} pages.",
        Ask(
            f"{first}.private was merged. {last} will exit as well. Who is charged for the {count} pages of files before that?",
            payer,
            (first, last, "root"),
            feedback={
                first: "Its account was closed when it exited; in our machine nobody pays who is not there.",
                last: "It is in the same set, but never had these pages allocated. Being a neighbour costs nothing.",
            },
            why="What outlives its account is reparented to root.",
            key=f"leavers/{seed}/4",
        ),
    )
    live = {zone.name: zone.used for zone in machine.zones if zone.name in orphaned}
    for zone in [zone for zone in machine.zones if zone.name in orphaned]:
        machine.merge(zone)
    total = sum(live.values())
    yield step(
        machine,
        f"Both orphans are merged. {total} pages in use change zones with their blocks, and stay at their pfns.",
        Ask(
            f"Now {' and '.join(sorted(orphaned))} are merged into the main zone. How many pages in use lie in the main zone then?",
            machine.nodes[0].main.used,
            kind="number",
            feedback={"0": "The files are still in memory. They do not move, and they do not go away."},
            otherwise="Everything that is still in use on this machine.",
            why=f"The {count} pages of files: nothing else has outlived the two.",
            key=f"leavers/{seed}/5",
        ),
    )
