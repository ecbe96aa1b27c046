"""numa_maps and trace text: samples as kernels print them, round trips, and garbage of all kinds."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadFormat
from zonelab.kernel import buddyinfo, ftrace, numa_maps, numactl, pagetypeinfo, recorded, zoneinfo
from zonelab.kernel.recording import Recording
from zonelab.machine import Machine

MAPS = """\
00400000 default file=/usr/bin/app mapped=20 mapmax=3 active=5 N0=20 kernelpagesize_kB=4
00620000 default file=/usr/bin/app anon=2 dirty=2 N1=2 kernelpagesize_kB=4
01a40000 bind:1 heap anon=64 dirty=64 active=32 N1=64 kernelpagesize_kB=4
7f3c20000000 interleave:0-1 file=/dev/zero\\040(deleted) dirty=64 mapmax=2 active=0 N0=32 N1=32 kernelpagesize_kB=4
7f3c30000000 prefer (many):0-1 huge anon=2 dirty=2 N0=2 kernelpagesize_kB=2048
7f3c40000000 bind=static:1
7ffc0a000000 default stack anon=3 dirty=3 N0=3 kernelpagesize_kB=4
"""
EXTFRAG = (
    "page=0 pfn=0x1a200 alloc_order=0 fallback_order=9 pageblock_order=9 alloc_migratetype=0 fallback_migratetype=1 "
    "fragmenting=0 change_ownership=1"
)
TRACE = f"""\
# tracer: nop
#
    bash-1234 [000] .....   123.456789: mm_page_alloc: page=0 pfn=0x1a2b3 order=0 migratetype=1 gfp_flags=GFP_KERNEL|__GFP_COMP
    bash-1234 [000] .....   123.456800: mm_page_free: page=0 pfn=0x1a2b3 order=0
 my task-7-99      [000] d..2.   123.456810: mm_page_alloc_zone_locked: page=0 pfn=0x1a2b3 order=0 migratetype=1 percpu_refill=1
    bash-1234 [001] d..2.   123.456820: mm_page_pcpu_drain: page=0 pfn=0x1a2b3 order=0 migratetype=1
    bash-1234 [000] d..2.   123.456830: mm_page_alloc_extfrag: {EXTFRAG}
    migratepages-77      [001] .....   124.000001: mm_migrate_pages: nr_succeeded=512 nr_failed=0 mode=MIGRATE_SYNC
