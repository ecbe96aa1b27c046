"""Be the allocator: exercises in which the reader makes the moves, and the simulator judges them.

Each is a story with a seed; another seed gives other numbers. Every right answer, and what is said about a wrong one, is
worked out from the machine as it is at that moment.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

from zonelab.machine import BLOCK, Machine
from zonelab.machine.container import Task
from zonelab.machine.zone import Zone
from zonelab.story.ask import Ask, called
from zonelab.story.controls import Seed
from zonelab.story.scenario import Step, scenario, step

ROUNDS = 5


def lists(zone: Zone, most: int = 6) -> str:
    """The free lists below MAX_ORDER in words, head first."""
    words = []
    for order, area in enumerate(zone.free_area.lists[:-1]):
        heads = [f"{pfn:,}" for pfn in reversed(area)]
        if heads:
            words.append(f"order {order}: {', '.join(heads[:most])}" + (" …" if len(heads) > most else ""))
    return "; ".join(words) or "nothing below order 10"


def crumbled(dice: random.Random) -> tuple[Machine, Task, list[int]]:
    """A small machine whose first block was used for a while: blocks of several orders taken, some given back."""
    machine = Machine(nodes=1, node_mib=16)
    task = machine.task(name="driver")
    taken = [machine.alloc_pages(task, dice.choice([0, 0, 1, 2, 3, 4, 5])) for _ in range(24)]
    dice.shuffle(taken)
    for _ in range(12):
        machine.free_pages(taken.pop())
    return machine, task, taken


@scenario("Be the allocator: which block is split?")
def split(seed: Any = Seed(1)) -> Generator[Step, None, None]:
    """Find the free block that a request will be served from."""
    dice = random.Random(f"split {seed}")
    machine, task, _ = crumbled(dice)
    zone = machine.zones[0]
    yield step(machine, f"A zone that was used for a while. Its free lists, head first: {lists(zone)}.")
    for number in range(1, ROUNDS + 1):
        order = dice.choice([0, 1, 2, 2, 3, 3, 4])
        areas = zone.free_area.lists
        found = next(o for o in range(order, len(areas)) if areas[o])
        head = next(reversed(areas[found]))
        wrong = {}
        for other, area in enumerate(areas):
            for pfn in area:
                if other < order:
                    wrong[str(pfn)] = (
                        f"That block is of order {other}: {1 << other} pages are not enough for order {order}."
                    )
                elif other > found:
                    wrong[str(pfn)] = (
                        f"That one is of order {other}. It would do, but a smaller one does, too: the kernel looks from order "
                        f"{order} upwards and stops at the first list that is not empty, order {found}."
                    )
                elif other == found and pfn != head:
                    wrong[str(pfn)] = (
                        f"The right list, but not its head. The list is a stack: what came last goes first, wherever it lies; "
                        f"the head is pfn {head:,}."
                    )
        question = (
            f"Request {number} of {ROUNDS}: a block of order {order}, {1 << order} page{'s' * (order > 0)}. Click the free block "
            f"that it is taken from. Free lists, head first: {lists(zone)}."
        )
        halves = (
            "it fits as it is"
            if found == order
            else f"its upper halves go back to the lists of order {order} to {found - 1}"
        )
        why = f"Order {found} is the smallest that is free and large enough; the head of its list is pfn {head:,}; {halves}."
        ask = Ask(
            question, head, kind="page", at=head // BLOCK, feedback=wrong, why=why, key=f"split/{seed}/{number}",
            otherwise="That page is in use. Only free blocks are on the lists.",
        )  # fmt: skip
        pfn = machine.alloc_pages(task, order)
        yield step(machine, f"Order {order} is served by pfn {pfn:,}. Free lists now: {lists(zone)}.", ask)


@scenario("Be the allocator: who is the buddy?")
def merge(seed: Any = Seed(1)) -> Generator[Step, None, None]:
    """Free a block, name its buddy, and say what they become."""
    dice = random.Random(f"merge {seed}")
    machine, _, taken = crumbled(dice)
    zone = machine.zones[0]
    yield step(machine, f"Some blocks are in use. Free lists, head first: {lists(zone)}.")
    for number in range(1, ROUNDS + 1):
        merging = [
            pfn
            for pfn in taken
            if pfn ^ (1 << machine.kernel_blocks[pfn]) in zone.free_area.lists[machine.kernel_blocks[pfn]]
        ]
        pfn = dice.choice(merging if merging and number % 2 else taken)
        taken.remove(pfn)
        order = machine.kernel_blocks[pfn]
        size = 1 << order
        buddy = pfn ^ size
        stranger = pfn - size if buddy > pfn else pfn + size
        wrong = {
            str(stranger): (
                f"A neighbour, but no buddy: {stranger:,} and {pfn:,} never were one block of order {order + 1}, for such a block "
                f"begins at a multiple of {2 * size}. The buddy is pfn xor {size}."
            ),
            str(pfn + 1): f"The block is of order {order}, so its buddy is {size} pages away, not one."
            if size > 1
            else "",
        }
        ask = Ask(
            f"Round {number} of {ROUNDS}: the block of order {order} at pfn {pfn:,} is to be freed. At which pfn is its buddy?",
            buddy, kind="number", feedback={k: v for k, v in wrong.items() if v and k != str(buddy)},
            why=f"pfn xor 2^order: {pfn:,} xor {size} = {buddy:,}.", key=f"merge/{seed}/{number}a",
            otherwise=f"Flip one bit of the pfn: {pfn:,} xor {size}.",
        )  # fmt: skip
        yield step(machine, f"The buddy of pfn {pfn:,}, order {order}, is pfn {buddy:,}, order {order}.", ask)
        before = lists(zone)
        end = machine.free_pages(pfn)
        options = tuple(f"order {o}" for o in sorted({order, min(order + 1, 10), end, min(end + 1, 10), 10}))
        wrong = (
            {f"order {order}": "Its buddy is free as a whole and of the same order, so the two merge."}
            if end > order
            else {}
        )
        for o in range(order + 1, end):
            wrong[f"order {o}"] = f"It goes on: the pair of order {o} has a free buddy, too, so it merges again."
        for o in range(end + 1, 11):
            wrong[f"order {o}"] = (
                f"At order {end} it stops: the next buddy is in use, or in pieces, and pieces do not count."
            )
        ask = Ask(
            f"It is freed. Of which order is the free block that it becomes part of? Free lists: {before}.",
            f"order {end}", options, feedback={k: v for k, v in wrong.items() if k in options and k != f"order {end}"},
            why="A freed block merges as long as its buddy is free as a whole.", key=f"merge/{seed}/{number}b",
        )  # fmt: skip
        yield step(machine, f"It is part of a free block of order {end} now. Free lists: {lists(zone)}.", ask)


@scenario("Be the allocator: which zone?")
def route(seed: Any = Seed(1)) -> Generator[Step, None, None]:
    """Follow faults to the zones that serve them."""
    dice = random.Random(f"route {seed}")
    machine = Machine(nodes=2, node_mib=64)
    web = machine.container("web", private_mib=dice.choice([8, 12]))
    db = machine.container("db", private_mib=dice.choice([8, 12]))
    pair = machine.container_set("pair", [web, db], shared_mib=8)
    other = machine.container("batch", node=1, private_mib=8)
    tasks = [
        machine.task(web, "server"),
        machine.task(db, "base"),
        machine.task(other, "job"),
        machine.task(None, "login"),
    ]
    library = machine.file("library", mib=1)
    yield step(machine, "web and db form the set pair; batch is alone on node 1; login runs outside of any container.")
    read = 0
    for number in range(1, ROUNDS + 1):
        task = dice.choice(tasks)
        what = dice.choice(["heap", "library", "copy", "shared memory"])
        if what == "heap":
            vma = machine.mmap(task, pages=64, name="heap")
            deed, offset, write = "writes to a fresh page of its heap", dice.randrange(64), True
        elif what == "shared memory":
            vma = machine.mmap(task, pages=64, shared=True, name="shm")
            deed, offset, write = "writes to a page of memory that it shares (MAP_SHARED)", dice.randrange(64), True
        else:
            vma = machine.mmap(task, file=library, name="library")
            offset, write = read, what == "copy"
            if what == "copy":
                machine.touch(vma, offset, write=False)
                deed = "writes to a page of the library that it has mapped privately and read before"
            else:
                deed = "reads a page of the library that nobody has read before"
            read += 1
        machine.touch(vma, offset, write=write)
        zone = machine.zone_of(int(vma.table[offset]))
        home = task.container.private
        private = what in ("heap", "copy")
        wrong = {called(one): "That zone is not on its zonelist: it belongs to somebody else." for one in machine.zones}
        wrong |= {
            called(node.main): "The main zone is for those who have no zone of their own." for node in machine.nodes
        }
        if pair.shared is not None and task.container.set is pair and private:
            wrong[called(pair.shared)] = (
                "The page is private: nobody else can ever see it, though the file is shared. It comes from the private zone."
            )
        if home is not None and not private:
            wrong[called(home)] = (
                "Others may find this page and use it, too. It is shared data, and goes to the set's zone."
            )
        wrong.pop(called(zone), None)
        where = f"in {task.container.name}" if task.container is not machine.root else "outside of any container"
        ask = Ask(
            f"Fault {number} of {ROUNDS}: {task.name}, {where}, {deed}. Click the zone that the page comes from.",
            called(zone), kind="zone", feedback=wrong, key=f"route/{seed}/{number}",
            why=f"A {'private page goes to the private zone' if private else 'page that others may use goes to the shared zone'}; "
            f"without such a zone, to what there is: here {called(zone)}.",
        )  # fmt: skip
        yield step(machine, f"{task.name} {deed}: the page is pfn {int(vma.table[offset]):,}, in {called(zone)}.", ask)


@scenario("Be the allocator: which page has to go?")
def victim(seed: Any = Seed(1)) -> Generator[Step, None, None]:
    """Memory is full; choose what is reclaimed first."""
    dice = random.Random(f"victim {seed}")
    machine = Machine(nodes=1, node_mib=64)
    web = machine.container("web", private_mib=4)
    task = machine.task(web, "server")
    zone = web.private
    assert zone is not None
    names = ["index", "log", "table", "music"]
    files = {name: machine.file(name, pages=dice.choice([150, 200])) for name in names}
    stream = machine.file("stream", pages=4000)
    heap = machine.mmap(task, pages=100, name="heap")
    machine.touch(heap, 0, 100)
    order = dice.sample(names, len(names))
    for name in order:
        machine.read(task, files[name], 0, files[name].pages)
    yield step(
        machine,
        f"The server wrote to its heap, then read four files, in this order: {', '.join(order)}. There is no swap.",
    )
    at = 0
    for number in range(1, ROUNDS):
        used = dice.sample([name for name in names if files[name].cache[0] >= 0], 1)[0]
        machine.read(task, files[used], 0, files[used].pages)
        order.remove(used)
        order.append(used)
        before = {name: int((file.cache >= 0).sum()) for name, file in files.items()}
        while machine.evictions < 3 * number:  # a stream of new pages, until something has to go
            machine.read(task, stream, at, 16)
            at += 16
        lost = {name: before[name] - int((file.cache >= 0).sum()) for name, file in files.items()}
        gone = max(lost, key=lambda name: lost[name])
        if not lost[gone]:
            gone = "stream"
        wrong = {
            "heap": "The heap is anonymous memory: it has no file to be read from again, and there is no swap. It has to stay.",
            used: f"{used} was just read again, so its pages are among the youngest.",
            "stream": "Those are the youngest pages of all. A cache that threw out what came last would never keep anything new.",
        } | {name: f"Not yet: {gone} was used longer ago." for name in names if name != used}
        wrong.pop(gone, None)
        ask = Ask(
            f"Round {number} of {ROUNDS - 1}: {used} is read again. Then the server streams a long file, and pages have to be "
            "reclaimed. Whose pages go first?",
            gone, ("heap", *names, "stream"), feedback=wrong, key=f"victim/{seed}/{number}",
            why=f"The least recently used pages that can be read again: {gone}'s.",
        )  # fmt: skip
        yield step(
            machine,
            f"{max(lost.values()) or 'Some'} pages of {gone} are gone; {zone.free_pages:,} pages are free.",
            ask,
        )


EXERCISES = (split, merge, route, victim)
