"""The reader's own computer as the stage: its nodes, its distances, and its memory in the pieces that it is in now."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from zonelab.errors import BadRequest
from zonelab.kernel.own import machine_like
from zonelab.machine import MAX_ORDER
from zonelab.story.controls import Slider
from zonelab.story.scenario import Scenario, Step, scenario, step


def own_machine(numactl_text: str, buddyinfo_text: str = "") -> Scenario:
    """A story on a machine like the one that printed these texts: what is free, in which pieces, and what can be carved of it.

    Raises:
        BadFormat, BadRequest: as ``machine_like``.
    """
    first = machine_like(numactl_text, buddyinfo_text)
    most = min(256, max(len(node.free_blocks()) for node in first.nodes) - 1) * 4
    if most < 4:
        raise BadRequest(
            "no node has two free blocks of 4 MiB, so no zone can be carved; try again when more memory is free"
        )

    start = min(most, 64)

    @scenario("Your own machine")
    def own(zone_mib: Any = Slider(4, most, 4, start, "a zone for a container")) -> Generator[Step, None, None]:
        machine = machine_like(numactl_text, buddyinfo_text)
        total, free, _ = machine.conserved()
        count = len(machine.nodes)
        yield step(
            machine,
            f"This is your machine: {count} node{'s' * (count != 1)}, {total:,} pages of 4 KiB, {free:,} of them free.",
        )
        whole = [len(node.main.free_area.lists[MAX_ORDER]) for node in machine.nodes]
        broken = free - sum(whole) * 1024
        yield step(
            machine,
            f"{sum(whole):,} blocks of 4 MiB are free as a whole ({', '.join(f'node {n}: {k:,}' for n, k in enumerate(whole))}); "
            f"{broken:,} free pages lie in smaller pieces. Only whole blocks can go into a zone of one's own.",
        )
        best = max(machine.nodes, key=lambda node: len(node.free_blocks()))
        web = machine.container("web", node=best.id, private_mib=zone_mib)
        assert web.private is not None
        yield step(
            machine,
            f"A container gets {zone_mib} MiB on node {best.id}: {web.private}, {len(web.private.blocks)} blocks.",
        )
        heap = machine.mmap(machine.task(web), pages=web.private.pages // 2, name="heap")
        machine.touch(heap, 0, heap.pages)
        yield step(
            machine, f"It writes to {heap.pages:,} pages: all in its zone, however small the pieces are outside of it."
        )

    return own
