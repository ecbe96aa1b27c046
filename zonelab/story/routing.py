"""The story of unit 05: from a mapping to a page, fault by fault, under the reading of the rule that is chosen."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from zonelab.machine import AsQuoted, ByMount, Corrected, Literal, Machine, Policy
from zonelab.machine.memory import VMA, ZERO
from zonelab.story.ask import Ask, called
from zonelab.story.controls import Choice
from zonelab.story.scenario import Step, scenario, step

QUOTED, LITERAL, CORRECTED, MOUNT = "as quoted", "literal: the flag decides", "corrected: the page decides", "by mount"
READINGS: dict[str, type[Policy]] = {QUOTED: AsQuoted, LITERAL: Literal, CORRECTED: Corrected, MOUNT: ByMount}
ANON, FILE, SHMEM = "anonymous memory", "a file", "shared memory (tmpfs)"
MAPPINGS = {
    "a file, private": (FILE, False),
    "a file, shared": (FILE, True),
    "anonymous, private": (ANON, False),
    "anonymous, shared": (ANON, True),
    "tmpfs, shared": (SHMEM, True),
}
READ, WRITE = "read", "write"


@scenario("Where does this page come from?")
def routing(
    reading: Any = Choice((CORRECTED, LITERAL, QUOTED, MOUNT), CORRECTED, "reading of the rule"),
    mapping: Any = Choice(tuple(MAPPINGS), "a file, private", "mapping"),
    access: Any = Choice((READ, WRITE), WRITE, "first access"),
    libc_first: Any = Choice(("web", "db"), "web", "libc is read first by"),
) -> Generator[Step, None, None]:
    """One mapping is built, touched and forked; then two containers read libc; then a rule is changed half way."""
    what, shared = MAPPINGS[mapping]
    machine = Machine(nodes=1, node_mib=128, policy=READINGS[reading]())
    web, db = machine.container("web", private_mib=16), machine.container("db", private_mib=16)
    pair = machine.container_set("pair", [web, db], shared_mib=8)
    disk = machine.mount("disk", mib=8 if reading == MOUNT else 0)
    assert web.private is not None and pair.shared is not None
    yield step(
        machine,
        f"web and db are a set: each has a zone of its own, and they share one{', and the mount has one' if reading == MOUNT else ''}. "
        f"The rule is read {reading}.",
    )

    server, base = machine.task(web, "server"), machine.task(db, "base")
    kind = "shared" if shared else "private"
    if what == ANON:
        vma = machine.mmap(server, pages=64, shared=shared, name="area")
    else:
        file = machine.file("data", pages=64, mount=None if what == SHMEM else disk, tmpfs=what == SHMEM)
        vma = machine.mmap(server, file=file, shared=shared, name="area")
    free = machine.conserved()[1]
    zones = [zone.name for zone in machine.zonelist(vma, write=access == WRITE)]
    yield step(
        machine,
        f"The server in web makes a {kind} mapping of {what}, 64 pages. Free pages: {free:,}, as before. Its zonelist for a "
        f"{access} is known before any fault: {', '.join(zones)}.",
        Ask(
            f"The server makes a {kind} mapping of {what}, 64 pages. How many pages of memory does that take?",
            0,
            kind="number",
            feedback={"64": "So many may be touched later. Until then there is only a note that they could be."},
            otherwise="Pages are taken at the fault.",
            why="mmap makes a VMA, a note of what may be touched. Memory is taken at the page fault.",
        ),
    )

    before = machine.conserved()[1]
    machine.touch(vma, 0, write=access == WRITE)
    took = before - machine.conserved()[1]
    lies = _zones_of(machine, vma, 0)
    yield step(
        machine,
        f"The server {access}s page 0. That takes {took} page{'s' * (took != 1)}: {lies}. {_why(what, shared, access)}",
        Ask(
            f"The server {access}s the first page of its {kind} mapping of {what}. How many pages does that take?",
            took,
            kind="number",
            feedback=_wrong_counts(what, shared, access, took),
            otherwise="Think of what has to be there afterwards: a page of the cache? A copy of one's own?",
            why=_why(what, shared, access),
        ),
    )

    before = machine.conserved()[1]
    machine.touch(vma, 1, 63, write=access == WRITE)
    yield step(
        machine,
        f"It goes on to the end: 63 more faults, {before - machine.conserved()[1]} more pages. Charged to web: {web.charged}.",
    )

    if what == FILE:
        theirs = machine.mmap(base, file=vma.file, shared=True, name="theirs")
        seen = machine.touch(theirs, 0, 64, write=False)
        yield step(
            machine,
            f"db maps the same file and reads it: {seen.found} pages are found, {seen.new} are new. It sees the pages of the file"
            f"{', not the copies that web wrote' if access == WRITE and not shared else ''}; db is charged for {db.charged}.",
        )

    free = machine.conserved()[1]
    child = machine.fork(server, "child")
    yield step(
        machine,
        f"The server forks. The child sees what its parent sees, and no page was copied: {free:,} were free, "
        f"{machine.conserved()[1]:,} are.",
    )
    twin = child.vmas[0]
    yield step(machine, f"The child writes page 0. {_written(machine, twin)}")
    if not shared:
        yield step(machine, f"Now the server writes page 0, too. {_written(machine, vma)}")

    libc = machine.file("libc", pages=256, mount=disk)
    first, other = (server, base) if libc_first == "web" else (base, server)
    # web maps it as programs do, privately; db's dynamic loader is an odd one and asks for MAP_SHARED
    maps = {
        server: machine.mmap(server, file=libc, name="libc"),
        base: machine.mmap(base, file=libc, shared=True, name="libc"),
    }
    machine.touch(maps[first], 0, 256, write=False)
    zone = machine.zone_of(int(libc.cache[0]))
    names = {called(one) for one in machine.zones}
    wrong = {
        "web.private": "With this reading, what is found in the page cache is not web's own, for others may use it, too."
        if reading != LITERAL
        else "db is first, and its mapping is a shared one.",
        "db.private": "With this reading no page of this file goes there.",
        "pair.shared": "The reading names another zone: "
        + {LITERAL: "the mapping's flag is private.", MOUNT: "the mount's."}.get(reading, "…"),
        "disk.mount": "Only with the reading by mount.",
        called(machine.nodes[0].main): "Both have zones of their own.",
    }
    yield step(
        machine,
        f"{libc_first} reads libc first, 256 pages, through a {'private' if first is server else 'shared'} mapping: they lie in {zone.name}, and "
        f"{libc_first} is charged.",
        Ask(
            f"Both will use libc; web maps it privately, db with MAP_SHARED. {libc_first} is first, and only reads. Reading of the rule: "
            f"{reading}. Click the zone that libc's pages will lie in.",
            called(zone),
            kind="zone",
            feedback={name: said for name, said in wrong.items() if name in names and name != called(zone)},
            why="Only under the literal reading does it matter who is first: the flag belongs to the mapping, the page to the file.",
        ),
    )

    seen = machine.touch(maps[other], 0, 256, write=False)
    own = other.container.private
    assert own is not None
    yield step(
        machine,
        f"{other.container.name} reads libc, too: {seen.found} pages are found and mapped where they are, in {zone.name}"
        + (", which is somebody else's private zone." if zone.role == "private" else "."),
    )

    machine.policy = Corrected() if reading == QUOTED else AsQuoted()
    heap = machine.mmap(server, pages=64, name="later")
    machine.touch(heap, 0, 64)
    yield step(
        machine,
        f"Now the rule is changed to {machine.policy.name}, half way. libc stays in {machine.zone_of(int(libc.cache[0])).name}: what is "
        f"allocated is not touched. Only the next faults follow it: 64 private pages, from {machine.zone_of(int(heap.table[0])).name}.",
    )


def _written(machine: Machine, vma: VMA) -> str:
    """Write page 0 of a VMA whose pages are there for several since a fork; what that took, and why."""
    before, zeros = machine.conserved()[1], vma.table[0] == ZERO
    machine.touch(vma)
    took = before - machine.conserved()[1]
    zone = machine.zone_of(int(vma.table[0])).name
    if vma.shared:
        return f"It is there, and meant to be shared: nothing is taken, and both see what is written, in {zone}."
    if zeros:
        return f"The page of zeros cannot be written, for all have it: a page of its own, from {zone}."
    if took:
        return f"Private means that nobody else may see it: a copy is made for whoever writes, 1 page from {zone}."
    return f"Nobody else has that page any more, so none is taken: it is used where it is, in {zone}."


def _zones_of(machine: Machine, vma: VMA, at: int) -> str:
    """Where what a fault has brought lies."""
    entry = int(vma.table[at])
    parts = []
    if vma.file is not None and vma.file.cache[at] >= 0:
        whose = "shared" if vma.file.kind == "shmem" else "file’s"
        parts.append(f"the {whose} page in {machine.zone_of(int(vma.file.cache[at])).name}")
    if entry >= 0 and (vma.file is None or entry != vma.file.cache[at]):
        parts.append(f"{'its own copy' if parts else 'a page'} in {machine.zone_of(entry).name}")
    return " and ".join(parts) or "the zero page is mapped, which everybody shares"


def _why(what: str, shared: bool, access: str) -> str:
    if what == ANON and not shared:
        return (
            "Reading shows zeros, and one page of zeros does for all."
            if access == READ
            else "A page of its own, which nobody else will ever see."
        )
    if what == FILE and not shared and access == WRITE:
        return "First the page of the file, which belongs to the page cache; then a private copy, because the mapping is private."
    if what == FILE:
        return "The page of the file, in the page cache: anybody who maps or reads the file will find it."
    return "A shared page: whoever maps the same object finds it, so even reading has to make one."


def _wrong_counts(what: str, shared: bool, access: str, took: int) -> dict[str, str]:
    said = {
        "0": "Here something has to be there: only reading untouched private memory takes nothing.",
        "1": "That would do for one thing; but two are needed here, the cache's page and the copy."
        if took == 2
        else "Nothing has to be taken: untouched private memory reads as zeros, and one page of zeros is there for all.",
        "2": "No copy is made as long as nobody writes to something private.",
        "64": "A fault is about one page. The others come when they are touched.",
    }
    return {count: text for count, text in said.items() if count != str(took)}
