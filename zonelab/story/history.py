"""A history: what a story looked like at each step, so that one can go back and forth in it.

Frames are kept per block of 4 MiB, and of a block only what changed since the step before; before the first step all
blocks are free and in their node's main zone. So a machine of 64 GiB costs no more than one of 64 MiB, and all frames
of a story fit into a message to a browser. Single pages are not in here: ``Scenario.at`` runs the story up to a step,
and the machine it leaves is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zonelab.errors import BadRequest
from zonelab.machine import BLOCK, Event, Machine, describe
from zonelab.story.ask import Ask

MOST_EVENTS = 40
"""Events kept with a step; of more, the last ones, for they lead to what is seen."""

CHANGE = np.dtype(
    [("block", "<u4"), ("used", "<u2"), ("owner", "<u2"), ("zone", "<u2"), ("mapping", "<u2"), ("stamp", "<u4")]
)
"""One changed block, 16 bytes: its number; pages used (0 to 1024); the account that most of them are charged to, the id of
its zone, the mapping that most of them hold, and the latest use of any of them, in touches since boot (0: none)."""


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
class Cause:
    """An event that led to a step: its sentence, and how deep in the chain of causes it stands (0: a command)."""

    depth: int
    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Frame:
    """A step as it is looked at.

    Attributes:
        text: the sentence.
        events: what led there, with what caused what.
        zones: all zones; charges: account name → pages.
        changed: the blocks that changed at this step, of dtype CHANGE.
        boot: a machine boots at this step, so all blocks start anew.
        focus: pfn of the page that the last allocation gave; -1 if there was none.
        clock: touches since boot, to tell the age of a page.
        total, free, used: pages of the machine.
        interference: "victim ← cause" → pages.
        accounts, mappings: their names by id, with those that are gone as they were last called.
        problem: the story ended here because the machine refused or ran out of memory.
        ask: the question that is asked before this step is opened.
    """

    text: str
    events: tuple[Cause, ...]
    zones: tuple[ZoneView, ...]
    charges: dict[str, int]
    changed: npt.NDArray[np.void]
    boot: bool
    focus: int
    clock: int
    total: int
    free: int
    used: int
    interference: dict[str, int] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()
    mappings: tuple[str, ...] = ()
    problem: bool = False
    ask: Ask | None = None


class History:
    """The frames of one story, in order."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.frames: list[Frame] = []
        self.machine: Machine | None = None
        self._events: list[Event] = []
        self._blocks = np.zeros(0, CHANGE)
        self._accounts: list[str] = []
        self._mappings: list[str] = []

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, number: int) -> Frame:
        """The step with this number, from 0."""
        return self.frames[number]

    def add(self, machine: Machine, text: str, problem: bool = False, ask: Ask | None = None) -> None:
        """Take the next frame. From a machine's first step on, its events are collected too.

        Raises:
            BadRequest: a second machine in the same story has other nodes than the first.
        """
        boot = machine is not self.machine
        if boot:
            if self.machine is not None and _shape(machine) != _shape(self.machine):
                raise BadRequest(
                    "all machines of one story must have the same nodes; make a second story of the other machine"
                )
            self.machine = machine
            self._events, self._accounts, self._mappings = [], [], []
            machine.on_event = self._events.append
            self._blocks = at_boot(machine)
        total, free, used = machine.conserved()
        focus = next((event.data["runs"][-1][0] for event in reversed(self._events) if event.kind == "page"), -1)
        self.frames.append(
            Frame(
                text=text,
                events=_chain(self._events),
                zones=tuple(_zone_view(zone) for zone in machine.zones),
                charges={c.name: c.charged for c in machine.accounts if c is not None and (c.alive or c.charged)},
                changed=self._changed(machine),
                boot=boot,
                focus=focus,
                clock=machine.clock,
                total=total,
                free=free,
                used=used,
                interference={f"{victim} ← {cause}": n for (victim, cause), n in sorted(machine.interference.items())},
                accounts=_names(self._accounts, machine.accounts),
                mappings=_names(self._mappings, machine.mappings),
                problem=problem,
                ask=ask,
            )
        )
        self._events.clear()

    def _changed(self, machine: Machine) -> npt.NDArray[np.void]:
        """The blocks that differ from the frame before; what is remembered is brought up to date."""
        touched = np.flatnonzero(machine.dirty | (self._blocks["zone"] != machine.block_zone))
        dirty = machine.dirty[touched]
        machine.dirty[:] = False
        now = self._blocks[touched]
        now["zone"] = machine.block_zone[touched]
        now[dirty] = tenants(machine, now[dirty])
        differs = now != self._blocks[touched]
        self._blocks[touched] = now
        changed: npt.NDArray[np.void] = now[differs]
        return changed

    def blocks(self, number: int) -> npt.NDArray[np.void]:
        """Every block at a step, of dtype CHANGE. O(changes up to there)."""
        assert self.machine is not None
        boot = max(n for n in range(number + 1) if self.frames[n].boot)
        out = at_boot(self.machine)
        for frame in self.frames[boot : number + 1]:
            out[frame.changed["block"]] = frame.changed
        return out

    def payload(self) -> tuple[dict[str, Any], bytes]:
        """What a browser needs to show the story: a header for JSON, and the changed blocks of all frames in a row.

        Zones, and the names of accounts and mappings, are sent when they differ from the frame before; None for a zone that is
        gone.
        """
        machine = self.machine
        steps: list[dict[str, Any]] = []
        before: dict[int, ZoneView] = {}
        last: Frame | None = None
        for frame in self.frames:
            now = {zone.id: zone for zone in frame.zones}
            zones: dict[int, Any] = {id: _zone_json(zone) for id, zone in now.items() if before.get(id) != zone}
            zones |= dict.fromkeys(before.keys() - now.keys())
            before = now
            names = {
                what: list(now)
                for what, now, then in (
                    ("accounts", frame.accounts, last.accounts if last else ()),
                    ("mappings", frame.mappings, last.mappings if last else ()),
                )
                if now != then
            }
            last = frame
            steps.append(
                names
                | {
                    "text": frame.text,
                    "events": [[cause.depth, cause.kind, cause.text] for cause in frame.events],
                    "zones": zones,
                    "charges": frame.charges,
                    "interference": frame.interference,
                    "changes": len(frame.changed),
                    "boot": frame.boot,
                    "focus": frame.focus,
                    "clock": frame.clock,
                    "total": [frame.total, frame.free, frame.used],
                    "problem": frame.problem,
                    "ask": frame.ask.as_json() if frame.ask else None,
                }
            )
        nodes: list[dict[str, Any]] = []
        if machine is not None:
            for node in machine.nodes:
                first, blocks = node.start_pfn // BLOCK, node.pages // BLOCK
                row = machine.distances[node.id]
                nodes.append({"id": node.id, "first": first, "blocks": blocks, "main": node.main.id, "distances": row})
        header = {"title": self.title, "nodes": nodes, "steps": steps}
        return header, b"".join(frame.changed.tobytes() for frame in self.frames)

    def text(self) -> str:
        """The story in words: what a screen reader, a printout or a test reads."""
        lines = []
        for n, frame in enumerate(self.frames, 1):
            if frame.ask is not None:
                lines.append(f"Before step {n}, a question: {frame.ask.question}")
            lines.append(f"Step {n} of {len(self)}: {frame.text}")
        return "\n".join(lines)


