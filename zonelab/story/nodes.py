"""The story of unit 02: near and far memory, the order in which nodes are tried, and the mark at which a zone stops giving."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from zonelab.machine import MIB, Machine
from zonelab.story.ask import Ask, called
from zonelab.story.controls import Choice, Slider
from zonelab.story.scenario import Step, scenario, step

LINE, SOCKETS, RING = "four in a line", "two boxes of two", "a ring of four"
SHAPES = {
    LINE: [[10, 20, 30, 40], [20, 10, 20, 30], [30, 20, 10, 20], [40, 30, 20, 10]],
    SOCKETS: [[10, 16, 22, 22], [16, 10, 22, 22], [22, 22, 10, 16], [22, 22, 16, 10]],
    RING: [[10, 20, 30, 20], [20, 10, 20, 30], [30, 20, 10, 20], [20, 30, 20, 10]],
}


def on_each_node(machine: Machine, pfns: np.ndarray) -> list[int]:
    """Pages on each node."""
    present = pfns[pfns >= 0]
    counts: list[int] = np.bincount(machine.node_of_block[present >> 10], minlength=len(machine.nodes)).tolist()
    return counts


def listed(counts: list[int]) -> str:
    return ", ".join(f"{count:,} on node {node}" for node, count in enumerate(counts) if count)


@scenario("Near memory, far memory")
def nodes(
    shape: Any = Choice((LINE, SOCKETS, RING), LINE, "how the nodes are wired"),
    home: Any = Slider(0, 3, 1, 1, "the task runs on node", ""),
    demand: Any = Slider(32, 192, 8, 96, "it touches"),
) -> Generator[Step, None, None]:
    """A task fills its own node and goes on; another one finds its near memory taken."""
    machine = Machine(nodes=4, node_mib=64, distances=SHAPES[shape])
    near = machine.nodes[home].main
    row = machine.distances[home]
    yield step(
        machine,
        f"Four nodes of 64 MiB, wired as {shape}. From node {home}, the distances are {', '.join(map(str, row))} to nodes 0 to 3: 10 is "
        "home, 20 takes twice as long.",
    )

    order = [zone.node for zone in machine.fallback(home)]
    second = machine.nodes[order[1]].main
    wrong = {called(near): "That is home, and is tried first."}
    for node in machine.nodes:
        if node.main not in (near, second):
            far, best = row[node.id], row[order[1]]
            wrong[called(node.main)] = (
                f"Its distance is {far}, and there is a node at {best}."
                if far > best
                else f"It is just as near. Among equals the kernel spreads the load, and here node {order[1]} comes first."
            )
    yield step(
        machine,
        f"The zonelist of node {home} is made at boot, nearest first: nodes {', '.join(map(str, order))}. Every allocation of a task "
        f"there goes along this list until a zone gives.",
        Ask(
            f"A task on node {home} wants a page. Its own node is tried first. Click the zone that is tried second.",
            called(second),
            kind="zone",
            feedback=wrong,
            why=f"The list goes by distance, not by number: {', '.join(f'node {n} at {row[n]}' for n in order)}.",
        ),
    )

    task = machine.task(name="web", node=home)
    heap = machine.mmap(task, mib=demand, name="heap")
    machine.touch(heap, 0)
    pfn = int(heap.table[0])
    yield step(
        machine,
        f"The task maps {demand} MiB, which takes nothing, and writes to its first page: {near.name} on node {home} gives pfn {pfn:,}. The "
        "list was not gone along any further.",
    )

    part = min(heap.pages, 24 * MIB)
    machine.touch(heap, 1, part - 1)
    yield step(
        machine,
        f"It writes on, {part:,} pages by now: {listed(on_each_node(machine, heap.table))}. Node {home} has {near.free_pages:,} pages "
        "left; that is plenty.",
    )

    full = min(heap.pages, part + near.free_pages - near.low)
    machine.touch(heap, part, full - part)
    fits = full == heap.pages
    yield step(
        machine,
        f"All {heap.pages:,} pages fit on node {home}; nobody else is asked."
        if fits
        else f"Node {home} is down to {near.free_pages} free pages. That is its low watermark: from here on it says no, although it "
        "has pages. They are for those who cannot wait.",
        Ask(
            f"The task needs more than node {home} has: {near.pages:,} pages. How many of them will still be free when the next node is "
            "asked for the first time? (Within 20.)",
            near.low,
            kind="number",
            within=20,
            feedback={"0": "A zone never gives its last pages to an ordinary request: it stops at a watermark."},
            otherwise="Look at the zone's low watermark: the line in its bar.",
            why=f"The low watermark of this zone is {near.low} pages. Below it, the kernel goes on to the next zone of the list.",
        )
        if not fits
        else None,
    )

    done = full
    if not fits:
        some = min(heap.pages, full + 8)
        machine.touch(heap, full, some - full)
        there = on_each_node(machine, heap.table[full:some])
        yield step(
            machine,
            f"The next {some - full} pages come from the next zone of the list: {listed(there)}. Nothing was reclaimed and nothing moved: a "
            "page from further away is cheaper than that.",
        )
        done = some
    if done < heap.pages:
        machine.touch(heap, done, heap.pages - done)
    counts = on_each_node(machine, heap.table)
    if not fits:
        yield step(machine, f"The task has all its {heap.pages:,} pages: {listed(counts)}.")

    before = task.access_ns, task.local, task.remote
    machine.touch(heap, 0, heap.pages)
    cost = (task.access_ns - before[0]) / heap.pages
    yield step(
        machine,
        f"It uses them all once more: {task.local - before[1]:,} accesses at home, {task.remote - before[2]:,} elsewhere. By our cost "
        f"model that is {cost:.0f} ns each on average, where home takes {machine.costs.access_ns(10):.0f} ns.",
    )

    other = next(n for n in order[1:] if counts[n]) if not fits else order[1]
    late = machine.task(name="late", node=other)
    own = machine.mmap(late, mib=48, name="late")
    machine.touch(own, 0, own.pages)
    theirs = on_each_node(machine, own.table)
    yield step(
        machine,
        f"A second task starts on node {other} and writes 48 MiB: {listed(theirs)}. "
        + (
            f"Its near memory was taken by the task on node {home}: whoever spills, spills onto somebody."
            if theirs[other] < own.pages
            else "There was room for it at home."
        ),
    )

    machine.exit(task)
    yield step(
        machine,
        f"The first task ends. Its pages go back to the zones they came from: node {home} has {near.free_pages:,} free pages again. "
        "What the second one has stays where it is, far away or not: pages do not come home by themselves.",
    )
