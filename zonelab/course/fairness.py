"""Is there a fair way to charge for a shared page? A search over all small cases, instead of an opinion.

One page of one file, three containers: A and B form a set, C is alone; A has two tasks. A *trace* is what they do, in order: begin to
use the page, use it again, leave it. Every trace up to a length is played on the machine, and the bill after each act is held
against *properties*, each a sentence that somebody might call fair. For each rule and property the result is either *holds on
all traces*, or the smallest trace on which it does not.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from zonelab.errors import BadRequest
from zonelab.machine import EqualSplit, FirstTouch, LastTouch, Machine, PerSet, Proportional
from zonelab.machine.charge import Rule
from zonelab.machine.memory import VMA
from zonelab.story.scenario import Scenario, Step, step

CONTAINER = {"A": "A", "A′": "A", "B": "B", "C": "C"}
"""Actor (a task) → its container."""
BEGINS, AGAIN, LEAVES = "begins to use it", "uses it again", "leaves it"
Act = tuple[str, str]
Trace = tuple[Act, ...]
RULES: tuple[Rule, ...] = (FirstTouch(), LastTouch(), EqualSplit(), Proportional(), PerSet())


def told(trace: Trace) -> str:
    """A trace as a sentence."""
    return ", ".join(f"{actor} {verb}" for actor, verb in trace)


def users(trace: Trace) -> frozenset[str]:
    """The actors that use the page at the end of a trace."""
    now: set[str] = set()
    for actor, verb in trace:
        (now.discard if verb == LEAVES else now.add)(actor)
    return frozenset(now)


def traces(length: int) -> Iterator[Trace]:
    """All traces of up to so many acts, shortest first."""
    last: list[Trace] = [()]
    for _ in range(length):
        longer: list[Trace] = []
        for trace in last:
            using = users(trace)
            for actor in CONTAINER:
                longer += [(*trace, (actor, verb)) for verb in ((AGAIN, LEAVES) if actor in using else (BEGINS,))]
        yield from longer
        last = longer


class Bills:
    """What each payer pays after each trace, under one rule; played on the machine, and remembered.

    A payer is a container, or under the rule *per set* the set of A and B.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.known: dict[Trace, dict[str, Fraction]] = {}
        self.by_users: dict[frozenset[str], Trace] = {}

    def payer(self, actor: str) -> str:
        container = CONTAINER[actor]
        return "set" if isinstance(self.rule, PerSet) and container in "AB" else container

    def after(self, trace: Trace) -> dict[str, Fraction]:
        """Payer → pages. Nobody pays anything before the first act."""
        if trace not in self.known:
            self.known[trace] = play(trace, self.rule)
            self.by_users.setdefault(users(trace), trace)
        return self.known[trace]


def play(trace: Trace, rule: Rule) -> dict[str, Fraction]:
    """Play a trace on a fresh machine; the bill at its end, without those who pay nothing."""
    machine = Machine(nodes=1, node_mib=8, rule=rule)
    for _ in acts(machine, trace):
        pass
    return {name: pages for name, pages in machine.bill().items() if pages}


def acts(machine: Machine, trace: Trace) -> Iterator[Act]:
    """Carry a trace out on a machine, one act at a time; yields each when it is done."""
    containers = {name: machine.container(name, private_mib=0) for name in "ABC"}
    machine.container_set("set", [containers["A"], containers["B"]], shared_mib=0)
    file = machine.file("page", pages=1)
    tasks = {actor: machine.task(containers[CONTAINER[actor]], f"task-{actor}") for actor in CONTAINER}
    maps: dict[str, VMA] = {}
    for actor, verb in trace:
        if verb == LEAVES:
            machine.munmap(maps.pop(actor))
        else:
            if verb == BEGINS:
                maps[actor] = machine.mmap(tasks[actor], file=file, shared=True)
            machine.touch(maps[actor], 0, write=False)
        yield actor, verb


# -- what might be called fair

Check = Callable[[Bills, Trace], "str | None"]


@dataclass(frozen=True)
class Property:
    """A wish, and the check that says how a trace goes against it (None if it does not)."""

    name: str
    wish: str
    broken: Check = field(repr=False)


def _say(bill: dict[str, Fraction]) -> str:
    return ", ".join(f"{name} pays {pages}" for name, pages in sorted(bill.items())) or "nobody pays"


