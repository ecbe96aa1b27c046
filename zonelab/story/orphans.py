"""The story of unit 09: a container exits, and what becomes of its pages, its bill and its zone (C15)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from zonelab.errors import BadRequest
from zonelab.machine import Machine
from zonelab.machine.pages import BLOCK, BLOCK_MIB, MIB
from zonelab.machine.zone import Zone
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider, Toggle
from zonelab.story.scenario import Step, scenario, step

LATER, AT_ONCE = "later", "at once"


def pages(count: int) -> str:
    return f"{count:,} page{'s' * (count != 1)}"


def blocks_of(*zones: Zone) -> set[tuple[int, int]]:
    """The free blocks of some zones together, as (pfn, order)."""
    return {(pfn, order) for zone in zones for order, area in enumerate(zone.free_area.lists) for pfn in area}


@scenario("The container is gone, its zone is not")
def orphans(
    heap_mib: Any = Slider(4, 32, 4, 12, "web's heap"),
    left_pages: Any = Slider(0, 2048, 128, 640, "files it has read", "pages"),
    db_reads: Any = Toggle(True, "db uses the files, too"),
    merge: Any = Choice((LATER, AT_ONCE), LATER, "the zone is merged"),
) -> Generator[Step, None, None]:
    """web comes, works and goes; some of its pages outlive it, in a zone that nobody owns any more."""
    machine = Machine(nodes=1, node_mib=128)
    main = machine.nodes[0].main
    web = machine.container("web", private_mib=heap_mib + 12, at=8 * MIB)
    db = machine.container("db", private_mib=8)  # in front of web's zone, so that behind that comes the main zone
    zone = web.private
    assert zone is not None
    login = machine.mmap(machine.task(None, "login"), pages=300, name="shell")
    machine.touch(login, 0, login.pages)
    machine.discard(login, 0, 64)
    own = zone.blocks.copy()
    border = (int(own[-1]) + 1) * BLOCK
    yield step(
        machine,
        f"One node, three zones: db.private; web.private, {len(own)} blocks; behind it, from pfn {border:,} on, the main zone. Its first "
        f"64 pages are free, the next {login.resident} are login's, who is in no container.",
    )

    server = machine.task(web, "server")
    heap = machine.mmap(server, mib=heap_mib, name="heap")
    machine.touch(heap, 0, heap.pages)
    yield step(machine, f"web's server writes to its heap: {pages(heap.pages)}, private, anonymous, in web.private.")

    logs = machine.file("logs", pages=max(1, left_pages))
    if left_pages:
        machine.read(server, logs, 0, left_pages)
        told = (
            f"It reads {pages(left_pages)} of files. They are page cache; web is in no set and so has no shared zone, therefore they "
            "lie in web.private, too, and web is charged."
        )
    else:
        told = "It reads no files in this run: all it has is its heap."
    yield step(machine, told)

    view = None
    if db_reads and left_pages:
        view = machine.mmap(machine.task(db, "base"), file=logs, name="logs")
        seen = machine.touch(view, 0, left_pages, write=False)
        told = (
            f"db maps the same files. All {pages(seen.found)} are found in the page cache: db uses them, and web pays."
        )
    else:
        told = "Nobody else uses web's pages."
    yield step(machine, told)

    cached = logs.cache.copy()
    free = len(machine.nodes[0].free_blocks())
    freed = machine.exit(web, merge=False)
    apart, stranded = blocks_of(zone, main), zone.free_pages
    if merge == AT_ONCE:
        machine.merge(zone)
    left = sum(1 for pfn in logs.cache.tolist() if pfn >= 0)
    wrong = {
        heap.pages
        + left_pages: "The files as well, you say; but a file outlives whoever has read it: the next reader will be glad."
    }
    wrong[left_pages] = "Those are the ones that stay: page cache belongs to the files, not to their reader."
    wrong[0] = "The heap is of no use to anybody any more. It is freed with the task, orphaned zone or not."
    yield step(
        machine,
        f"web exits. {pages(freed)} are free at once: nobody else could ever see its heap. {pages(left)} live on"
        + (", in the frames where they were." if left else ": nothing else was there.")
        + (
            f" The zone is an orphan: {stranded:,} free pages, and no owner."
            if merge == LATER
            else " Its zone is merged into the main zone with it."
        ),
        Ask(
            f"web exits. It is charged for {pages(heap.pages + left_pages)}: {heap.pages:,} of heap, {left_pages:,} of files. How many "
            "pages are free at once?",
            freed,
            kind="number",
            feedback={str(n): word for n, word in wrong.items() if n != freed},
            otherwise="Which of its pages could anybody else ever come to use?",
            why=f"The heap: {heap.pages:,}. Page cache stays, mapped or not, until memory is needed.",
        ),
    )

    heir = "root" if left else "nobody: nothing is left"
    options = ("root", "db", "nobody: nothing is left", "web, though it is gone")
    word = {
        "root": "Nothing has outlived web in this run, so there is nothing to be charged for.",
        "db": "Found in the page cache is not charged: db never had these pages allocated." if db_reads
        else "db has nothing to do with these files.",
        "nobody: nothing is left": f"{pages(left)} of files are still in memory, and the bill has to add up.",
        "web, though it is gone": "So does Linux (see below). Our machine closes the account and hands its pages to the parent.",
    }  # fmt: skip
    yield step(
        machine,
        f"The bill: root has {machine.root.charged:,} pages now, {login.resident} of login and {left:,} from web, db has {db.charged:,}. "
        + (
            "What web left behind is reparented: charged to its parent, root."
            if left
            else "web left nothing to be charged for."
        ),
        Ask(
            "web's account is closed. Who is charged for what it left behind?",
            heir,
            options,
            feedback={option: word[option] for option in options if option != heir},
            why="The pages exist, so somebody is charged: the parent. It did not ask for them and cannot refuse."
            if left
            else "Only a heap was there, and that is gone.",
        ),
    )

    want = (free + 1) * BLOCK_MIB
    if merge == LATER:
        try:
            machine.container("next", private_mib=want, contiguous=False)
        except BadRequest:
            yield step(
                machine,
                f"A container called next wants {want} MiB, {free + 1} free blocks, and is refused: the main zone has {free}. The orphan's "
                f"{stranded:,} free pages lie idle: no zonelist leads there, and no zone can be carved out of them. Stranded.",
            )
        machine.merge(zone)

    after = blocks_of(main)
    joined = len(apart - after)
    yield step(
        machine,
        f"Merged: {len(own)} blocks and their free lists change hands. {len(after)} free blocks, as many as both zones had "
        f"apart: {joined} of them had to be joined, although free blocks lay on both sides of the border at pfn {border:,}."
        if merge == LATER
        else f"The merge was done with the exit: {len(after)} free blocks, as many as both zones had apart; {joined} had to be joined "
        f"across the border at pfn {border:,}.",
        Ask(
            f"A free block of web's old zone ends at pfn {border - 1:,}; a free block of the main zone begins at pfn {border:,}. When the "
            "two zones become one, how many pairs of free blocks have to be joined across that border?",
            joined,
            kind="number",
            feedback={
                "1": "Those two are neighbours, not buddies: the border is a multiple of 1,024, and no block crosses such a pfn."
            },
            otherwise="Whose buddy could lie on the other side? Write the border in binary.",
            why="A zone begins and ends with whole blocks of the largest order. Two buddies always lie in one such block.",
        ),
    )

    same = bool((logs.cache == cached).all())
    yield step(
        machine,
        f"The {pages(left)} of files are {'where they were, at the same pfns' if same else 'elsewhere'}: only the block table says "
        "“main zone” for them now. Merging moves nothing, so it costs next to nothing."
        if left
        else "Nothing lay in the zone any more. Merging moves no page anyway: only the block table and the free lists change.",
    )

    heir_zone = machine.container("next", private_mib=want, contiguous=False).private
    assert heir_zone is not None
    yield step(
        machine,
        f"Now next gets its {want} MiB: {len(heir_zone.blocks)} blocks, {len(set(heir_zone.blocks) & set(own))} of them from "
        "what was web's zone. "
        + ("The blocks with pages of files in them stay in the main zone: " if left else "All of it is reused: ")
        + "a zone is carved out of wholly free blocks.",
    )

    if view is not None:
        machine.munmap(view)
    gone = machine.unlink(logs)
    done = "db is done with the files, and they are deleted" if view is not None else "The files are deleted"
    yield step(
        machine,
        (
            f"{done}: {pages(gone)} come back, and now buddies do join, inside their blocks. "
            if gone
            else "There were no files, so there is nothing left to come back. "
        )
        + f"{len(machine.nodes[0].free_blocks())} blocks of the main zone are free as a whole, and root is charged for login alone: "
        f"{pages(machine.root.charged)}.",
    )