"""
TRACE_CMD = "            bash-1234  [000]   123.456789: mm_page_free:         page=0xffffea pfn=107187 order=3\n"
PERF = "bash  1234 [000]   123.456789: kmem:mm_page_free: page=0xffffea pfn=0x1a2b3 order=3\n"


def test_numa_maps_as_kernels_print_them():
    maps = numa_maps.parse(MAPS)
    assert [str(one) for one in maps] == MAPS.splitlines()
    assert maps[3].file == "/dev/zero (deleted)" and maps[3].pages == 64 and maps[3].nodes == {0: 32, 1: 32}
    assert maps[4].policy == "prefer (many):0-1" and maps[4].flags == ("huge",)
    assert numa_maps.parse("") == []


@pytest.mark.parametrize(
    ("torn", "line"),
    [("00400000\n", 1), ("xyz default\n", 1), (MAPS + "0042", 8), (MAPS + "00500000 default N0=", 8),
     ("00400000 somewhere N0=3", 1), ("00400000 default N0=3 N0=4", 1), ("00400000 default anon=many", 1),
     (MAPS + "00400000 default", 8), ("00400000 bind:1x N0=1", 1)],
)  # fmt: skip
def test_torn_numa_maps_are_refused_with_the_line(torn, line):
    with pytest.raises(BadFormat) as refused:
        numa_maps.parse(torn)
    assert refused.value.line == line and refused.value.expected


def test_a_simulated_task_prints_its_maps():
    m = Machine(nodes=2, node_mib=32)
    near, far = m.task(node=0), m.task(node=1)
    libc = m.file("libc", pages=100)
    m.touch(m.mmap(near, file=libc), 0, 60, write=False)
    private = m.mmap(far, file=libc)
    m.touch(private, 0, 60, write=False)
    m.touch(private, 0, 10)
    m.touch(m.mmap(far, pages=50), 0, 20)
    m.touch(m.mmap(far, pages=50), 0, 20, write=False)
    text = numa_maps.format(m, far)
    first, heap, zero = numa_maps.parse(text)
    assert (first.nodes, first.counts["anon"], first.counts["mapmax"]) == ({0: 50, 1: 10}, 10, 2)
    assert heap.nodes == {1: 20} and heap.counts == {"anon": 20, "dirty": 20, "kernelpagesize_kB": 4}
    assert zero.nodes == {} and "N0" not in str(zero)
    assert [str(one) for one in numa_maps.parse(text)] == text.splitlines()


def test_ftrace_text():
    events = ftrace.parse(TRACE)
    assert bytes(events.kind).decode() == "AFZDXO"
    assert events.column("pfn", events.rows("AFZD")).tolist() == [0x1A2B3] * 4
    assert events.us.tolist() == [123456789, 123456800, 123456810, 123456820, 123456830, 124000001]
    assert events.cpu.tolist() == [0, 0, 0, 1, 0, 1] and events.pid.tolist()[2] == 99
    assert events.header.pids == {1234: "bash", 99: "my task-7", 77: "migratepages"}
    assert events.header.gfp == {0: "GFP_KERNEL|__GFP_COMP"}
    assert events.column("fallback_order", events.rows("X")).tolist() == [9]
    assert events.text(5).startswith("mm_migrate_pages nr_succeeded=512")


def test_trace_cmd_perf_and_old_decimal_pfns():
    for text in (TRACE_CMD, PERF):
        events = ftrace.parse(text)
        assert events.column("pfn", events.rows("F")).tolist() == [0x1A2B3] and events.column(
            "order", events.rows("F")
        ).tolist() == [3]


@pytest.mark.parametrize(
    ("torn", "line"),
    [("hello\n", 1), (TRACE + TRACE.splitlines()[2], 9), (PERF.replace(" order=3", ""), 1), (PERF.replace("0x1a2b3", "0x1a2bz"), 1),
     (PERF + "CPU:0 [LOST 5 EVENTS]\n", 2), ("", None), ("# tracer: nop\n", None), (PERF.replace("[000]", ""), 1)],
)  # fmt: skip
def test_torn_traces_are_refused_with_the_line(torn, line):
    with pytest.raises(BadFormat) as refused:
        ftrace.parse(torn)
    assert refused.value.line == line and refused.value.expected


def test_a_recording_as_trace_text_is_the_same_recording():
    """What a recorder would have printed, read again, gives the same events."""
    events = Recording(recorded("numa4/e5z_zeropage")).events
    rows = events.rows("ZFD")
    lines = []
    for row, us, pid, cpu in zip(
        rows.tolist(), events.us[rows].tolist(), events.pid[rows].tolist(), events.cpu[rows].tolist(), strict=True
    ):
        letter = chr(events.kind[row])
        one = events.rows(letter)[events.rows(letter) == row]
        pfn, order = (int(events.column(name, one)[0]) for name in ("pfn", "order"))
        name = {"Z": "mm_page_alloc_zone_locked", "F": "mm_page_free", "D": "mm_page_pcpu_drain"}[letter]
        kind = "" if letter == "F" else f" migratetype={int(events.column('migratetype', one)[0])}"
        lines.append(
            f"lab-{pid} [{cpu:03d}] ..... {us // 10**6}.{us % 10**6:06d}: {name}: page=0 pfn={pfn:#x} order={order}{kind}"
        )
    again = ftrace.parse("\n".join(lines))
    assert (again.kind == events.kind[rows]).all() and (again.us == events.us[rows]).all()
    for letter in "ZFD":
        assert (again.column("pfn", again.rows(letter)) == events.column("pfn", events.rows(letter))).all()


SAMPLES: dict[str, Any] = {
    "numa_maps": (numa_maps.parse, MAPS),
    "ftrace": (ftrace.parse, TRACE + PERF.replace("123.", "125.")),
    "buddyinfo": (buddyinfo.parse, buddyinfo.format(Machine(nodes=2, node_mib=32))),
    "zoneinfo": (zoneinfo.parse, zoneinfo.format(Machine(nodes=2, node_mib=32))),
    "numactl": (numactl.parse, numactl.format(Machine(nodes=2, node_mib=32))),
    "pagetypeinfo": (pagetypeinfo.parse, Recording(recorded("numa4/e5z_zeropage")).snapshots[0].text("pagetypeinfo")),
}


@pytest.mark.parametrize("name", SAMPLES)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_readers_survive_garbage(name, data):
    """Anything at all, or a true text with a piece cut out, doubled or replaced: it is read, or refused as BadFormat."""
    parse, sample = SAMPLES[name]
    if data.draw(st.booleans()):
        text = data.draw(st.text(max_size=300))
    else:
        at = data.draw(st.integers(0, len(sample)))
        end = data.draw(st.integers(at, min(len(sample), at + 80)))
        text = (
            sample[:at]
            + data.draw(st.one_of(st.just(""), st.text(max_size=12), st.just(sample[at:end] * 2)))
            + sample[end:]
        )
    with contextlib.suppress(BadFormat):
        parse(text)
