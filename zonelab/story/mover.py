"""Be the kernel: a page, somebody who moves, and the question whether the page goes along."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

from zonelab.machine import Machine
from zonelab.machine.container import Container, Task
from zonelab.machine.migrate import MovePlan
from zonelab.story.ask import Ask
from zonelab.story.controls import Seed
from zonelab.story.scenario import Step, scenario, step

ROUNDS = 5
MOVES, SHARED, PINNED, KERNEL, ZONE = (
    "it moves",
    "it stays: a task that stays uses it, too",
    "it stays: a device holds its pfn",
    "it stays: the kernel points to it",
    "it stays: it lies in a zone that stays",
)
REASONS = {"shared with": SHARED, "pinned": PINNED, "slab": KERNEL, "lies in": ZONE}
WHY_NOT = {
    SHARED: "No task that stays has it in its page table.",
    PINNED: "Nobody has told a device about its pfn.",
    KERNEL: "It is found through page tables, which can be changed, not through pointers inside the kernel.",
    ZONE: "It lies in web's own zone.",
}
WHY = {
    MOVES: "Only those who move use it, and nobody holds on to its frame: it is copied, and the page tables name the new frame.",
    SHARED: "The other task has the same frame in its page table, and stays: the page is left where both can use it.",
    PINNED: "A device writes to the frame itself, whatever page tables say. Until it is done, the page cannot be copied.",
    KERNEL: "Kernel memory is used through its address. Nobody knows all the pointers that would have to be changed.",
    ZONE: "Page cache lies in the set's shared zone. That zone is not web's, and db may want the page tomorrow.",
}


def verdict(plan: MovePlan, pfn: int) -> str:
    """What a plan says of a page, as one of the options."""
    if pfn in plan.moving:
        return MOVES
    (why,) = [why for why, pfns in plan.staying.items() if pfn in pfns]
    return next(option for words, option in REASONS.items() if why.startswith(words))


@scenario("Be the kernel: does this page move?")
def movers(seed: Any = Seed(1)) -> Generator[Step, None, None]:
    """Say of single pages whether they go along when a container, or one of its tasks, moves."""
    dice = random.Random(f"movers {seed}")
    machine = Machine(nodes=2, node_mib=64)
    web, db = machine.container("web", private_mib=8), machine.container("db", private_mib=4)
    machine.container_set("pair", [web, db], shared_mib=4)
    server = machine.task(web, "server")
    arena = machine.mmap(server, pages=dice.randrange(200, 400), name="arena")
    machine.touch(arena, 0, arena.pages)
    machine.fork(server, "worker")
    heap = machine.mmap(server, pages=dice.randrange(300, 500), name="heap")
    machine.touch(heap, 0, heap.pages)
    machine.pin(heap, 0, 64)
    machine.touch(arena, 0, 100)  # of these the server has copies now
    library = machine.mmap(server, file=machine.file("library", pages=256), name="library")
    machine.touch(library, 0, 256, write=False)
    machine.touch(library, 0, 64)
    machine.dentries(server, 400)
    names = int((machine.pages.mapping == 1).nonzero()[0][0])
    yield step(
        machine,
        "web has two tasks, server and worker, a child of it. db is in one set with web. All of it is on node 0, and node 1 is "
        "empty. Somebody moves there: which pages go along?",
    )
    page = {  # VMA, from which page to which, in words
        "heap": (heap, 64, heap.pages, "of the server's heap, which it mapped after the fork"),
        "buffer": (heap, 0, 64, "of the server's heap that a network card is writing to"),
        "arena": (arena, 100, arena.pages, "of the arena, untouched since server forked worker"),
        "copy": (arena, 0, 100, "of the arena that server has written to since it forked worker"),
        "library": (library, 64, 256, "of the library that server has read and db has not"),
        "own": (library, 0, 64, "of the library, mapped privately, that server has written to"),
    }
    both: tuple[Container | Task, ...] = (web, server)
    going = [(both[0], "arena"), *((who, what) for who in both for what in ("heap", "copy", "own"))]
    staying = [(both[1], "arena"), (both[0], "names"), *((who, what) for who in both for what in ("buffer", "library"))]
    chosen = dice.sample(going, 2) + dice.sample(staying, ROUNDS - 2)
    dice.shuffle(chosen)
    for number, (who, what) in enumerate(chosen, 1):
        plan = machine.plan_move(who, 1)
        if what == "names":
            pfn, told = names, "of dentries: names of files that server looked up"
        else:
            vma, first, end, told = page[what]
            pfn = int(vma.table[dice.randrange(first, end)])
        answer = verdict(plan, pfn)
        mover = "The container web moves" if who is web else "Only the task server moves, worker stays"
        ask = Ask(
            f"Round {number} of {ROUNDS}. {mover}. What happens to pfn {pfn:,}, a page {told}?",
            answer,
            (MOVES, *WHY_NOT),
            feedback={option: WHY_NOT.get(option, WHY[answer]) for option in (MOVES, *WHY_NOT) if option != answer},
            why=WHY[answer],
            key=f"movers/{seed}/{number}",
        )
        yield step(
            machine,
            f"{mover}: {plan.pages:,} pages would be copied, {plan.stayed:,} would stay. Of pfn {pfn:,}: {answer}.",
            ask,
        )
