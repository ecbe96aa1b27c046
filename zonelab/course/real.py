"""The *In a real kernel* part of a page: recorded numbers beside those of the model."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache
from typing import Any

from zonelab.errors import BadRequest
from zonelab.kernel import Recording, predict, recorded, recordings, replay
from zonelab.kernel.replay import free_areas
from zonelab.view.figures import Picture, fragmentation


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
    return _replayed(f"{machine}/{found[0]}")


@cache
def _replayed(name: str) -> Real:
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
    rows.append(
        (
            "which block is taken, where the head of its list is known",
            f"{heads.known:,} times",
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
        counts[f"Linux, {snapshot.label}"] = [
            sum(column) for column in zip(*(area.counts() for area in areas), strict=True)
        ]
    return fragmentation(counts)
