"""The story of unit 10: a server runs on the wrong node, and its memory is to follow it (C19).

First the plan, then the wall it may run into, then the move page by page, called off once and finished once. The second story
prices it: the same work done twice, with far memory and after a move.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from zonelab.errors import BadRequest
from zonelab.machine import Costs, Machine
from zonelab.machine.container import Container
from zonelab.machine.migrate import MovePlan
from zonelab.machine.pages import BLOCK, PINNED
from zonelab.story.ask import Ask, called
from zonelab.story.controls import Choice, Slider
from zonelab.story.scenario import Step, scenario, step

EMPTY, FULL, PIECES = "empty", "nearly full", "in pieces"
NODE_MIB = 128
LEFT_MIB = 12
"""What the neighbour leaves free on a nearly full node 1."""
EVERY = 4
"""In pieces: of so many blocks one holds a page of the neighbour."""

BEGINS, TOO_FULL, TOO_FRAGMENTED = (
    "it begins: there is room",
    "it is refused: too few pages are free",
    "it is refused: the free pages lie in pieces",
)


def pages(count: int) -> str:
    return f"{count:,} page{'s' * (count != 1)}"


def neighbour(machine: Machine, state: str) -> Container:
    """A container without a zone that has used node 1 before web comes."""
    batch = machine.container("batch", node=1, private_mib=0)
    if state == EMPTY:
        return batch
    data = machine.mmap(machine.task(batch, "job"), mib=NODE_MIB - (LEFT_MIB if state == FULL else EVERY), name="data")
    machine.touch(data, 0, data.pages)
    if state == PIECES:
        kept = np.flatnonzero(data.table % (EVERY * BLOCK) == 0)
        for first, last in zip([-1, *kept.tolist()], [*kept.tolist(), data.pages], strict=True):
            if last - first > 1:
                machine.discard(data, first + 1, last - first - 1)
    return batch


def why_stays(plan: MovePlan) -> str:
    """The reasons of a plan in one clause."""
    words = []
    for why, pfns in plan.staying.items():
        words.append(f"{len(pfns):,} {'are pinned' if why.startswith('pinned') else 'are shared with db'}")
    return " and ".join(words) + ", and stay" if words else "none has to stay"


def asked_how_many(plan: MovePlan, heap: int, shared: int, pinned: int) -> Ask:
    wrong = {
        heap + shared: "Those are all pages that web uses. Some of them others hold on to, or use as well.",
        heap: "The whole heap; but what a device has pinned has to stay at its pfn.",
        heap + shared - pinned: "The shared pages would be torn away from db, which stays on node 0.",
    }
    return Ask(
        f"The server uses {pages(heap + shared)}: {heap:,} of its heap, {shared:,} shared with db; {pinned:,} of the heap are pinned. "
        "How many will be copied to node 1?",
        plan.pages,
        kind="number",
        feedback={str(n): word for n, word in wrong.items() if n != plan.pages},
        otherwise="Count the pages that only web uses, and of those the ones that nobody has pinned.",
        why=f"{heap:,} of the heap, less {pinned:,} pinned: {plan.pages:,}. What db uses as well stays where db can reach it cheaply.",
    )


def asked_begins(plan: MovePlan, free: int) -> Ask:
    answer = BEGINS if not plan.problem else TOO_FULL if "too full" in plan.problem else TOO_FRAGMENTED
    wrong = {
        BEGINS: f"Enough pages are free, but a zone is made of whole blocks in one stretch, and at most {plan.longest} lie in a row."
        if answer == TOO_FRAGMENTED
        else "Too few blocks are free on node 1 for a zone of that size.",
        TOO_FULL: f"{free:,} pages are free there: more than the move needs."
        if free >= plan.pages
        else "What counts is not pages but whole blocks, and of those enough are free.",
        TOO_FRAGMENTED: f"{plan.longest} free blocks lie in one stretch, and {plan.blocks} are needed."
        if answer == BEGINS
        else "Even if they all lay together, they would be too few.",
    }
    wrong.pop(answer)
    return Ask(
        f"web's zone on node 1 needs {plan.blocks} blocks of 4 MiB next to each other. {free:,} pages are free on node 1, "
        f"{free // BLOCK} blocks' worth. What does the machine say to the move?",
        answer,
        (BEGINS, TOO_FULL, TOO_FRAGMENTED),
        feedback=wrong,
        why=f"The longest stretch of wholly free blocks on node 1 has {plan.longest}; {plan.blocks} are needed.",
    )


@scenario("A container moves house")
def migration(
    heap_mib: Any = Slider(4, 40, 4, 16, "the server's heap"),
    shared_mib: Any = Slider(0, 16, 2, 4, "shared with db"),
    pinned: Any = Slider(0, 512, 64, 64, "pinned", "pages"),
    target: Any = Choice((PIECES, FULL, EMPTY), PIECES, "node 1 is"),
) -> Generator[Step, None, None]:
    """A plan, a refusal perhaps, a move called off, a move done; and what stays behind each time."""
    machine = Machine(nodes=2, node_mib=NODE_MIB)
    web = machine.container("web", private_mib=heap_mib + 4)
    db = machine.container("db", private_mib=8)
    machine.container_set("pair", [web, db], shared_mib=20)
    server, base = machine.task(web, "server"), machine.task(db, "base")
    batch = neighbour(machine, target)
    there = machine.nodes[1].main
    yield step(
        machine,
        f"web and db live on node 0, in zones of their own, and share pair.shared. Node 1 is {target}: {there.free_pages:,} of its "
        f"{there.pages:,} pages are free, and at most {machine.nodes[1].longest_free_stretch()} free blocks lie in a row.",
    )

    heap = machine.mmap(server, mib=heap_mib, name="heap")
    machine.touch(heap, 0, heap.pages)
    home = machine.zone_of(int(heap.table[0]))
    shared = shared_mib * 256
    yield step(
        machine,
        f"The server writes to its heap: {pages(heap.pages)}, all in {home}, from pfn {int(heap.table[0]):,} on.",
    )

    if shared:
        tables = machine.file("tables", pages=shared)
        for task in (base, server):
            machine.touch(machine.mmap(task, file=tables, shared=True, name="tables"), 0, shared)
        told = f"db and the server map the same file: {pages(shared)} in pair.shared, in the page tables of both."
    else:
        told = "Nothing is shared in this run: no page of the server is in anybody else's page table."
    yield step(machine, told)

    if pinned:
        machine.pin(heap, 0, pinned)
        told = (
            f"A network card is told to write into the first {pages(pinned)} of the heap. It knows nothing of page tables, only "
            "pfns: those pages are pinned."
        )
    else:
        told = "No device knows a pfn of the heap in this run, so nothing is pinned."
    yield step(machine, told)

    server.node = 1  # as the scheduler does it: nothing about memory changes with it
    before = server.remote
    for vma in server.vmas:
        machine.touch(vma, 0, vma.pages, write=False)
    used = heap.pages + shared
    yield step(
        machine,
        f"Node 0 is busy, so the scheduler runs the server on node 1. That moves no memory: it reads all its pages once, and all "
        f"{server.remote - before:,} reads go to the other node, at distance {machine.distances[1][0]} instead of 10.",
    )

    plan = machine.plan_move(web, 1)
    yield step(
        machine,
        f"The plan for moving web: of {pages(used)}, {plan.pages:,} are copied; {why_stays(plan)}. A new zone of {plan.blocks} "
        "neighbouring blocks is needed on node 1. Nothing has happened yet.",
        asked_how_many(plan, heap.pages, shared, pinned),
    )

    ask: Ask | None = asked_begins(plan, there.free_pages)
    if plan.problem:
        digest = machine.digest()
        try:
            machine.move(web, 1)
        except BadRequest as problem:
            same = "Not one bit of the machine has changed" if machine.digest() == digest else "The machine has changed"
            yield step(machine, f"Refused: {problem}. {same}.", ask)
        fits = there.free_pages - there.min >= plan.pages
        yield step(
            machine,
            f"Without zones the pages could go one by one to any free frames, and {there.free_pages:,} are free on node 1: "
            + (
                f"all {plan.pages:,} would fit. It is the zone, not the data, that needs a stretch."
                if fits
                else "even so, too few."
            ),
        )
        gone = machine.exit(batch)
        plan = machine.plan_move(web, 1)
        yield step(
            machine,
            f"batch ends. Its {pages(gone)} come back, buddies are joined, and {plan.longest} free blocks lie in a row: "
            f"{'enough for' if not plan.problem else 'still too few for'} {plan.blocks}.",
        )
        ask = None
    if plan.problem:
        return

    table = heap.table.copy()
    steps = machine.moving(web, 1, step=min(256, plan.pages))
    progress = next(steps)
    new = machine.zone_of(int(progress.target[0]))
    yield step(
        machine,
        f"The new zone {new} is carved, and the first {pages(progress.done)} of {progress.total:,} are over: pfn "
        f"{int(progress.source[0]):,} went to {int(progress.target[0]):,}, and so on. Both zones exist now: a move needs room twice.",
        ask,
    )
    steps.close()
    back = "each at the pfn it came from" if (heap.table == table).all() else "though not all at their old pfns"
    yield step(
        machine,
        f"The administrator calls it off. The {pages(progress.done)} go back, {back}, and {new} is merged: as if nothing had been.",
    )

    steps = machine.moving(web, 1, step=-(-plan.pages // 3))
    progress = next(steps)
    progress = next(steps, progress)
    yield step(
        machine,
        f"Second try: {progress.done:,} of {progress.total:,} pages are over. The server may go on meanwhile; its page table names "
        "the new frame as soon as a page is copied.",
    )
    progress = [progress, *steps][-1]
    first = int(heap.table[0])
    where = machine.zone_of(first)
    stuck = machine.pages.flags[first] & PINNED > 0
    wrong = {
        called(new): "That page is pinned: the card goes on writing to the old pfn, so it could not be copied."
        if stuck
        else "",
        called(machine.nodes[0].main): "" if stuck else "Nobody has pinned it, so it was copied like the others.",
        called(home): "In that frame, yes; but the zone around it goes when web has a new one."
        if stuck
        else "That was its old zone; there is none of web's on node 0 any more.",
        "db.private": "db's zone has nothing to do with it.",
        "pair.shared": "It is private memory of the server: nothing that the set shares.",
        called(there): "A page of web goes to web's own zone, not to the main zone of the node.",
    }
    yield step(
        machine,
        f"Done: {pages(progress.done)} copied, the old zone merged into the main zone. Page 0 of the heap is at pfn {first:,}, in "
        f"{called(where)}"
        + (": pinned, it stayed, and lies in nobody's zone now." if stuck else ", copied like the rest."),
        Ask(
            "The move will be done, and the old zone merged into the main zone. In which zone does the very first page of the heap "
            "lie then? Click it.",
            called(where),
            kind="zone",
            feedback={name: word for name, word in wrong.items() if word and name != called(where)},
            otherwise="That zone is not there any more.",
            why="A pinned page keeps its pfn. Its zone goes, the page stays, and the main zone has it then."
            if stuck
            else "What is web's alone and not pinned lies in web's new zone.",
        ),
    )

    near, far = server.local, server.remote
    for vma in server.vmas:
        machine.touch(vma, 0, vma.pages, write=False)
    near, far = server.local - near, server.remote - far
    yield step(
        machine,
        f"The server reads all its pages once more: {near:,} reads are near, {far:,} still far. web is charged for "
        f"{pages(web.charged)} as before, wherever they lie; {pages(int((machine.node_of_block[heap.table >> 10] == 0).sum()))} of its "
        "heap stayed on node 0.",
    )
    yield step(
        machine,
        f"Was it worth it? Copying cost {plan.copy_ns / 1e6:.1f} ms in our cost model; each round over the moved pages now saves "
        f"{plan.saved_ns / 1e6:.2f} ms. After {plan.break_even:.0f} rounds the move has paid, and not before.",
    )


STAY, MOVE, SAME = "staying is cheaper", "moving is cheaper", "both cost the same"


@scenario("Stay or move?")
def stay_or_move(
    distance: Any = Slider(11, 40, 1, 20, "distance of the nodes", ""),
    copy_ns: Any = Slider(500, 8000, 500, 2000, "to copy a page", "ns"),
    touches: Any = Slider(1, 60, 1, 12, "touches of each page", ""),
) -> Generator[Step, None, None]:
    """The same work twice: with all memory far away, and after a move."""

    def set_up() -> tuple[Machine, Container, Any]:
        machine = Machine(
            nodes=2, node_mib=32, distances=[[10, distance], [distance, 10]], costs=Costs(copy_page_ns=copy_ns)
        )
        web = machine.container("web", private_mib=8)
        server = machine.task(web, "server")
        heap = machine.mmap(server, pages=BLOCK, name="heap")
        machine.touch(heap, 0, BLOCK)
        server.node, server.access_ns = 1, 0.0
        return machine, web, heap

    machine, web, heap = set_up()
    plan = machine.plan_move(web, 1)
    near, far = (machine.costs.access_ns(d) for d in (10, distance))
    yield step(
        machine,
        f"{BLOCK:,} pages on node 0, and a server on node 1. A touch costs it {far:g} ns; on its own node it would be {near:g} ns.",
    )
    for _ in range(touches):
        machine.touch(heap, 0, BLOCK, write=False)
    stay = heap.task.access_ns
    yield step(machine, f"It stays apart from its memory, and touches each page {touches} times: {stay / 1e6:.2f} ms.")

    machine, web, heap = set_up()
    machine.move(web, 1)
    copy = machine.spent_ns
    yield step(machine, f"The same day once more. Now the memory moves first: {BLOCK:,} copies, {copy / 1e6:.2f} ms.")
    for _ in range(touches):
        machine.touch(heap, 0, BLOCK, write=False)
    move = copy + heap.task.access_ns
    best = STAY if stay < move else MOVE if move < stay else SAME
    other = {
        STAY: f"A copy costs {copy_ns:,} ns a page; {touches} far touches cost only {touches * (far - near):,.0f} ns more than near ones.",
        MOVE: f"{touches} far touches cost {touches * (far - near):,.0f} ns a page more than near ones; the copy is {copy_ns:,} ns.",
        SAME: f"The copy costs as much as {touches} touches lose by the distance.",
    }
    yield step(
        machine,
        f"It touches each page {touches} times, all near: {move / 1e6:.2f} ms with the copies, against {stay / 1e6:.2f} ms. The line is at "
        f"{plan.break_even:.1f} touches of each page.",
        Ask(
            f"Staying took {stay / 1e6:.2f} ms. Copying took {copy / 1e6:.2f} ms, and each of the {touches} touches of a page costs "
            f"{near:g} ns now instead of {far:g}. Which is cheaper in the end?",
            best,
            (STAY, MOVE, SAME),
            feedback={option: other[best] for option in (STAY, MOVE, SAME) if option != best},
            why=other[best],
        ),
    )