def _complete(bills: Bills, trace: Trace) -> str | None:
    total = sum(bills.after(trace).values())
    return None if total == 1 else f"one page is in use, and {total} are paid for"


def _users_pay(bills: Bills, trace: Trace) -> str | None:
    bill = bills.after(trace)
    free = sorted({bills.payer(actor) for actor in users(trace)} - bill.keys())
    return f"{free[0]} uses the page and pays nothing; {_say(bill)}" if free else None


def _strangers(bills: Bills, trace: Trace) -> str | None:
    using = users(trace)
    if not using:
        return None  # somebody has to pay for a page that nobody uses at the moment
    bill = bills.after(trace)
    strange = sorted(bill.keys() - {bills.payer(actor) for actor in using})
    return f"{strange[0]} does not use the page and pays {bill[strange[0]]}" if strange else None


def _order(bills: Bills, trace: Trace) -> str | None:
    bill = bills.after(trace)
    other = bills.by_users[users(trace)]
    then = bills.after(other)
    return (
        None
        if bill == then or not users(trace)
        else f"{_say(bill)}; but after “{told(other)}”, with the same users, {_say(then)}"
    )


def _steady(bills: Bills, trace: Trace) -> str | None:
    before, now = bills.after(trace[:-1]) if trace[:-1] else {}, bills.after(trace)
    actor = bills.payer(trace[-1][0])
    for name in sorted(now.keys() - {actor}):
        if now[name] > before.get(name, 0):
            return f"{name} did nothing, and pays {now[name]} instead of {before.get(name, Fraction(0))}"
    return None


def _untouched(bills: Bills, trace: Trace) -> str | None:
    before, now = bills.after(trace[:-1]) if trace[:-1] else {}, bills.after(trace)
    actor = bills.payer(trace[-1][0])
    for name in sorted((before.keys() | now.keys()) - {actor}):
        if now.get(name) != before.get(name):
            return f"the account of {name} has to be changed, from {before.get(name, Fraction(0))} to {now.get(name, Fraction(0))}"
    return None


def _tasks(bills: Bills, trace: Trace) -> str | None:
    """The same acts, all of A's by one task: does A pay the same?"""
    if not {"A", "A′"} <= users(trace) or any(verb == LEAVES for _, verb in trace):
        return None
    one: list[Act] = []
    for actor, verb in trace:
        name = "A" if actor == "A′" else actor
        one.append((name, AGAIN if (name, BEGINS) in one else verb))
    payer = bills.payer("A")
    two, less = bills.after(trace).get(payer, Fraction(0)), bills.after(tuple(one)).get(payer, Fraction(0))
    return None if two == less else f"{payer} pays {two} with two tasks, {less} with one"


PROPERTIES = (
    Property("adds up", "Every page in use is paid for exactly once.", _complete),
    Property("no free riders", "Who uses the page pays something.", _users_pay),
    Property("no strangers", "Who does not use it, while others do, pays nothing.", _strangers),
    Property("order does not matter", "The same users, the same bill, whoever came first.", _order),
    Property("others cannot raise my bill", "My bill rises only through what I do.", _steady),
    Property("tasks do not matter", "A container with two tasks on the page pays as with one.", _tasks),
    Property("cheap to keep", "An act changes only the account of who acts.", _untouched),
)


@dataclass(frozen=True)
class Cell:
    """For one rule and one property: `trace` is None if it holds on all `count` traces, else the smallest counterexample."""

    rule: str
    wish: str
    count: int
    trace: Trace | None = None
    said: str = ""

    @property
    def holds(self) -> bool:
        return self.trace is None

    def __str__(self) -> str:
        return f"holds on all {self.count} traces" if self.trace is None else f"{told(self.trace)}: {self.said}"


