"""What a recording says about things that the model leaves out: evidence for or against an explanation.

Nothing here is used to predict. A difference between the kernel and the model counts as explained only if what is found here is
large enough for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property

import numpy as np

from zonelab.errors import BadFormat
from zonelab.kernel.fields import Ints
from zonelab.kernel.recording import Recording, Snapshot, read_file
from zonelab.kernel.script import Step
from zonelab.machine import PAGE

Range = tuple[int, int]
MOVES = ("attach", "migrate", "put")
BLOCK_GFP = ("GFP_NOFS", "__GFP_NOFAIL")
DMESG = "dmesg.txt"
REPORT = re.compile(r"Node (\d+) (\w+) free:\d+kB boost:(\d+)kB")
FAILED = re.compile(r"mm_migrate_pages nr_succeeded=\d+ nr_failed=(\d+)")
STEAL = re.compile(r"^pgsteal_(?:kswapd|direct) (\d+)$", re.MULTILINE)
REFAULTS = ("workingset_refault_file", "workingset_refault_anon")
MISSES = ("pgmajfault",)


class Evidence:
    """Per-cpu lists, watermark boosts, strangers' allocations, faults outside of the script.

    Args:
        recording: with its trace; steps: its script.
    """

    def __init__(self, recording: Recording, steps: list[Step], nodes: int) -> None:
        self.recording, self.steps, self.nodes = recording, steps, nodes

    @cached_property
    def _bounds(self) -> list[Range]:
        """For each step its first and last row of the trace."""
        events = self.recording.events
        begun = [(row, text) for row in events.rows("K").tolist() if (text := events.text(row)).startswith("OP ")]
        if len(begun) < len(self.steps):
            raise BadFormat(
                f"{self.recording.name}: {len(begun)} operations in the trace, {len(self.steps)} in the log",
                None,
                "the same number",
            )
        ends = [row for row, _ in begun[1:]] + [len(events)]
        return [(row, end) for (row, _), end in zip(begun, ends, strict=True)]

    @cached_property
    def _faults(self) -> tuple[Ints, Ints, Ints]:
        """Rows, pids and virtual page numbers of the user page faults."""
        rows = self.recording.events.rows("U")
        return rows, self.recording.events.pid[rows], self.recording.events.column("vpn", rows)

    @cached_property
    def _traffic(self) -> dict[str, tuple[Ints, Ints, Ints, Ints]]:
        """For A and F: rows, pids, nodes (-1 for none), pages."""
        events = self.recording.events
        spans = self.recording.snapshots[0].spans
        starts = np.array([span.start for span in spans])
        ends = np.array([span.end for span in spans])
        of = np.array([span.node for span in spans])
        out = {}
        for letter in "AF":
            rows = events.rows(letter)
            pfn = events.column("pfn", rows)
            at = np.searchsorted(starts, pfn, "right") - 1
            node = np.where((at >= 0) & (pfn < ends[at]) & (pfn > 0), of[at], -1)
            out[letter] = (rows, events.pid[rows], node, 1 << events.column("order", rows))
        return out

    def stray_faults(self, step: int, pid: int, inside: Collection[Range], since: int | None = None) -> int:
        """Faults of a process in this step (or from step `since` on) outside of these ranges of virtual pages: on its own
        program, stack and heap."""
        rows, pids, vpns = self._faults
        part = slice(*np.searchsorted(rows, (self._bounds[step if since is None else since][0], self._bounds[step][1])))
        vpn = vpns[part][pids[part] == pid]
        out = np.ones(len(vpn), bool)
        for first, end in inside:
            out &= (vpn < first) | (vpn >= end)
        return int(out.sum())

    def strangers(self, step: int, pids: Collection[int], since: int | None = None) -> tuple[list[int], list[int]]:
        """Pages taken, and given back, on each node by all but these processes: up to the end of this step, from the beginning
        or from step `since` on. Steps that move pages are left out: there it is the recorder that acts for the worker."""
        out = []
        moves = [self._bounds[number] for number in range(step + 1) if self.steps[number].words[0] in MOVES]
        for letter in "AF":
            rows, by, node, pages = self._traffic[letter]
            first = 0 if since is None else int(np.searchsorted(rows, self._bounds[since][0]))
            part = slice(first, int(np.searchsorted(rows, self._bounds[step][1])))
            mask = ~np.isin(by[part], list(pids)) & (node[part] >= 0)
            for start, end in moves:
                mask &= (rows[part] < start) | (rows[part] >= end)
            out.append(np.bincount(node[part][mask], pages[part][mask], self.nodes).astype(int).tolist())
        return out[0], out[1]

    def block_pages(self, step: int, pid: int) -> int:
        """Pages that a process got in this step for blocks of a file system: its own tables, directories and indirect blocks
        (``grow_dev_page()``, which is the one that asks like this)."""
        rows, by, _, pages = self._traffic["A"]
        part = slice(*np.searchsorted(rows, self._bounds[step]))
        gfp = self.recording.events.column("gfp", rows[part])
        asked = [
            number
            for number, text in self.recording.events.header.gfp.items()
            if set(BLOCK_GFP) <= set(text.split("|"))
        ]
        return int(pages[part][np.isin(gfp, asked) & (by[part] == pid)].sum())

    def failed_moves(self, step: int) -> int:
        """Pages that could not be migrated, up to the end of this step."""
        events = self.recording.events
        rows = events.rows("O")
        texts = (events.text(row) for row in rows[rows < self._bounds[step][1]].tolist())
        return sum(int(match[1]) for match in map(FAILED.match, texts) if match)

    def stolen(self, after: int) -> int:
        """Pages that reclaim took in the whole machine between the first snapshot and the next one after this step."""
        later = next((step.snapshot for step in self.steps[after:] if step.snapshot is not None), None)
        if later is None:
            return 0
        first, then = (self.recording.snapshots[number].text("vmstat") for number in (0, later))
        return sum(map(int, STEAL.findall(then))) - sum(map(int, STEAL.findall(first)))

    def grown(self, path: str, step: int, names: Collection[str]) -> int:
        """By how much these numbers of a group grew in this step, all together: by the ``memory.stat`` before and after it."""
        read = [
            (number, stat(one.read))
            for number, one in enumerate(self.steps)
            if one.text == f"cat {path}/memory.stat" and one.read is not None
        ]
        before = next((found for number, found in reversed(read) if number < step), {})
        after = next((found for number, found in read if number > step), {})
        return sum(after.get(name, 0) - before.get(name, 0) for name in names)

    def listed(self, node: int) -> int:
        """Pages of a node in per-cpu lists at the first snapshot: free for their cpus, and not in the buddy lists."""
        return sum(
            cpu.count for zone in self.recording.snapshots[0].zoneinfo if zone.node == node for cpu in zone.pagesets
        )

    def batch(self, node: int) -> int:
        """Pages that a per-cpu list of a node is filled up with at a time."""
        zones = self.recording.snapshots[0].zoneinfo
        return sum(max((cpu.batch for cpu in zone.pagesets), default=0) for zone in zones if zone.node == node)

    def boost(self, node: int, after: int) -> int:
        """Pages by which a node's watermarks were raised (``watermark_boost``) between the first snapshot and the next one
        after this step."""
        later = next((step.snapshot for step in self.steps[after:] if step.snapshot is not None), None)
        first = self.recording.snapshots[0]
        then = _boost(self.recording.snapshots[later], node) if later is not None else 0
        return max(0, max(then, self._reported_boost(node)) - _boost(first, node))

    def _reported_boost(self, node: int) -> int:
        """The largest boost of each zone of a node in the reports of the OOM killer, added up, in pages."""
        if not any((self.recording.folder / f"{DMESG}{end}").is_file() for end in (".xz", "")):
            return 0
        text = read_file(self.recording.folder, DMESG)[0].decode(errors="replace")
        zones: dict[str, int] = {}
        for where, zone, kib in REPORT.findall(text):
            if int(where) == node:
                zones[zone] = max(zones.get(zone, 0), int(kib) * 1024 // PAGE)
        return sum(zones.values())

    @property
    def cpus(self) -> int:
        return max((len(zone.pagesets) for zone in self.recording.snapshots[0].zoneinfo), default=1)

    def stat(self, path: str, near: int) -> dict[str, int]:
        """The group's ``memory.stat`` that was read nearest to this step, by name; empty if none ever was."""
        best: tuple[int, str] | None = None
        for number, step in enumerate(self.steps):
            if step.text == f"cat {path}/memory.stat" and step.read is not None:
                far = abs(number - near)
                if best is None or far < best[0]:
                    best = far, step.read
        return stat(best[1]) if best else {}


def _boost(snapshot: Snapshot, node: int) -> int:
    return sum(zone.boost for zone in snapshot.zoneinfo if zone.node == node)


def stat(text: str) -> dict[str, int]:
    """``memory.stat``, ``memory.events``, ``cgroup.stat``: a name and a number a line."""
    out = {}
    for number, row in enumerate(text.splitlines(), 1):
        words = row.split()
        if len(words) != 2 or not words[1].isdigit():
            raise BadFormat(f"{row[:60]!r}", number, "a name and a number")
        out[words[0]] = int(words[1])
    return out


def numa_stat(text: str) -> dict[str, tuple[int, ...]]:
    """``memory.numa_stat``: a name, then ``N0=bytes N1=bytes ...``."""
    out = {}
    for number, row in enumerate(text.splitlines(), 1):
        name, *words = row.split()
        parts = [word.partition("=") for word in words]
        if [node for node, *_ in parts] != [f"N{n}" for n in range(len(parts))] or not all(
            b.isdigit() for *_, b in parts
        ):
            raise BadFormat(f"{row[:60]!r}", number, "NAME N0=bytes N1=bytes ...")
        out[name] = tuple(int(value) for *_, value in parts)
    return out
