"""The logs once more, as JSON: operations with their results, where pages lay, charges, and the zones at each snapshot.

For whoever wants the numbers without parsing texts of /proc. Zero counters of a memory cgroup are left out.
"""

from __future__ import annotations

import re
from typing import Any

from zonelab.kernel import zoneinfo
from zonelab.kernel.recording import read_log

Facts = dict[str, Any]
LARGE = re.compile(r"(anon|mapped|dirty)=\d{2,}|tmpfs|disk")
"""Lines of numa_maps that are about what an experiment mapped."""


def facts(log: str, name: str) -> Facts:
    """The facts of one experiment.

    Returns:
        *ops*: in order, ``{"us", "op", results ...}`` or ``{"snap": label}``. *snaps*: by label, ``{"stable", "free_blocks",
        "zones", "numastat"}``, with free blocks and zones by ``"NODE/ZONE"``.

    Raises:
        BadFormat: the log is torn.
    """
    snaps = {}
    for snapshot in read_log(log.encode(), name):
        nodes = sorted({row.node for row in snapshot.buddyinfo})
        snaps[snapshot.label] = {
            "stable": snapshot.stable,
            "free_blocks": {f"{row.node}/{row.zone}": list(row.counts) for row in snapshot.buddyinfo},
            "zones": {f"{zone.node}/{zone.zone}": _zone(zone) for zone in snapshot.zoneinfo if zone.managed},
            "numastat": {f"node{node}": _numbers(snapshot.text(f"node{node}.numastat")) for node in nodes},
        }
    return {"ops": operations(log), "snaps": snaps}


def _zone(zone: zoneinfo.ZoneInfo) -> Facts:
    out: Facts = {"pcp": [cpu.count for cpu in zone.pagesets]}
    out |= {size: getattr(zone, size) for size in ("min", "low", "high", "spanned", "present", "managed")}
    out["protection"] = list(zone.protection)
    if zone.pagesets:
        out |= {"pcp_high": zone.pagesets[-1].high, "pcp_batch": zone.pagesets[-1].batch}
    return out | {"start_pfn": zone.start_pfn}


def operations(log: str) -> list[Facts]:
    """What the controller did, in order, with the results that its log has."""
    out: list[Facts] = []
    lines = iter(log.splitlines())
    for line in lines:
        words = line.split()
        if line.startswith("@begin "):
            block = [inner for inner in iter(lambda: next(lines), "@end") if inner]
            if words[1] == "cat" and out:
                out[-1] |= _shown(words[2], block)
        elif line.startswith("@snap "):
            out.append({"snap": words[1]})
        elif line.startswith("> "):
            if words[2] != "snap":
                out.append({"us": int(words[1]), "op": line.split(" ", 2)[2]})
        elif line.startswith("< nodes "):
            end = words.index("none")
            out[-1] |= {"nodes": [int(word) for word in words[2:end]]}
            out[-1] |= {"none": int(words[end + 1]), "swap": int(words[end + 3])}
        elif line.startswith("< "):
            out[-1] |= {key: _value(word) for key, word in zip(words[1::2], words[2::2], strict=False)}
        elif line.startswith("  exit"):
            out[-1]["exit"] = line.strip()
    return out


def _shown(path: str, lines: list[str]) -> Facts:
    """The text of a file that the script looked at."""
    if path.endswith("numa_maps"):
        return {"numa_maps": [line for line in lines if LARGE.search(line)]}
    if path.endswith(("memory.stat", "memory.events", "cgroup.stat")):
        return {"value": {name: value for name, value in _numbers("\n".join(lines)).items() if value}}
    if path.endswith("numa_stat"):
        rows = {words[0]: [int(word.split("=")[1]) for word in words[1:]] for words in map(str.split, lines)}
        return {"value": {name: row for name, row in rows.items() if any(row)}}
    return {"value": int(lines[0]) if lines and lines[0].strip().isdigit() else lines}


def _numbers(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines() if line)}


def _value(word: str) -> int | str:
    if word.startswith("0x"):
        return int(word, 16)
    return int(word) if word.lstrip("-").isdigit() else word
