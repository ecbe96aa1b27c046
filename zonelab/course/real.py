"""The *In a real kernel* part of a page: recorded numbers beside those of the model."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from zonelab.errors import BadRequest
from zonelab.kernel import Recording, predict, predictions, recorded, recordings, replay
from zonelab.kernel.replay import free_areas
from zonelab.view.figures import Picture, beside, fragmentation


class Real:
    """What a real kernel did, beside what the model says; shown as a table and a picture, with the same in words.

    Attributes:
        heading: what was recorded, in a sentence.
        columns, rows: the table.
        picture: None if there is nothing to draw.
    """

    def __init__(
        self, heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], picture: Picture | None = None
    ) -> None:
        self.heading, self.columns, self.rows, self.picture = (
            heading,
            tuple(columns),
            [tuple(row) for row in rows],
            picture,
        )

    def __repr__(self) -> str:
        lines = [self.heading, " | ".join(self.columns), *(" | ".join(row) for row in self.rows)]
        if self.picture is not None:
            lines.append(self.picture.alt)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def cells(tag: str, values: Sequence[str]) -> str:
            return "".join(f'<{tag} style="text-align: left">{html.escape(value)}</{tag}>' for value in values)

        rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        table = f"<table><thead><tr>{cells('th', self.columns)}</tr></thead><tbody>{rows}</tbody></table>"
        picture = self.picture._repr_mimebundle_()["text/html"] if self.picture is not None else ""
        return f"<p>{html.escape(self.heading)}</p>{table}{picture}"


def in_a_real_kernel(experiment: str, machine: str = "numa4") -> Real:
    """One experiment on a real kernel, beside the model's answer.

    Args:
        experiment: its name, or how the name begins: *e1a* … *e6*.
        machine: *numa4*, four nodes at unequal distances, or *fake*, one node that was told to be four.

    Raises:
        BadRequest: there is no such recording.
    """
    names = [path.name for path in recordings() if path.parent.name == machine]
    found = [name for name in names if name.startswith(experiment)]
    if len(found) != 1:
        raise BadRequest(
            f"{experiment!r} on {machine!r} names {len(found)} recordings; there are {', '.join(names) or 'none'}"
        )
    return _replayed(f"{machine}/{found[0]}") if found[0].startswith("e1") else _predicted(machine, found[0])


@cache
def _replayed(name: str) -> Real:
    """Block by block: for experiments on the buddy allocator alone."""
    recording = Recording(recorded(name), name)
    stretches = list(replay(recording))
    heads = predict(recording)
    rows: list[Any] = [
        (
            f"free blocks at the snapshot “{stretch.end}”",
            f"{stretch.applied:,} blocks moved",
            "the same, block by block" if stretch.exact else f"{stretch.pages:,} pages differ: {stretch.reason}",
        )
        for stretch in stretches
    ]
    known = f"{heads.known:,} times"
    rows.append(
        (
            "which block is taken, where the head of its list is known",
            known,
            f"{heads.known - heads.wrong:,} times the same",
        )
    )
    return Real(
        f"Recording {name}: {sum(stretch.events for stretch in stretches):,} events of a real kernel.",
        ("what", "Linux", "zonelab"),
        rows,
        _first_and_last(recording),
    )


def _first_and_last(recording: Recording) -> Picture:
    counts: dict[str, list[int]] = {}
    for snapshot in (recording.snapshots[0], recording.snapshots[-1]):
        areas = free_areas(snapshot).values()
        columns = zip(*(area.counts() for area in areas), strict=True)
        counts[f"Linux, {snapshot.label}"] = [sum(column) for column in columns]
    return fragmentation(counts)


MOST = 14
"""Rows of a table of predictions on a page; ``python -m zonelab predict`` prints all."""
TELLING = (
    "killed by the OOM killer", "pages touched by then", "pages that could not move", "pages on each node, nowhere, in swap", "pages in swap",
    "page faults", "pages written until the node was so full", "groups below it, and removed ones that live on", "pages charged in all",
)  # fmt: skip
"""What is measured, the most telling first; the rest comes after these, if there is room."""


@cache
def _predicted(machine: str, name: str) -> Real:
    """The same script carried out by the kernel and by zonelab, measurement by measurement."""
    every = predictions.rows(machine, name)
    verdicts = Counter(row.verdict for row in every)
    said = set()
    new = []
    for row in every:  # what is nothing, and what has been said already, need not be shown
        key = (row.what, row.kernel, row.zonelab)
        if any(row.kernel) and key not in said:
            new.append(row)
        said.add(key)
    order = {what: at for at, what in enumerate(TELLING)}
    shown = {id(row) for row in sorted(new, key=lambda row: order.get(row.what, len(TELLING)))[:MOST]}
    rows = [
        (row.step, row.what, _numbers(row.kernel), _numbers(row.zonelab), row.why or "equal")
        for row in new
        if id(row) in shown
    ]
    total = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    return Real(
        f"Recording {machine}/{name}: the script's lines, carried out by Linux and by zonelab. {len(every)} comparisons in all: {total}. "
        f"Below are {len(rows)} of them.",
        ("line of the script", "measured", "Linux", "zonelab", "difference"),
        rows,
        _places(new),
    )


def _numbers(values: tuple[int, ...]) -> str:
    while len(values) > 1 and not values[-1]:
        values = values[:-1]
    return " / ".join(f"{value:,}" for value in values)


def _places(rows: list[predictions.Row]) -> Picture | None:
    """The first measurement of where pages lie that has them on several nodes, or else the last that there is."""
    places = [row for row in rows if row.what == "pages on each node, nowhere, in swap"]
    if not places:
        return None
    row = next((row for row in places if sum(count > 0 for count in row.kernel[:-2]) > 1), places[-1])
    nodes = [f"node {node}" for node in range(len(row.kernel) - 2)]
    return beside(
        nodes, {"Linux": row.kernel[:-2], "zonelab": row.zonelab[:-2]}, f"Where the pages lie: {row.step}", "pages"
    )
