"""A recording's own script: what the recorder was told to do, line by line, and what came of each line.

The log has every line as it was carried out (``> microseconds line``), its result (``< name value ...``) and the texts that it
read (``@begin cat FILE`` to ``@end``). ``recordings/README.md`` has the formats; a line means what the recorder does with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from zonelab.errors import BadFormat, BadRequest
from zonelab.kernel import numactl
from zonelab.kernel.recording import LOG, Recording, read_file

EXIT = re.compile(r"  exit (\S+) status (code|signal) (\d+) progress (\d+)")
NODE = re.compile(r"^node(\d+) cpus ([\d,-]*) distance ([\d ]+)$", re.MULTILINE)
BOOT = "boot_numa.txt"


class Ended(NamedTuple):
    """A worker ended while a line was carried out.

    Attributes:
        how: *code* or *signal*; `status`: which one.
        progress: pages that the line had dealt with by then.
    """

    worker: str
    how: str
    status: int
    progress: int


@dataclass
class Step:
    """One line of the script.

    Attributes:
        text: the line; `words`: its words.
        line: its number in the log.
        result: what the recorder noted, by name: *rc*, *ns*, *minflt*, *majflt*, *vpn* ...
        nodes: of a ``locate``: pages on each node, then those that are nowhere, then those in swap.
        read: the text of the file that was read, if one was.
        snapshot: number of the snapshot that was taken, in the recording's list.
        ended: the worker that ended, if one did.
    """

    text: str
    line: int
    result: dict[str, int] = field(default_factory=dict)
    nodes: tuple[int, ...] = ()
    read: str | None = None
    snapshot: int | None = None
    ended: Ended | None = None

    @property
    def words(self) -> list[str]:
        return self.text.split()


def steps(recording: Recording) -> list[Step]:
    """The lines of a recording's script, in order, with their results.

    Raises:
        BadFormat: a log that is torn or foreign.
    """
    data, source = read_file(recording.folder, LOG)
    return parse(data.decode(errors="replace"), source)


def parse(text: str, source: str = "log") -> list[Step]:
    """As ``steps``, from the log's text."""
    out: list[Step] = []
    at, line, snapshots = 0, 1, 0
    while at < len(text):
        end = text.find("\n", at)
        if end < 0:
            raise BadFormat(f"{source}: the last line is torn", line, "a newline at its end")
        row = text[at:end]
        if row.startswith("@begin "):
            close = text.find("\n@end\n", end)
            if close < 0:
                raise BadFormat(f"{source}: {row[:80]!r} is not closed", line, "@begin KIND LABEL ... @end")
            if out and row.startswith("@begin cat "):
                out[-1].read = text[end + 1 : close + 1]
            line += text.count("\n", end + 1, close + 1) + 1
            end = close + len("\n@end")
        elif row.startswith("> "):
            words = row.split(" ", 2)
            if len(words) < 3 or not words[1].isdigit():
                raise BadFormat(f"{source}: {row[:80]!r}", line, "> microseconds line")
            out.append(Step(words[2].strip(), line))
        elif row.startswith("@snap ") and out:
            out[-1].snapshot, snapshots = snapshots, snapshots + 1
        elif row.startswith("< ") and out:
            _result(out[-1], row[2:].split(), line, source)
        elif row.startswith("  exit ") and out:
            match = EXIT.fullmatch(row)
            if match is None:
                raise BadFormat(f"{source}: {row[:80]!r}", line, "exit NAME status code|signal N progress N")
            out[-1].ended = Ended(match[1], match[2], int(match[3]), int(match[4]))
        at, line = end + 1, line + 1
    return out


def _result(step: Step, words: list[str], line: int, source: str) -> None:
    """``nodes 3 0 none 1 swap 0``, or pairs of a name and a number; anything else is a remark of the recorder's."""
    try:
        if words[:1] == ["nodes"]:
            middle = words.index("none")
            step.nodes = tuple(map(int, [*words[1:middle], words[middle + 1], words[middle + 3]]))
        elif len(words) % 2 == 0 and words[1][:1].isdigit() | (words[1][:1] == "-"):
            step.result.update(
                {
                    name: int(value, 16 if value.startswith("0x") else 10)
                    for name, value in zip(words[::2], words[1::2], strict=True)
                }
            )
    except (ValueError, IndexError):
        raise BadFormat(
            f"{source}: the result {' '.join(words)[:80]!r}", line, "names and numbers, or: nodes N N ... none N swap N"
        ) from None


class Wiring(NamedTuple):
    """Which cpus and distances the recorded machine has: node → cpus, and the matrix."""

    cpus: tuple[tuple[int, ...], ...]
    distances: tuple[tuple[int, ...], ...]

    @property
    def headless(self) -> frozenset[int]:
        """The nodes without cpus."""
        return frozenset(node for node, cpus in enumerate(self.cpus) if not cpus)

    def node_of(self, cpu: int) -> int:
        """The node that a cpu takes memory from first.

        With ``numa=fake`` on a machine without nodes each cpu is listed under every one; Linux then deals the cpus out to the
        nodes in turn (``numa_init_array()``).
        """
        listed = [node for node, cpus in enumerate(self.cpus) if cpu in cpus]
        if not listed:
            raise BadRequest(
                f"cpu {cpu} is on no node; there are {sorted({cpu for cpus in self.cpus for cpu in cpus})}"
            )
        return listed[0] if len(listed) == 1 else cpu % len(self.cpus)


def wiring(recording: Recording) -> Wiring:
    """Nodes, cpus and distances of the machine, which the recorder put beside its recordings.

    Raises:
        BadFormat: the file is missing or does not say.
    """
    place = next((up / BOOT for up in (recording.folder.parent, recording.folder) if (up / BOOT).is_file()), None)
    if place is None:
        raise BadFormat(
            f"{recording.name}: no {BOOT} beside it", None, "the file that the recorder writes for each machine"
        )
    return read_wiring(Path(place).read_text(errors="replace"), place.name)


def read_wiring(text: str, source: str = BOOT) -> Wiring:
    """Read lines like ``node0 cpus 0-3 distance 10 20``."""
    rows = [(int(node), cpus, tuple(map(int, row.split()))) for node, cpus, row in NODE.findall(text)]
    if (
        [node for node, *_ in rows] != list(range(len(rows)))
        or not rows
        or any(len(row) != len(rows) for *_, row in rows)
    ):
        raise BadFormat(
            f"{source}: nodes {[node for node, *_ in rows]}",
            None,
            "nodeN cpus LIST distance N N ..., for nodes 0, 1, ...",
        )
    return Wiring(
        tuple(tuple(numactl.node_ids(cpus, 1)) if cpus else () for _, cpus, _ in rows), tuple(row for *_, row in rows)
    )
