"""What a real Linux prints and records: the same texts from a simulated machine, and replays of a real kernel's traces.

======================= ================================================================================
``buddyinfo``           ``/proc/buddyinfo``: ``format(machine)``, ``parse(text)``
``zoneinfo``            ``/proc/zoneinfo``, the same two
``numactl``             ``numactl --hardware``, the same two
``pagetypeinfo``        ``/proc/pagetypeinfo``: ``parse(text)`` only, a simulated machine has no migrate types
``numa_maps``           ``/proc/PID/numa_maps``: ``format(machine, task)``, ``parse(text)``
``ftrace``              trace text of ftrace, trace-cmd or perf script: ``parse(text)``, as the events of a recording
``Recording``           one experiment on a real kernel: events and snapshots
``replay_path``         replay a recording, or a folder of them, from snapshot to snapshot
``predict``             replay a recording at list level: which block is taken next?
``predictions``         carry a recording's script out on a simulated machine, and compare what comes of it
``recordings()``        the recordings that come with zonelab; ``recorded(name)``: one of them
======================= ================================================================================
"""

from zonelab.kernel import buddyinfo, ftrace, numa_maps, numactl, pagetypeinfo, zoneinfo
from zonelab.kernel.lists import Heads, predict
from zonelab.kernel.recording import Recording, recorded, recordings
from zonelab.kernel.replay import Stretch, bench_replay, recordings_in, replay, replay_path, summary

__all__ = [
    "Heads",
    "Recording",
    "Stretch",
    "bench_replay",
    "buddyinfo",
    "ftrace",
    "numa_maps",
    "numactl",
    "pagetypeinfo",
    "predict",
    "recorded",
    "recordings",
    "recordings_in",
    "replay",
    "replay_path",
    "summary",
    "zoneinfo",
]