def at_boot(machine: Machine) -> npt.NDArray[np.void]:
    """All blocks of a machine as they are at boot: free, in their node's main zone."""
    blocks = np.zeros(len(machine.block_zone), CHANGE)
    blocks["block"] = np.arange(len(blocks))
    blocks["zone"] = np.array([node.main.id for node in machine.nodes])[machine.node_of_block]
    return blocks


def tenants(machine: Machine, blocks: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The same blocks with used, owner, mapping and stamp as they are now."""
    pages = machine.pages
    owners, mappings, stamps = (a.reshape(-1, BLOCK) for a in (pages.owner, pages.mapping, pages.stamp))
    out = blocks.copy()
    for start in range(0, len(blocks), 1024):  # a few MiB at a time stay in the cache
        here = slice(start, start + 1024)
        numbers = blocks["block"][here].astype(np.int64)
        owner = owners[numbers]
        used = np.count_nonzero(owner, axis=1)
        out["used"][here] = used
        out["owner"][here] = _most(owner, used)
        out["mapping"][here] = _most(mappings[numbers], used)
        out["stamp"][here] = stamps[numbers].max(axis=1)
    return out


def _most(part: npt.NDArray[Any], used: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """For each row the number that most of its used places have; 0 if none is used."""
    most: npt.NDArray[Any] = part.max(axis=1)
    alone = np.count_nonzero(part == most[:, None], axis=1) == used
    for row in np.flatnonzero(~alone & (most > 0)).tolist():
        most[row] = np.bincount(part[row])[1:].argmax() + 1
    return most


def _names(known: list[str], now: Sequence[Any]) -> tuple[str, ...]:
    """Names by id; what is gone keeps the name by which it was known."""
    known += ["nobody"] * (len(now) - len(known))
    for at, thing in enumerate(now):
        if thing is not None:
            known[at] = thing.name
    return tuple(known)


def _shape(machine: Machine) -> list[int]:
    return [node.pages for node in machine.nodes]


def _chain(events: list[Event]) -> tuple[Cause, ...]:
    """Events with their depth in the chain of causes."""
    depth: dict[int, int] = {}
    for event in events:
        depth[event.seq] = depth[event.cause] + 1 if event.cause in depth else 0
    return tuple(Cause(depth[event.seq], event.kind, describe(event)) for event in events[-MOST_EVENTS:])


def _zone_view(zone: Any) -> ZoneView:
    owner = zone.owner.name if zone.owner is not None else ""
    counts = tuple(zone.buddyinfo)
    return ZoneView(
        zone.id,
        zone.name,
        zone.role,
        owner,
        zone.node,
        zone.pages,
        zone.free_pages,
        zone.min,
        zone.low,
        zone.high,
        counts,
    )


def _zone_json(zone: ZoneView) -> dict[str, Any]:
    return {name: getattr(zone, name) for name in ZoneView.__slots__}
