"""The story of unit 11: the same day of two containers under the design that was proposed and under those that came to be used."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any

from zonelab.errors import OutOfMemory
from zonelab.machine import MIB, Corrected, FakeNuma, Machine, PageOwnership, Policy
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider
from zonelab.story.scenario import Step, scenario, step

LINUX, ZONES, FAKE = "counters: Linux", "software zones: proposed", "fake NUMA and cpusets: 2007"
POLICIES: dict[str, type[Policy]] = {LINUX: PageOwnership, ZONES: Corrected, FAKE: FakeNuma}


@scenario("The same day, three designs")
def linux(
    design: Any = Choice((LINUX, ZONES, FAKE), LINUX, "design"),
    share: Any = Slider(16, 64, 4, 32, "for each container"),
    data: Any = Slider(1, 8, 1, 6, "file that both use"),
) -> Generator[Step, None, None]:
    """Two containers share a file, one reaches its limit, a third comes, one leaves; nothing differs but the design."""
    machine = Machine(nodes=2, node_mib=128, policy=POLICIES[design]())
    yield step(machine, f"Two nodes of 128 MiB; {machine.conserved()[1]:,} pages are free. The design is {design}.")

    a = machine.container("A", node=0, private_mib=share)
    b = machine.container("B", node=1, private_mib=share)
    pair = machine.container_set("pair", [a, b], shared_mib=12 if design == ZONES else 0)
    kept = sum(zone.pages for zone in machine.zones if zone.role != "main")
    if design == LINUX:
        text = (
            f"A and B may use {share} MiB each. That is a number, {a.limit:,} pages, which every new page of theirs is counted "
            "against. No memory is set aside."
        )
    else:
        shared = f", and a shared zone of 12 MiB for the set on node {pair.node}" if pair.shared else ""
        text = (
            f"A gets {' and '.join(zone.name for zone in a.zones)} on node 0, B gets {' and '.join(z.name for z in b.zones)} on "
            f"node 1{shared}: {kept:,} pages are set aside, before anybody has touched one."
        )
    yield step(machine, text)

    first, second = machine.task(a, "writer"), machine.task(b, "reader")
    file = machine.file("data", mib=data, tmpfs=True)
    ours = machine.mmap(first, file=file, shared=True, name="data")
    machine.touch(ours, 0, ours.pages)
    zone = machine.zone_of(int(file.cache[0]))
    yield step(
        machine,
        f"A writes {file.pages:,} pages of a shared file. They come from {zone.name} on node {zone.node}, and A is charged for all "
        "of them: it touched them first.",
    )

    theirs = machine.mmap(second, file=file, shared=True, name="data")
    seen = machine.touch(theirs, 0, theirs.pages)
    answers = ("A, for all of them", "B, for all of them", "half each")
    yield step(
        machine,
        f"B reads and writes all {seen.found:,} pages. Each is found, and mapped where it lies; B is charged {b.charged:,} pages, A "
        f"{a.charged:,}. On node 1, every one of B's accesses goes to node {zone.node}.",
        Ask(
            f"B, on node 1, now reads and writes all {file.pages:,} pages of the file. Who is charged for them after that?",
            answers[0],
            answers,
            feedback={
                answers[
                    1
                ]: "Nothing is allocated when B comes: the pages are there. And a charge does not follow the user.",
                answers[
                    2
                ]: "That is how a fair person would do it. No design here does: it would mean counting at every mapping.",
            },
            why="First touch, in all three designs. They differ in where pages may lie, not in who pays.",
        ),
    )

    want = share * MIB
    heap = machine.mmap(first, pages=want, name="heap")
    free = machine.conserved()[1]
    yes, no = "yes: enough is free", "no: it is stopped before"
    try:
        machine.touch(heap, 0, heap.pages)
        got, answer = heap.pages, yes
        text = f"A writes all {got:,} pages: there was room for them, in its own zones."
    except OutOfMemory:
        got, answer = int((heap.table >= 0).sum()), no
        why = (
            f"its counter has reached {a.limit:,} pages, and the file counts, too"
            if design == LINUX
            else f"{' and '.join(f'{zone.name} is down to its last {zone.free_pages} pages' for zone in a.zones)}, the reserve"
        )
        text = (
            f"After {got:,} pages A is out of memory: {why}. {machine.conserved()[1]:,} pages of the machine are free."
        )
    yield step(
        machine,
        text,
        Ask(
            f"A writes {want:,} pages, {share} MiB, of private memory. {free:,} pages of the machine are free. Does it get all of them?",
            answer,
            (yes, no),
            feedback={
                (no if answer == yes else yes): (
                    "The limit counts the file, too, and the file was charged to A."
                    if design == LINUX
                    else "Only A's own zones count, and what else lies in them."
                )
            },
            why="A counter stops A at a number of pages, wherever they lie; a zone stops A at the end of a place.",
        ),
    )

    c = machine.container("C", node=1, private_mib=0)
    batch = machine.task(c, "batch")
    wish = machine.mmap(batch, pages=machine.total_pages, name="cache")
    free = machine.conserved()[1]
    with suppress(OutOfMemory):
        machine.touch(wish, 0, wish.pages)
    took = c.charged
    left = sum(zone.free_pages for zone in machine.zones if zone.role != "main")
    yes, no = "yes, nearly all of them", "no, only what no zone holds"
    answer = no if left else yes
    yield step(
        machine,
        f"C has no limit and no zone of its own, and takes what it can get: {took:,} of {free:,} free pages. "
        + (
            f"{left:,} pages lie free in zones of A, B and their set, and nobody else can use them: they are stranded."
            if left
            else "Only the watermarks' reserve is left. Nothing is stranded; but if B comes back for memory, there is none."
        ),
        Ask(
            f"{free:,} pages are free. C comes, without a limit, and takes what it can get. Does it get the pages that A and B do not use "
            "at the moment?",
            answer,
            (yes, no),
            feedback=(
                {no: "Nothing was set aside: a limit is not a reservation."}
                if answer == yes
                else {yes: "What belongs to a zone is on its owner's zonelist only."}
            ),
            why="A zone keeps memory for its owner, used or not. A counter keeps nothing: it is the cheaper promise, and the weaker one.",
        ),
    )

    machine.exit(c)
    freed = machine.exit(a)
    heirs = machine.pages_of(machine.root)
    yield step(
        machine,
        f"C and A end. {freed:,} private pages of A are free again; the file's {len(heirs):,} pages stay, for B maps them, and root is "
        "charged from now on. Linux 6.1 does it in another way: the dead container's account lives on until its last page is gone.",
    )
