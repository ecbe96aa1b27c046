"""From what a real machine prints to a simulated one of that shape and that fragmentation, and back to the same text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.kernel import buddyinfo, numactl, recordings
from zonelab.kernel.own import machine_like, this_computer
from zonelab.kernel.recording import Recording
from zonelab.machine import Machine
from zonelab.story.own import own_machine

SERVER = """\
available: 2 nodes (0-1)
node 0 cpus: 0 1 2 3
node 0 size: 1024 MB
node 0 free: 500 MB
node 1 cpus: 4 5 6 7
node 1 size: 515 MB
node 1 free: 400 MB
node distances:
node   0   1
  0:  10  21
  1:  21  10
"""
BUDDIES = """\
Node 0, zone      DMA      1      1      1      0      2      1      1      0      1      1      3
Node 0, zone   Normal    216     55    189    101     84     38     37     27      5      3     58
Node 1, zone   Normal     10     20     30     40     50     10      5      4      3      2     60
"""


def sums(text):
    out: dict[int, list[int]] = {}
    for row in buddyinfo.parse(text):
        out[row.node] = [a + b for a, b in zip(out.get(row.node, [0] * 11), row.counts, strict=True)]
    return out


def test_a_machine_of_that_shape_and_that_fragmentation():
    m = machine_like(SERVER, BUDDIES)
    assert [node.pages // 256 for node in m.nodes] == [1024, 512], "whole blocks of 4 MiB"
    assert m.distances == [[10, 21], [21, 10]]
    assert sums(buddyinfo.format(m)) == sums(BUDDIES)
    m.check()
    web = m.container("web", node=1, private_mib=64)
    m.touch(m.mmap(m.task(web), pages=1000), 0, 1000)
    m.check()
    assert [node.size_mib for node in numactl.parse(numactl.format(m)).nodes] == [1024, 512]


def test_without_buddyinfo_all_of_it_is_free():
    m = machine_like(SERVER)
    assert m.conserved()[2] == 0 and len(m.nodes) == 2


@settings(deadline=None, max_examples=40)
@given(counts=st.lists(st.integers(0, 12), min_size=11, max_size=11))
def test_any_fragmentation_that_fits(counts):
    text = "Node 0, zone   Normal " + " ".join(map(str, counts))
    hardware = numactl.format(Machine(nodes=1, node_mib=256))
    m = machine_like(hardware, text)
    assert m.zones[0].buddyinfo == counts
    m.check()


@pytest.mark.parametrize("folder", recordings()[:6], ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_free_blocks_of_recorded_kernels(folder):
    """A recording's own buddyinfo, on nodes of the size that its zones span."""
    snapshot = Recording(folder).snapshots[0]
    text = snapshot.text("buddyinfo")
    ends: dict[int, list[int]] = {}
    for span in snapshot.spans:
        ends.setdefault(span.node, [span.start, span.end])[1] = span.end
    sizes = [-(-(end - start) // 1024) * 4 for _, (start, end) in sorted(ends.items())]
    hardware = numactl.format(Machine(nodes=len(sizes), node_mib=sizes))
    m = machine_like(hardware, text)
    assert sums(buddyinfo.format(m)) == sums(text)
    m.check()


@pytest.mark.parametrize(
    ("hardware", "buddies", "says"),
    [
        (SERVER, BUDDIES.replace("Node 1", "Node 2"), "node 2, numactl has nodes"),
        (SERVER.replace("size: 515", "size: 4"), "", "node 1 has 4 MB"),
        (SERVER, BUDDIES.replace("     60", "    200"), "node 1 has 131,072 pages; .* do not fit"),
        (SERVER.replace("size: 1024", "size: 99999999"), "", "up to 1,048,576 MB"),
    ],
)
def test_texts_that_do_not_fit_are_refused(hardware, buddies, says):
    with pytest.raises(BadRequest, match=says):
        machine_like(hardware, buddies)


def test_a_story_on_ones_own_machine():
    story = own_machine(SERVER, BUDDIES)
    for mib in (story.controls["zone_mib"].min, story.controls["zone_mib"].max):  # type: ignore[union-attr]
        history = story.play(zone_mib=mib)
        assert len(history) == 4 and not any(frame.problem for frame in history.frames), history.text()
    full = BUDDIES.replace("     58", "      0").replace("     60", "      1").replace("      3\n", "      0\n")
    with pytest.raises(BadRequest, match="no zone can be carved"):
        own_machine(SERVER, full)


def test_the_linux_we_run_on(tmp_path):
    """A /sys and a /proc as Linux has them."""
    for node, (kib, row) in enumerate([(262144, "10 21"), (131072, "21 10")]):
        folder = tmp_path / "sys/devices/system/node" / f"node{node}"
        folder.mkdir(parents=True)
        (folder / "meminfo").write_text(f"Node {node} MemTotal:  {kib} kB\nNode {node} MemFree:  {kib // 2} kB\n")
        (folder / "distance").write_text(row + "\n")
        (folder / "cpulist").write_text("0-3\n" if node == 0 else "\n")
    with pytest.raises(BadRequest, match="buddyinfo"):
        this_computer(tmp_path)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/buddyinfo").write_text(
        "Node 0, zone Normal 1 0 0 0 0 0 0 0 0 0 9\nNode 1, zone Normal 0 2 0 0 0 0 0 0 0 0 3\n"
    )
    m = machine_like(*this_computer(tmp_path))
    assert [node.pages // 256 for node in m.nodes] == [256, 128] and m.distances[0] == [10, 21]
    assert [zone.free_pages for zone in m.zones] == [9217, 3076]
    with pytest.raises(BadRequest, match="no nodes"):
        this_computer(tmp_path / "sys")
