"""Does the whole model predict what a kernel did? A table over the experiments that were recorded.

Each script is carried out on a simulated machine that starts as the real one did, and every measurement in the recording becomes
a row: what the kernel did, what zonelab says, and why they differ where they do. ``python -m zonelab predict`` prints it.
"""

from __future__ import annotations

from functools import lru_cache

from zonelab.kernel.beginning import beginning
from zonelab.kernel.carry import Carrier
from zonelab.kernel.evidence import Evidence
from zonelab.kernel.judge import Row, Summary, summary
from zonelab.kernel.recording import Recording, recorded
from zonelab.kernel.script import steps


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
        BadRequest: a machine that cannot be simulated.
        BadFormat: a recording that is torn or foreign.
    """
    script = steps(recording)
    start = beginning(recording)
    evidence = Evidence(recording, script, len(start.machine.nodes))
    return list(Carrier(recording.name, start, script, evidence).rows())


__all__ = ["Row", "Summary", "compare", "rows", "summary"]
