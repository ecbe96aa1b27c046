"""The story of unit 01: one zone, from its first split to a request that fails although enough pages are free."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import numpy as np

from zonelab.errors import OutOfMemory
from zonelab.machine import Machine
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider
from zonelab.story.scenario import Step, scenario, step

EVERY_SECOND, FIRST_HALF, AT_RANDOM = "every second page", "the first half", "half of them, at random"


def pages(count: int) -> str:
    return f"{count:,} page{'s' * (count != 1)}"


def free_lists(machine: Machine) -> str:
    """The free blocks of the one zone in words, largest first."""
    counts = machine.zones[0].free_area.counts()
    words = [f"{n:,} of order {order}" for order, n in reversed(list(enumerate(counts))) if n]
    return ", ".join(words) or "none"


def freed_of(count: int, which: str) -> np.ndarray:
    """Which of `count` pages are given back."""
    if which == FIRST_HALF:
        return np.arange(count // 2)
    if which == EVERY_SECOND:
        return np.arange(0, count, 2)
    return np.sort(np.array(random.Random(7).sample(range(count), count // 2)))


@scenario("2^k pages next to each other")
def buddies(
    order: Any = Slider(0, 8, 1, 3, "order of the first requests", ""),
    which: Any = Choice((EVERY_SECOND, AT_RANDOM, FIRST_HALF), EVERY_SECOND, "given back later"),
    wanted: Any = Slider(1, 9, 1, 8, "order wanted in the end", ""),
) -> Generator[Step, None, None]:
    """Blocks are split and joined again; then half of the memory is free, and a request for a few pages fails."""
    machine = Machine(nodes=1, node_mib=16)
    zone = machine.zones[0]
    driver = machine.task(name="driver")
    yield step(
        machine,
        f"One zone of {zone.pages:,} pages. All are free, and lie in {len(zone.blocks)} blocks of order 10. Such a block has "
        "2^10 = 1,024 pages; there is no larger one.",
    )

    size = 1 << order
    first = machine.alloc_pages(driver, order)
    split = 10 - order
    yield step(
        machine,
        f"A driver asks for a block of order {order}, {pages(size)}. The smallest free block that is large enough has order 10, "
        f"so it is cut in half {split} times; each time the upper half goes to a free list and the lower half is cut on. The "
        f"driver gets pfn {first:,}. Free now: {free_lists(machine)}.",
    )

    second = machine.alloc_pages(driver, order)
    yield step(
        machine,
        f"It asks for another one. Now there is a free block of exactly order {order}, left over from the splitting: "
        f"pfn {second:,}. Nothing is cut. The two blocks are buddies: {first} xor {size} = {second}.",
        Ask(
            f"The driver has the block of order {order} ({pages(size)}) at pfn {first:,} and asks for a second one of that "
            "order. At which pfn will it start?",
            second,
            kind="number",
            feedback={
                str(
                    1 << 10
                ): "That is the next untouched block of order 10. The kernel cuts it only when no smaller block will do.",
                str(
                    512
                ): "That half is on a list, too; but a smaller block is large enough, and the smallest one is taken."
                if second != 512
                else "",
            },
            otherwise="Go through the lists from that order upwards and stop at the first that is not empty.",
            why="The last cut left a free block of exactly this order: the upper half, right behind the first block.",
        ),
    )

    page = machine.alloc_pages(driver, 0)
    yield step(
        machine,
        f"And a single page, order 0: pfn {page:,}, cut from the smallest block that was free. Free now: {free_lists(machine)}.",
    )

    before = zone.free_area.counts()
    ended = machine.free_pages(first)
    merges = "It stays alone" if ended == order else f"It is joined up to order {ended}"
    yield step(
        machine,
        f"The first block is given back. Its buddy at pfn {second:,} is in use. {merges}, and goes to the list of order {ended}, "
        f"which had {before[order]} and has {zone.free_area.counts()[order]} now.",
        Ask(
            f"The first block, pfn {first:,}, is given back; the second, pfn {second:,}, is still in use. What becomes of the "
            "first?",
            "it stays a block of its order",
            (
                "it stays a block of its order",
                "it is joined with the free pages next to it",
                "it waits until somebody tidies up",
            ),
            feedback={
                "it is joined with the free pages next to it": "Only its buddy counts, and that one is in use. Other free "
                "neighbours were never one block with it.",
                "it waits until somebody tidies up": "There is no tidying up later: each free looks for its buddy at once.",
            },
            why="A block can be joined with its buddy only, the other half of the block that both were cut from.",
        ),
    )

    ended = machine.free_pages(second)
    yield step(
        machine,
        f"The second is given back. Its buddy, the first, is free, so the two are joined; the result looks for its own buddy, and "
        f"so on, up to order {ended}. The single page at pfn {page:,} stops it.",
    )
    ended = machine.free_pages(page)
    yield step(
        machine,
        f"The single page is given back, and all cuts are undone: a block of order {ended}. Free now: {free_lists(machine)}. "
        f"Joining takes at most ten looks, one for each order, however large the memory is.",
    )

    heap = machine.mmap(driver, pages=zone.pages - zone.high - 32, name="heap")
    machine.touch(heap, 0, heap.pages)
    yield step(
        machine,
        f"Now a program touches {heap.pages:,} pages, one at a time. They come from the free lists in rising order of pfn; "
        f"{zone.free_pages:,} pages are left.",
    )

    last = int(heap.table.max())
    gone = freed_of(heap.pages, which)
    breaks = np.flatnonzero(np.diff(gone) != 1) + 1
    for run in np.split(gone, breaks):
        machine.discard(heap, int(run[0]), len(run))
    large = zone.free_area.largest()
    yield step(
        machine,
        f"It gives back {which}: {len(gone):,} pages. {zone.free_pages:,} of {zone.pages:,} are free, and the largest free block "
        f"has order {large}. Free now: {free_lists(machine)}.",
    )

    index = zone.free_area.fragmentation_index(wanted)
    have = zone.free_pages
    yes, no = "yes, it gets its pages", "no, although enough pages are free"
    try:
        pfn = machine.alloc_pages(driver, wanted)
        answer = yes
        reason = (
            "It is from the end of the zone, which the program never touched."
            if pfn > last
            else "Pages that were given back lie together there, and buddies were joined."
        )
        text = f"A block of order {wanted}, {pages(1 << wanted)} next to each other, is there: pfn {pfn:,}. {reason}"
    except OutOfMemory:
        answer = no
        text = (
            f"A block of order {wanted}, {pages(1 << wanted)} next to each other, is refused, although {have:,} pages are free. "
            f"The kernel's fragmentation index is {index} of 1,000: near 0 memory is short, near 1,000 it lies in pieces."
        )
    yield step(
        machine,
        text,
        Ask(
            f"The driver asks for a block of order {wanted}: {pages(1 << wanted)} next to each other. {have:,} pages are free. Does "
            "it get them?",
            answer,
            (yes, no),
            feedback={
                (
                    no if answer == yes else yes
                ): f"What counts is the largest free block that is there, and that has order {large}."
            },
            why=f"The pages have to be one aligned block. The largest free one has order {large}; {wanted} was wanted.",
        ),
    )

    machine.munmap(heap)
    for pfn in list(machine.kernel_blocks):
        machine.free_pages(pfn)
    yield step(
        machine,
        f"The program ends. Each page looks for its buddy on the way back, and all is as it was: {free_lists(machine)}.",
    )
