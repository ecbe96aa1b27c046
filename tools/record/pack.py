"""From what the guest left to the files of a recording; ``zonelab/kernel/recordings/README.md`` describes them."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from zonelab.errors import BadFormat
from zonelab.kernel import ftrace

WRITTEN = re.compile(r"entries-in-buffer/entries-written: (\d+)/(\d+)")
RING = re.compile(r"^cpu\d+|entries: \d+|overrun: \d+|dropped events: \d+")
LOST = re.compile(r"(overrun|dropped events): ([1-9]\d*)")
DROPPED = re.compile(r"dropped events: (\d+)")
OPERATION = re.compile(r"> \d+ (.*)")
FAILED = re.compile(r"< (?:pid \d+ )?rc (-\d+)|< unknown|  error (-\d+)")
BOOT = re.compile(
    r"NUMA|SRAT|Fallback|zonelist|Zone ranges|DMA|Movable|node +\d|Initmem|On node|Faking|Memory: |Policy zone|e820"
)
"""What is kept of the kernel's words while booting."""
EMULATOR = re.compile(
    r"Hypervisor|DMI|smpboot: CPU0|BIOS|QEMU|SMBIOS|random: |tsc|clocksource|microcode|Command line", re.I
)
"""What is not: the emulator's own peculiarities."""


def pack(result: Path, folder: Path) -> list[str]:
    """One experiment: events.tsv.xz, log.txt.xz and dmesg.txt.xz.

    Args:
        result: the guest's folder, with trace.txt, log.txt, rings.txt and dmesg.txt.
        folder: is made.

    Returns:
        What went wrong in the experiment: lost events, operations that failed. A sentence each.

    Raises:
        BadFormat: the trace is torn.
    """
    folder.mkdir(parents=True)
    trace = _text(result / "trace.txt")
    written = WRITTEN.search(trace[:4000])
    if written is None:
        raise BadFormat(f"{result.name}: the trace does not say how many events were written", 3, "entries-written")
    rings = _text(result / "rings.txt").splitlines()
    lines = ftrace.as_recorded(trace, result.name).split("\n")
    head = list(takewhile(lambda line: line.startswith("#"), lines))
    dropped = sum(int(found) for line in rings for found in DROPPED.findall(line))
    entries = f"#entries\t{written[1]}\t{int(written[2]) + dropped}"  # as the kernel counted them, not we
    ring = ["#ring\t" + " ".join(RING.findall(line)) for line in rings]
    save(folder / "events.tsv.xz", "\n".join([entries, *head[1:], *ring, *lines[len(head) :]]))
    log = _text(result / "log.txt")
    save(folder / "log.txt.xz", log)
    messages = [line for line in _text(result / "dmesg.txt").splitlines(True) if not EMULATOR.search(line)]
    if messages:
        save(folder / "dmesg.txt.xz", "".join(messages))
    lost = [f"{line.split()[0]}: {found[1]} {found[2]}" for line in rings for found in LOST.finditer(line)]
    return [f"{result.name}: {what}" for what in [*lost, *failed(log)]]


def failed(log: str) -> Iterator[str]:
    """The operations of a log that did not succeed."""
    operation = ""
    for line in log.splitlines():
        if found := OPERATION.match(line):
            operation = found[1]
        elif found := FAILED.match(line):
            yield f"{operation}: {line.strip('< ')}"


def boot_text(out: Path) -> str:
    """boot_numa.txt: release, command line, nodes and distances, and what the kernel said of its memory while booting."""
    lines = _text(out / "boot.txt").splitlines(True)
    kept = [line for line in lines if BOOT.search(line) and not EMULATOR.search(line)]
    return _text(out / "kernel.txt") + _text(out / "nodes.txt") + "".join(kept)


def save(path: Path, text: str) -> None:
    with lzma.open(path, "wt", preset=9 | lzma.PRESET_EXTREME, encoding="utf-8", newline="\n") as file:
        file.write(text)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
