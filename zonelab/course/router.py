"""What a router must get right, as a table: every row is a fault on a machine of its own, under each of the readings."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

from zonelab.errors import BadRequest
from zonelab.machine import AsQuoted, ByMount, Corrected, Event, Literal, Machine, Policy

READINGS: dict[str, type[Policy]] = {
    "as quoted": AsQuoted,
    "literal": Literal,
    "corrected": Corrected,
    "by mount": ByMount,
}
NEW, CACHED, FORKED, ALONE = "not in memory", "in the page cache", "shared since a fork", "forked, the child is gone"


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table: a touch of one page by a task of web.

    Attributes:
        what: *anonymous*, *file*, or *no mapping* for ``read`` and ``write``.
        shared: the mapping's flag.
        before: where the page is before the touch.
    """

    what: str
    shared: bool
    write: bool
    before: str = NEW


CASES = (
    Case("anonymous", False, False),
    Case("anonymous", False, True),
    Case("anonymous", False, True, FORKED),
    Case("anonymous", False, True, ALONE),
    Case("anonymous", True, False),
    Case("anonymous", True, True),
    Case("file", False, False),
    Case("file", False, False, CACHED),
    Case("file", False, True),
    Case("file", False, True, CACHED),
    Case("file", True, False),
    Case("file", True, True),
    Case("file", True, True, CACHED),
    Case("no mapping", True, False),
    Case("no mapping", True, True),
)


def came_from(case: Case, reading: str = "corrected") -> list[str]:
    """The zones that the pages of this one touch came from, one name a page, in order; empty if nothing was taken.

    The machine is a fresh one: web and db are a set with three zones, and their file is on a mount with a zone of its own, which
    only *by mount* makes use of.

    Raises:
        BadRequest: no such reading.
    """
    if reading not in READINGS:
        raise BadRequest(f"there is no reading {reading!r}; there are {', '.join(READINGS)}")
    machine = Machine(nodes=1, node_mib=64, policy=READINGS[reading]())
    web, db = machine.container("web", private_mib=8), machine.container("db", private_mib=8)
    machine.container_set("pair", [web, db], shared_mib=8)
    disk = machine.mount("disk", mib=4)
    server, base = machine.task(web, "server"), machine.task(db, "base")
    file = None
    if case.what != "anonymous":
        file = machine.file("data", pages=1, mount=disk)
    if case.before == CACHED and file is not None:
        machine.read(base, file, pages=1)
    taken: list[Event] = []
    if case.what == "no mapping":
        assert file is not None
        machine.on_event = taken.append
        (machine.write if case.write else machine.read)(server, file, pages=1)
    else:
        vma = machine.mmap(server, pages=1 if file is None else None, file=file, shared=case.shared, name="area")
        if case.before in (FORKED, ALONE):
            machine.touch(vma)
            child = machine.fork(server)
            if case.before == ALONE:
                machine.exit(child)
        machine.on_event = taken.append
        machine.touch(vma, write=case.write)
    return [str(e.data["zone"]) for e in taken if e.kind == "page" for _ in range(sum(n for _, n in e.data["runs"]))]


class RouterTable:
    """The cases as lines, the readings as columns; shown as a table, with the same in words."""

    columns = ("mapping", "touch", "the page is", "pages")

    def __init__(self, cases: Iterable[Case], readings: Iterable[str]) -> None:
        self.readings = tuple(readings)
        self.rows: list[tuple[str, ...]] = []
        for case in cases:
            zones = [came_from(case, reading) for reading in self.readings]
            flag = "read() or write()" if case.what == "no mapping" else "shared" if case.shared else "private"
            pages = " or ".join(sorted({str(len(one)) for one in zones}))
            where = (" + ".join(one) or "–" for one in zones)
            self.rows.append((f"{case.what}, {flag}", "write" if case.write else "read", case.before, pages, *where))

    def __repr__(self) -> str:
        lines = [(*self.columns, *self.readings), *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        def cells(tag: str, line: Iterable[str]) -> str:
            return "".join(f'<{tag} style="text-align: left">{html.escape(cell)}</{tag}>' for cell in line)

        head = "".join(f'<th scope="col" style="text-align: left">{name}</th>' for name in self.columns)
        head += "".join(f'<th scope="col" style="text-align: left"><i>{name}</i></th>' for name in self.readings)
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def router_table(cases: Iterable[Case] = CASES, readings: Iterable[str] = tuple(READINGS)) -> RouterTable:
    """How many pages each touch takes, and which zones they come from under each reading; nothing in it is typed by hand."""
    return RouterTable(cases, readings)
