"""What a real Linux prints and records: the same texts from a simulated machine, and replays of a real kernel's traces.

======================= ================================================================================
``buddyinfo``           ``/proc/buddyinfo``: ``format(machine)``, ``parse(text)``
``zoneinfo``            ``/proc/zoneinfo``, the same two
``numactl``             ``numactl --hardware``, the same two
``Recording``           one experiment on a real kernel: events and snapshots
``replay_path``         replay a recording, or a folder of them, from snapshot to snapshot
``recordings()``        the recordings that come with zonelab
======================= ================================================================================
"""
