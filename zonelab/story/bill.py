"""The story of unit 07: two sets and one file, a container without a shared zone, and the bill under several rules."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from typing import Any

from zonelab.machine import EqualSplit, FirstTouch, LastTouch, Machine, PerSet, Proportional
from zonelab.machine.charge import Rule
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Slider
from zonelab.story.scenario import Step, scenario, step

RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (FirstTouch, LastTouch, EqualSplit, Proportional, PerSet)}
SHOP, LAB = "web of the shop", "job of the lab"


def told(bill: dict[str, Fraction]) -> str:
    """A bill in words, without those who pay nothing."""
    return ", ".join(f"{name} {float(pages):,.0f}" for name, pages in bill.items() if pages) or "nobody anything"


@scenario("Who pays for a page that all use?")
def bill(
    first: Any = Choice((SHOP, LAB), SHOP, "first to read the file"),
    part: Any = Slider(64, 448, 64, 192, "and reads of its 512", "pages"),
    rule: Any = Choice(tuple(RULES), "first touch", "charging rule"),
) -> Generator[Step, None, None]:
    """A file is read by two sets; a log by one who has no set. Whoever comes first is charged, or so the rule says."""
    charging = RULES[rule]()
    machine = Machine(nodes=1, node_mib=128, rule=charging)
    names = ("web", "db", "job", "test", "solo")
    web, db, job, test, solo = (machine.container(name, private_mib=8) for name in names)
    shop = machine.container_set("shop", [web, db], shared_mib=8)
    lab = machine.container_set("lab", [job, test], shared_mib=8)
    assert shop.shared is not None and lab.shared is not None and solo.private is not None
    yield step(
        machine,
        f"web and db are the set shop, job and test the set lab; each set has a shared zone. solo is in no set. The rule is {rule}.",
    )

    file = machine.file("library", pages=512)
    maps = {one.name: machine.mmap(machine.task(one), file=file, name="library") for one in (web, db, job, test)}
    early, late = ("web", "job") if first == SHOP else ("job", "web")
    zone_early, zone_late = (shop.shared, lab.shared) if first == SHOP else (lab.shared, shop.shared)
    machine.touch(maps[early], 0, part, write=False)
    yield step(
        machine,
        f"{early} reads {part} pages of a library of {file.pages}. They lie in its set's zone, {zone_early.name}.",
    )

    seen = machine.touch(maps[late], 0, file.pages, write=False)
    yield step(
        machine,
        f"{late}, of the other set, reads all {file.pages}. {seen.found} are found, in {zone_early.name}; {seen.new} are new and lie in "
        f"{zone_late.name}. One file lies in two shared zones, split by who came first.",
        Ask(
            f"{early} has read the first {part} pages of the library. Now {late}, of the other set, reads all {file.pages}. How many will lie "
            f"in {zone_late.name}?",
            seen.new,
            kind="number",
            feedback={
                str(
                    file.pages
                ): "A page is in the page cache once. Those that are there are found, and stay where they are.",
                "0": "Only the pages that are there already are found; the others fault, and the one who faults is of another set.",
            },
            otherwise="What is found stays; what is new goes to the zone of the set that faults.",
            why=f"{part} were there; the other {file.pages - part} are faulted in by the other set.",
        ),
    )

    yield step(
        machine,
        f"The bill, {rule}: {told(machine.bill())}. It adds up to the pages in use, {machine.conserved()[2]:,}.",
    )

    log = machine.file("log", pages=256)
    theirs = machine.mmap(machine.task(solo), file=log, name="log")
    machine.touch(theirs, 0, 256, write=False)
    zone = machine.zone_of(int(log.cache[0]))
    options = ("solo, in its private zone", "nobody, in the main zone", "the shop, in its shared zone")
    yield step(
        machine,
        f"solo, which is in no set, reads a log before anybody else does. It has no shared zone, so the pages lie in {zone.name}.",
        Ask(
            "solo is in no set and has no shared zone. It reads a log before others do. Who is charged, and where do the pages lie?",
            options[0],
            options,
            feedback={
                options[
                    1
                ]: "solo has a zone, so the main zone is not on its list; and a page in use is charged to somebody.",
                options[2]: "The shop has nothing to do with it yet.",
            },
            why="It faults on behalf of all others, and is too early: that is the awkward case that the mail admits.",
        ),
    )

    again = machine.mmap(machine.task(db), file=log, name="log")
    found = machine.touch(again, 0, 256, write=False).found
    yield step(
        machine,
        f"db reads the log as well: {found} pages are found, in {zone.name}. The bill, {rule}: {told(machine.bill())}.",
    )

    rows = "; ".join(
        f"{name}: {told(machine.bill(other()))}" for name, other in RULES.items() if not other.follows_touches
    )
    yield step(machine, f"The same machine under the rules that only count differently. {rows}.")

    before = machine.bill()
    machine.munmap(maps[early])
    after = machine.bill()
    same = before == after
    yes, no = "somebody's bill changes", "all bills stay as they are"
    yield step(
        machine,
        f"{early} unmaps the library; {late} goes on using it. The bill, {rule}: {told(after)}. "
        + (
            f"{early} pays on, for pages that it does not use any more."
            if same
            else f"Others pay for what {early} has left, without having done anything."
        ),
        Ask(
            f"The rule is {rule}. {early} unmaps the library, {late} goes on using it. What does that do to the bills?",
            no if same else yes,
            (yes, no),
            feedback={
                (yes if same else no): "A charge stays until the page is freed, whoever leaves."
                if same
                else "The page's price is split among those who map it now, and they are fewer."
            },
            why="Either who left pays on, or others pay more through no act of their own. There is no third way, as the search below shows.",
        ),
    )
