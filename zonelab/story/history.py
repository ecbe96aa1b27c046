"""A history: what a story looked like at each step, so that one can go back and forth in it.

Frames are kept per block of 4 MiB, and of a block only what changed since the step before. So a machine of 64 GiB
costs no more than one of 64 MiB, and all frames of a story fit into a message to a browser. Single pages are not in
here; who wants to see them asks the machine at the end of a story that is run up to that step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zonelab.machine import BLOCK, Event, Machine, describe
from zonelab.machine.pages import Pages

MOST_EVENTS = 40
"""Events kept with a step; of more, the last ones, for they lead to what is seen."""

CHANGE = np.dtype([("block", "<u4"), ("used", "<u2"), ("owner", "<u2"), ("zone", "<u2"), ("spare", "<u2")])
"""One changed block, 12 bytes: pages used (0 to 1024), account with most of them, id of its zone."""


@dataclass(frozen=True, slots=True)
class ZoneView:
    """A zone at a step: sizes and watermarks in pages, `counts` its free blocks per order."""

    id: int
    name: str
    role: str
    owner: str
    node: int
    pages: int
    free: int
    min: int
    low: int
    high: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A step as it is looked at.

    Attributes:
        text: the sentence; events: what led there, as sentences.
        zones: all zones; charges: account name → pages.
        changed: the blocks that changed at this step.
        focus: pfn of the page that the last allocation gave; -1 if there was none.
        total, free, used: pages of the machine.
        problem: the story ended here because the machine refused or ran out of memory.
    """

    text: str
    events: tuple[str, ...]
    zones: tuple[ZoneView, ...]
    charges: dict[str, int]
    changed: npt.NDArray[np.void]
    focus: int
    total: int
    free: int
    used: int
    interference: dict[str, int] = field(default_factory=dict)
    problem: bool = False


class History:
    """The frames of one story, in order."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.frames: list[Frame] = []
        self.machine: Machine | None = None
        self._events: list[Event] = []
        self._blocks = np.zeros(0, CHANGE)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, number: int) -> Frame:
        return self.frames[number]

    def add(self, machine: Machine, text: str, problem: bool = False) -> None:
        """Take the next frame. From a machine's first step on, its events are collected too."""
        if machine is not self.machine:
            self.machine = machine
            self._events = []
            machine.on_event = self._events.append
            self._blocks = np.zeros(len(machine.block_zone), CHANGE)
            self._blocks["block"] = np.arange(len(self._blocks))
            self._blocks["zone"] = 2**16 - 1  # so that each block is in the first frame
        total, free, used = machine.conserved()
        focus = next((event.data["runs"][-1] for event in reversed(self._events) if event.kind == "page"), (-1, 0))
        self.frames.append(
            Frame(
                text,
                tuple(describe(event) for event in self._events[-MOST_EVENTS:]),
                tuple(_zone_view(zone) for zone in machine.zones),
                {c.name: c.charged for c in machine.accounts if c is not None and (c.alive or c.charged)},
                self._changed(machine),
                focus[0],
                total,
                free,
                used,
                {f"{victim} ← {cause}": pages for (victim, cause), pages in sorted(machine.interference.items())},
                problem,
            )
        )
        self._events.clear()

    def _changed(self, machine: Machine) -> npt.NDArray[np.void]:
        """The blocks that differ from the frame before; what is remembered is brought up to date."""
        touched = np.flatnonzero(machine.dirty | (self._blocks["zone"] != machine.block_zone))
        machine.dirty[:] = False
        now = self._blocks[touched]
        now["zone"] = machine.block_zone[touched]
        now["used"], now["owner"] = tenants(machine.pages, touched)
        differs = now != self._blocks[touched]
        self._blocks[touched] = now
        return now[differs]

    def blocks(self, number: int) -> npt.NDArray[np.void]:
        """Every block at a step: used, owner, zone. O(changes up to there)."""
        out = self._blocks.copy()
        for frame in self.frames[: number + 1]:
            out[frame.changed["block"]] = frame.changed
        return out

    def payload(self) -> tuple[dict[str, Any], bytes]:
        """What a browser needs to show the story: a header for JSON, and the changed blocks of all frames in a row.

        Zones are sent when they differ from the frame before; None for one that is gone.
        """
        machine = self.machine
        steps: list[dict[str, Any]] = []
        before: dict[int, ZoneView] = {}
        for frame in self.frames:
            now = {zone.id: zone for zone in frame.zones}
            zones: dict[int, Any] = {id: _zone_json(zone) for id, zone in now.items() if before.get(id) != zone}
            zones |= {id: None for id in before.keys() - now.keys()}
            before = now
            steps.append(
                {
                    "text": frame.text,
                    "events": frame.events,
                    "zones": zones,
                    "charges": frame.charges,
                    "interference": frame.interference,
                    "changes": len(frame.changed),
                    "focus": frame.focus,
                    "total": [frame.total, frame.free, frame.used],
                    "problem": frame.problem,
                }
            )
        nodes: list[dict[str, Any]] = []
        accounts: list[str] = []
        if machine is not None:
            for node in machine.nodes:
                blocks = node.pages // BLOCK
                far = [f"{d} to node {n}" for n, d in enumerate(machine.distances[node.id]) if n != node.id]
                nodes.append({"id": node.id, "first": node.start_pfn // BLOCK, "blocks": blocks, "distances": far})
            accounts = [c.name if c is not None else "nobody" for c in machine.accounts]
        header = {"title": self.title, "nodes": nodes, "accounts": accounts, "steps": steps}
        return header, b"".join(frame.changed.tobytes() for frame in self.frames)

    def text(self) -> str:
        """The story in words: what a screen reader, a printout or a test reads."""
        return "\n".join(f"Step {n} of {len(self)}: {frame.text}" for n, frame in enumerate(self.frames, 1))


def tenants(pages: Pages, blocks: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each block the pages in use, and the account that most of them are charged to (0: none)."""
    owners = pages.owner.reshape(-1, BLOCK)
    used = np.zeros(len(blocks), np.int64)
    most = np.zeros(len(blocks), np.int64)
    for start in range(0, len(blocks), 1024):  # 2 MiB at a time stays in the cache
        part = owners[blocks[start : start + 1024]]
        here = slice(start, start + len(part))
        used[here] = np.count_nonzero(part, axis=1)
        largest = part.max(axis=1)
        most[here] = largest
        alone = np.count_nonzero(part == largest[:, None], axis=1) == used[here]
        mixed = np.flatnonzero(~alone & (largest > 0))
        for row in mixed.tolist():
            most[start + row] = np.bincount(part[row])[1:].argmax() + 1
    return used, most


def _zone_view(zone: Any) -> ZoneView:
    owner = zone.owner.name if zone.owner is not None else ""
    counts = tuple(zone.buddyinfo)
    return ZoneView(
        zone.id, zone.name, zone.role, owner, zone.node, zone.pages, zone.free_pages, zone.min, zone.low, zone.high, counts
    )


def _zone_json(zone: ZoneView) -> dict[str, Any]:
    return {name: getattr(zone, name) for name in ZoneView.__slots__}