class Table:
    """Rule × property; shown with the counterexamples, which are also in ``cell(rule, property)``."""

    def __init__(self, cells: Sequence[Cell], length: int) -> None:
        self.cells = {(cell.rule, cell.wish): cell for cell in cells}
        self.length = length
        self.rules = list(dict.fromkeys(cell.rule for cell in cells))
        self.wishes = list(dict.fromkeys(cell.wish for cell in cells))

    def cell(self, rule: str, wish: str) -> Cell:
        return self.cells[rule, wish]

    def counterexamples(self) -> list[Cell]:
        return [cell for cell in self.cells.values() if not cell.holds]

    def __repr__(self) -> str:
        wide = max(map(len, self.wishes))
        lines = [" " * wide + "".join(f"{rule:>15}" for rule in self.rules)]
        for wish in self.wishes:
            row = "".join(f"{'holds' if self.cells[rule, wish].holds else 'NO':>15}" for rule in self.rules)
            lines.append(f"{wish:<{wide}}{row}")
        lines += [f"{cell.rule}, {cell.wish}: {cell}" for cell in self.counterexamples()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(rule)}</th>' for rule in self.rules)
        rows = []
        for wish in self.wishes:
            row = [f'<th scope="row" style="text-align: left">{html.escape(wish)}</th>']
            for rule in self.rules:
                cell = self.cells[rule, wish]
                text = (
                    f"✓ holds<br><small>on all {cell.count:,}</small>"
                    if cell.trace is None
                    else (f"✗ <b>no</b><br><small>{html.escape(told(cell.trace))}: {html.escape(cell.said)}</small>")
                )
                rows_style = "text-align: left; vertical-align: top; max-width: 13rem; white-space: normal"
                row.append(f'<td style="{rows_style}">{text}</td>')
            rows.append(f"<tr>{''.join(row)}</tr>")
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def search(rules: Sequence[Rule] = RULES, properties: Sequence[Property] = PROPERTIES, length: int = 4) -> Table:
    """Hold every rule against every property, on all traces of up to `length` acts, shortest first."""
    every = list(traces(length))
    cells = []
    for rule in rules:
        bills = Bills(rule)
        found: dict[str, tuple[Trace, str]] = {}
        for trace in every:
            bills.after(trace)
            for one in properties:
                if one.name not in found:
                    said = one.broken(bills, trace)
                    if said is not None:
                        found[one.name] = (trace, said)
        for one in properties:
            trace_said = found.get(one.name)
            cells.append(Cell(rule.name, one.name, len(every), *(trace_said or ())))
    return Table(cells, length)


def counterexample(cell: Cell) -> Scenario:
    """The story of a counterexample, to be played in a lab act by act, with the bill after each.

    Raises:
        BadRequest: the property holds; there is nothing to play.
    """
    if cell.trace is None:
        raise BadRequest(f"“{cell.wish}” holds for {cell.rule} on all {cell.count} traces: there is no counterexample")
    trace, rule = cell.trace, next(one for one in RULES if one.name == cell.rule)

    def story() -> Generator[Step, None, None]:
        machine = Machine(nodes=1, node_mib=8, rule=rule)
        yield step(machine, f"One page of a file; A and B are a set, C is alone. Rule: {rule.name}. Wish: {cell.wish}.")
        for number, (actor, verb) in enumerate(acts(machine, trace), 1):
            bill = {name: pages for name, pages in machine.bill().items() if pages}
            end = f" There it is: {cell.said}." if number == len(trace) else ""
            yield step(machine, f"{actor} {verb}. The bill: {_say(bill)}.{end}")

    story.__name__ = f"counterexample_{cell.rule}_{cell.wish}".replace(" ", "_")
    return Scenario(f"{cell.rule}: “{cell.wish}” does not hold", story)


def impossible(parts: int = 60) -> str:
    """Why no rule at all can have three of the wishes: every bill for two users is tried, in steps of 1/parts.

    A and B use the page. *Adds up*: their bills are x and 1 - x. Then one of them leaves. *No strangers*: he pays nothing from then on, so the
    other pays 1. *Others cannot raise my bill*: so the other had paid 1 before. That must hold whoever leaves.
    """
    good = []
    for x in (Fraction(part, parts) for part in range(parts + 1)):
        after_b_leaves, after_a_leaves = (
            x >= 1,
            1 - x >= 1,
        )  # A's bill may not rise when B leaves, and the other way round
        if after_b_leaves and after_a_leaves:
            good.append(x)
    tried = f"{parts + 1} ways to split one page between A and B"
    return f"{tried}: in {len(good)} of them can either leave without raising the other's bill, if who left pays nothing and the bill adds up."


def pairs_that_clash(table: Table) -> list[tuple[str, str]]:
    """Pairs of properties that none of the rules has together."""
    clash = []
    for one, other in itertools.combinations(table.wishes, 2):
        if not any(table.cell(rule, one).holds and table.cell(rule, other).holds for rule in table.rules):
            clash.append((one, other))
    return clash
