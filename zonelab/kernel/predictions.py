"""Does the whole model predict what a kernel did? A table over the experiments that were recorded.

Each script is carried out on a simulated machine that starts as the real one did, and every measurement in the recording becomes
a row: what the kernel did, what zonelab says, and why they differ where they do. ``python -m zonelab predict`` prints it.

What goes in: the script; nodes, distances and cpus; at the first snapshot watermarks, reserves and swap, and the free page frames,
taken back to the trace's beginning; Linux's own settings of fault-around and readahead. What comes out: where pages lie, who is
charged, how many faults are taken, where a node stops to give, at what page the OOM killer comes, what moves and what stays.

Not modelled, so that it has to explain what differs: per-cpu lists of free pages; memory of the kernel, page tables above all;
charging in advance; the swap cache; watermark boosts and migrate types; what other processes do; the workers' own programs.
Not compared: major against minor faults (whether the disk was quick enough decides that), times, the two LRU lists' lengths,
how often reclaim was tried. Not carried out: huge pages, compaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from zonelab.errors import BadRequest
from zonelab.kernel.beginning import beginning
from zonelab.kernel.carry import Carrier
from zonelab.kernel.evidence import Evidence
from zonelab.kernel.judge import Row, Summary, judge, summary
from zonelab.kernel.recording import Recording, recorded
from zonelab.kernel.replay import recordings_in
from zonelab.kernel.script import BOOT, read_wiring, steps
from zonelab.machine.node import check_distances, fallback_order

FALLBACK = re.compile(r"Fallback order for Node (\d+): ([\d ]+)$", re.MULTILINE)
"""What the kernel says while booting of the order in which each node's zonelist tries the nodes."""


def rows(set_name: str = "numa4", experiment: str = "e2_containers") -> list[Row]:
    """The table of one recording that comes with zonelab; worked out once.

    Raises:
        BadRequest: there is no such recording.
    """
    return list(_rows(set_name, experiment))


@lru_cache(maxsize=64)
def _rows(set_name: str, experiment: str) -> tuple[Row, ...]:
    return tuple(compare(Recording(recorded(f"{set_name}/{experiment}"), experiment)))


def compare(recording: Recording) -> list[Row]:
    """The table of any recording.

    Raises:
        BadFormat: a recording that is torn or foreign.
    """
    script = steps(recording)
    try:
        start = beginning(recording)
    except BadRequest as problem:
        return [Row(recording.name, "the machine", "its shape", (), (), "not modelled", str(problem))]
    evidence = Evidence(recording, script, len(start.machine.nodes))
    return list(Carrier(recording.name, start, script, evidence).rows())


def boot(text: str, name: str = "boot") -> list[Row]:
    """The order in which a node's zonelist goes through the nodes, by what the kernel printed while booting and by us."""
    wires = read_wiring(text)
    ours = fallback_order(check_distances([list(row) for row in wires.distances], len(wires.distances)), wires.headless)
    found = [(int(node), tuple(map(int, order.split()))) for node, order in FALLBACK.findall(text)]
    return [
        judge(name, f"boot of node {node}", "nodes in the order of its zonelist", order, tuple(ours[node]))
        for node, order in found
        if node < len(ours) and len(order) == len(ours)
    ]


def table(path: str | Path) -> Iterator[tuple[str, list[Row]]]:
    """Name and table of each recording in a folder, and before them that of each machine's boot.

    Raises:
        BadRequest: there is no recording.
        BadFormat: a recording is torn or foreign.
    """
    recordings = recordings_in(path)
    machines = sorted({recording.folder.parent for recording in recordings})
    for machine in machines:
        if (machine / BOOT).is_file():
            yield f"{machine.name}/boot", boot((machine / BOOT).read_text(errors="replace"), f"{machine.name}/boot")
    for recording in recordings:
        yield recording.name, compare(recording)


__all__ = ["Row", "Summary", "boot", "compare", "rows", "summary", "table"]
