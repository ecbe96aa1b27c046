"""A simulated machine in the state in which a recording begins: the same nodes, zones, watermarks and free page frames.

The first snapshot says which page frames are free. The trace begins before it; taking back what happened in between, last event
first, gives the free page frames at the very beginning, before the script's first line. Nothing later is looked at.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from zonelab.errors import BadRequest
from zonelab.kernel.fields import Ints
from zonelab.kernel.recording import Recording, Snapshot, Span
from zonelab.kernel.replay import Operations
from zonelab.kernel.script import Wiring, wiring
from zonelab.kernel.zoneinfo import ZoneInfo
from zonelab.machine import BLOCK, MAX_ORDER, Linux, Machine
from zonelab.machine.buddy import FreeArea
from zonelab.machine.linux import low_zone
from zonelab.machine.node import fallback_order
from zonelab.machine.pages import BLOCK_MIB, KERNEL, expand, runs_of
from zonelab.machine.zone import Zone

FAULT_AROUND, READAHEAD = 16, 32
"""Linux's settings, in pages: ``fault_around_bytes`` of 64 KiB, and 128 KiB of readahead for a disk."""
SWAP = re.compile(r"^SwapFree: +(\d+) kB$", re.MULTILINE)


class Beginning(NamedTuple):
    """A machine as it was when the script began.

    Attributes:
        zones: zone of the recording → ours.
        info: the same zone in the first snapshot's ``/proc/zoneinfo``.
    """

    machine: Machine
    policy: Linux
    wiring: Wiring
    zones: dict[Span, Zone]
    info: dict[Span, ZoneInfo]


def beginning(recording: Recording) -> Beginning:
    """Build the machine.

    Raises:
        BadRequest: it has what we cannot simulate: a node without memory.
        BadFormat: the recording is torn or foreign.
    """
    wires = wiring(recording)
    snapshots = recording.snapshots
    if not snapshots:
        raise BadRequest(f"{recording.name} has no snapshot; at least one is needed, for the free pages to begin with")
    first = snapshots[0]
    spans = first.spans
    bare = sorted(set(range(len(wires.distances))) - {span.node for span in spans})
    if bare:
        raise BadRequest(f"node {bare[0]} has no memory; each node of a simulated machine has some")
    by_node = [[span for span in spans if span.node == node] for node in range(len(wires.distances))]
    policy = Linux()
    swap = SWAP.search(first.text("meminfo"))
    machine = Machine(
        nodes=len(by_node),
        node_mib=[max(2, sum(map(_blocks, own))) * BLOCK_MIB for own in by_node],
        distances=[list(row) for row in wires.distances],
        policy=policy,
        swap_mib=-(-int(swap[1]) // 1024) if swap else 0,
        fault_around=FAULT_AROUND,
        readahead=READAHEAD,
    )
    machine._order = fallback_order(machine.distances, wires.headless)
    free = _free_at_start(recording, first)
    info = {
        span: next(zone for zone in first.zoneinfo if (zone.node, zone.zone) == (span.node, span.zone))
        for span in spans
    }
    zones: dict[Span, Zone] = {}
    for node, own in enumerate(by_node):
        for span in own[:-1]:  # rising: the lowest zone is cut off first, but has to come last in the zonelist
            zones[span] = low_zone(machine, node, span.zone, _blocks(span))
        home = machine.nodes[node]
        home.zones = [home.main, *reversed(home.zones[1:])]
        home.main.name = own[-1].zone
        zones[own[-1]] = home.main
    for span, zone in zones.items():
        marks = info[span]
        zone.min, zone.low, zone.high = marks.min, marks.low, marks.high
        zone.reserve = marks.protection[-1] if marks.protection else 0
        start = int(zone.blocks[0]) * BLOCK - span.start // BLOCK * BLOCK
        inside = free[np.searchsorted(free, span.start) : np.searchsorted(free, span.end)]
        _occupy(machine, zone, inside + start)
    return Beginning(machine, policy, wires, zones, info)


def _blocks(span: Span) -> int:
    return -(-span.end // BLOCK) - span.start // BLOCK


def _free_at_start(recording: Recording, first: Snapshot) -> Ints:
    """The page frames that were free when the trace began, rising."""
    pfns, lengths = first.free_runs
    free = expand(zip(pfns.tolist(), lengths.tolist(), strict=True))
    done = Operations(recording.events, first.block_order)
    part = done.between(-1, first.begin)
    blocks = zip(done.pfn[part].tolist(), done.order[part].tolist(), done.takes[part].tolist(), strict=True)
    size = max((span.end for span in first.spans), default=0)
    state = np.zeros(size, bool)
    state[free] = True
    for pfn, order, taken in reversed(list(blocks)):
        state[pfn : pfn + (1 << order)] = taken
    return np.flatnonzero(state)


def _occupy(machine: Machine, zone: Zone, free: Ints) -> None:
    """Leave exactly these page frames of a zone free; the others belong to the kernel from now on."""
    zone.free_area = FreeArea(tail_rule=zone.free_area.tail_rule)
    for first, length in runs_of(free):
        zone.free_area.give(first, length)
    every = (zone.blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
    used = np.setdiff1d(every, free, assume_unique=True)
    pages, kernel, root = machine.pages, machine.kernel, machine.root
    pages.owner[used], pages.mapping[used], pages.flags[used] = root.id, kernel.id, KERNEL
    pages.index[used] = used.astype(np.uint32)
    root.charged += len(used)
    machine.dirty[zone.blocks] = True
    for first, length in runs_of(used):
        at, end = first, first + length
        while at < end:
            low = (at & -at).bit_length() - 1 if at else MAX_ORDER
            order = min(low, (end - at).bit_length() - 1, MAX_ORDER)
            machine.kernel_blocks[at] = order
            at += 1 << order
