"""Replays: every stretch of every recording matches or is explained; damage is found; machines never seen work too."""

from __future__ import annotations

import lzma
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadFormat, BadRequest
from zonelab.kernel import Recording, bench_replay, buddyinfo, recordings, replay, replay_path, summary
from zonelab.kernel.buddyinfo import FreeBlocks
from zonelab.kernel.trace import Events
from zonelab.machine.buddy import FreeArea

EVERY = pytest.mark.parametrize("folder", recordings(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")


def shipped(name: str) -> Path:
    return next(folder for folder in recordings() if folder.match(name))


def unpacked(folder: Path, target: Path) -> Path:
    """A copy of a recording, unpacked, so that a test can damage it."""
    target.mkdir(parents=True)
    for name in ("events.tsv", "log.txt"):
        (target / name).write_bytes(lzma.decompress((folder / f"{name}.xz").read_bytes()))
    return target


def read(path: Path) -> str:
    return path.read_bytes().decode()


def write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())  # a newline is a newline, on Windows too


def edit(path: Path, pattern: str, put: str, nth: int = 0) -> int:
    """Replace the nth match, which must exist; the number of its line."""
    text = read(path)
    match = list(re.finditer(pattern, text, re.MULTILINE))[nth]
    write(path, text[: match.start()] + match.expand(put) + text[match.end() :])
    return text.count("\n", 0, match.start()) + 1


# -- the recordings that come with zonelab


@EVERY
def test_every_stretch_is_exact_or_explained(folder):
    stretches = list(replay_path(folder))
    assert stretches
    for stretch in stretches:
        assert not stretch.unexplained, stretch.line()
        assert stretch.exact or stretch.end == "compacted", stretch.line()
        assert stretch.recording == folder.name and stretch.line().startswith(f"{folder.name}: {stretch.start} → ")


def test_in_all_only_one_stretch_differs_and_compaction_explains_it():
    total = summary(stretch for folder in recordings() for stretch in replay_path(folder))
    assert (total.stretches, total.exact, total.explained, total.unexplained) == (89, 88, 1, 0)
    (odd,) = (stretch for stretch in replay_path(shipped("fake/e1a_sizes")) if not stretch.exact)
    assert odd.explained and odd.pages == 1_558
    assert "compacted" in odd.line() and "node 0 DMA32: order 0 +6" in odd.line()
    assert [str(span) for span in odd.difference] == ["node 0 DMA32"]


def test_a_folder_of_recordings_is_replayed_by_name_and_a_recording_by_itself():
    root = recordings()[0].parent.parent
    names = list(dict.fromkeys(stretch.recording for stretch in replay_path(root / "fake")))
    assert names == ["e1a_sizes", "e2_containers", "e3a_prefer", "e4_migrate", "e5z_zeropage"]
    alone = Recording(shipped("fake/e5z_zeropage"))
    assert [s.line() for s in replay(alone)] == [s.line() for s in replay_path(alone.folder)]


def test_no_events_were_lost_and_the_columns_can_be_read():
    events = Recording(shipped("numa4/e1a_sizes")).events
    assert len(events) == events.header.entries == events.header.written and events.header.lost == 0
    assert events.us[0] == events.header.t0_us and (events.us[1:] >= events.us[:-1]).all()
    assert set(events.cpu.tolist()) <= {0, 1, 2, 3}
    assert set(events.pid.tolist()) <= events.header.pids.keys() | {0}
    assert events.text(int(events.rows("K")[0])) == "START"
    assert len(events.rows("Z")) == events.header.counts["mm_page_alloc_zone_locked"]
    assert events.column("migratetype", events.rows("Z")).max() <= 5
    assert len(events.column("vpn", events.rows("U"))) == events.header.counts["page_fault_user"]


def test_speed(capsys):
    """Measured, not asserted: it depends on the machine. The target is a million events a second."""
    events, took = bench_replay()
    assert events > 1_000_000
    with capsys.disabled():
        print(f" [replay: {events / took / 1e6:.2f} million events/s, parsing included]", end="")


# -- damage


@pytest.fixture
def copy(tmp_path):
    return unpacked(shipped("numa4/e5z_zeropage"), tmp_path / "damaged")


def test_the_unpacked_copy_is_exact(copy):
    assert all(stretch.exact for stretch in replay_path(copy))


@pytest.mark.parametrize("letter", "ZD")
def test_a_wrong_page_is_reported_and_nothing_explains_it(copy, letter):
    """Between two snapshots an event names the page next to the one it should."""
    path = copy / "events.tsv"
    text = read(path)
    found = re.compile(rf"\t{letter}\t([0-9a-f]+)\t0\t").search(text, text.index("SNAP before 1 end"))
    assert found is not None and found.start() < text.index("SNAP written 1 begin")
    write(path, text[: found.start(1)] + f"{int(found[1], 16) ^ 1:x}" + text[found.end(1) :])
    bad = [stretch for stretch in replay_path(copy) if stretch.unexplained]
    assert bad
    assert bad[0].pages and bad[0].difference and "DIFFERENT, unexplained" in bad[0].line()


def test_a_missing_event_is_found_by_the_header_and_without_header_by_the_replay(copy):
    path = copy / "events.tsv"
    at = read(path).index("SNAP before 1 end")
    found = re.compile(r"^.*\tZ\t.*\n", re.MULTILINE).search(read(path), at)
    assert found is not None
    write(path, read(path).replace(found[0], "", 1))
    with pytest.raises(BadFormat, match="as its header says"):
        list(replay_path(copy))
    write(path, re.sub(r"^#(entries|count).*\n", "", read(path), flags=re.MULTILINE))
    assert any(stretch.unexplained for stretch in replay_path(copy))


def test_events_that_cancel_each_other_are_noticed_too(copy):
    """A block is taken that is not free, and given back: the end is the same, but the trace contradicts the lists."""
    path = copy / "events.tsv"
    text = re.sub(r"^#(entries|count).*\n", "", read(path), flags=re.MULTILINE)
    first, second = re.findall(r"^(?:.*\tZ\t.*\n)", text[text.index("SNAP before 1 end") :], re.MULTILINE)[:2]
    write(path, text.replace(first, first + first, 1))
    (bad, *_) = [stretch for stretch in replay_path(copy) if not stretch.exact]
    assert bad.unexplained and "not free" in bad.line() and second


def test_lost_events_explain_a_difference(copy):
    path = copy / "events.tsv"
    edit(path, r"^#entries\t(\d+)\t(\d+)$", r"#entries\t\1\t9\2")
    edit(path, r"\tZ\t([0-9a-f]+)0\t0\t", r"\tZ\t\g<1>1\t0\t", nth=3)
    bad = [stretch for stretch in replay_path(copy) if not stretch.exact]
    assert all(stretch.explained and "lost" in stretch.line() for stretch in bad)


def test_a_snapshot_that_contradicts_itself_is_not_believed(copy):
    edit(copy / "log.txt", r"^(Node 1, zone +DMA32 +)(\d+)", r"\g<1>99999")
    first, *_ = replay_path(copy)
    assert first.unexplained and "snapshot before contradicts itself: node 1 DMA32" in first.line()


@pytest.mark.parametrize("name", ["events.tsv", "log.txt"])
def test_a_truncated_xz_file_is_refused(tmp_path, name):
    folder = shipped("numa4/e5z_zeropage")
    raw = (folder / f"{name}.xz").read_bytes()
    for cut in [0, 1, 7, *range(20, len(raw), 509), len(raw) - 1]:
        target = tmp_path / str(cut)
        shutil.copytree(folder, target)
        (target / f"{name}.xz").write_bytes(raw[:cut])
        with pytest.raises(BadFormat, match=rf"line \d+: {cut}/{name}") as caught:
            list(replay_path(target))
        assert caught.value.line and caught.value.expected


def test_a_torn_trace_is_refused_wherever_it_is_cut():
    data = lzma.decompress((shipped("numa4/e5z_zeropage") / "events.tsv.xz").read_bytes())
    for cut in [*range(0, 2_000, 13), *range(2_000, len(data), 997), len(data) - 1]:
        with pytest.raises(BadFormat) as caught:
            Events(data[:cut])
        assert caught.value.line and caught.value.expected


def test_a_torn_log_is_refused_wherever_it_is_cut_before_its_last_snapshot_ends(copy):
    whole = (copy / "log.txt").read_bytes()
    end = whole.rindex(b"@begin kpageflags")
    end = whole.index(b"@end", end)
    for cut in [0, 1, *range(100, end, end // 60), end]:
        (copy / "log.txt").write_bytes(whole[:cut])
        with pytest.raises(BadFormat) as caught:
            list(replay_path(copy))
        assert caught.value.expected


@pytest.mark.parametrize(
    ("pattern", "put", "message"),
    [
        (r"\tZ\t([0-9a-f]+)", r"\tQ\t\1", "unknown event"),
        (r"\tZ\t([0-9a-f]+)", r"\tZZ\t\1", "unknown event"),
        (r"\tZ\t([0-9a-f]+)\t", r"\tZ\t", "torn event"),
        (r"\tZ\t([0-9a-f]+)\t", r"\tZ\t\1g\t", "not a number"),
        (r"\tZ\t([0-9a-f]+)\t", r"\tZ\t\t", "not a number"),
        (r"\tZ\t([0-9a-f]+)\t", r"\tZ\t11111111111111111\t", "not a number"),
        (r"\tZ\t([0-9a-f]+)\t(\d+)", r"\tZ\t\1\t11", "block that cannot be"),
        (r"\tZ\t([0-9a-f]+)\t(\d+)", r"\tZ\t1001\t3", "block that cannot be"),
        (r"SNAP read (\d) begin", r"SNAP read \1 end", "marker out of place"),
        (r"^.*\tZ\t.*$", r"", "too few"),
    ],
)
def test_a_damaged_event_is_refused_with_its_line(copy, pattern, put, message):
    line = edit(copy / "events.tsv", pattern, put, nth=0)
    with pytest.raises(BadFormat, match=message) as caught:
        list(replay_path(copy))
    assert caught.value.line == line and caught.value.expected
    assert f"line {line}: damaged/events.tsv" in str(caught.value)


def test_a_changed_letter_is_found_by_the_counts_of_the_header(copy):
    edit(copy / "events.tsv", r"\tB\t([0-9a-f]+)$", r"\tF\t\1\t0")
    with pytest.raises(BadFormat, match="as its header says"):
        list(replay_path(copy))


@pytest.mark.parametrize(
    ("pattern", "put"),
    [
        (r"^@snap read .*$", r"@snap read"),
        (r"^@snap read try \d", r"@snap other try 1"),
        (r"^@begin kpageflags read$", r"@begin kpagefl read"),
        (r"^@begin buddyinfo read\n(.*)DMA ", r"@begin buddyinfo read\n\1DMA x"),
        (r"^(@begin kpageflags read\n[0-9a-f]+) ", r"\1 x "),
        (r"^(@begin kpageflags read\n[0-9a-f]+) .*$", r"\1"),
        (r"^(@begin kpageflags read\n)(.*)\n(.*)$", r"\1\3\n\2"),
        (r"^  start_pfn: .*$", r"  start_pfn:           0"),
        (r"^> ", r"foreign"),
    ],
)
def test_a_damaged_log_is_refused(copy, pattern, put):
    edit(copy / "log.txt", pattern, put, nth=-1 if "start_pfn" in pattern else 0)
    with pytest.raises(BadFormat) as caught:
        list(replay_path(copy))
    assert caught.value.expected
    assert "log.txt" in str(caught.value) or "start_pfn" in pattern


def test_what_is_not_a_recording_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadRequest):
            list(replay_path(path))
    with pytest.raises(BadRequest, match=re.escape("events.tsv.xz")):
        Recording(tmp_path)


SMALL = lzma.decompress((shipped("numa4/e5z_zeropage") / "events.tsv.xz").read_bytes())[:3_000]


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_trace_gives_columns_or_the_one_error(data):
    start = data.draw(st.integers(0, len(SMALL)))
    end = data.draw(st.integers(start, len(SMALL)))
    put = data.draw(
        st.binary(max_size=40) | st.sampled_from([b"\n", b"\t", b"#", b"0\t0\t0\tO\t", b"0\t0\t0\tF\t1\t0\n"])
    )
    try:
        events = Events(SMALL[:start] + put + SMALL[end:])
        rows = events.rows("ZAFBD")
        assert len(events.column("pfn", rows)) == len(rows)
        assert len(events.us) == len(events.cpu) == len(events)
    except BadFormat:
        pass


# -- machines that nobody recorded


class Forger:
    """Forges a recording of a machine with any zones, by playing an allocator that knows nothing of ours: a set of pages."""

    def __init__(self, zones: list[tuple[int, str, int, int]], seed: int, holes: tuple[int, ...] = ()) -> None:
        self.random = random.Random(seed)
        self.zones, self.events, self.log = zones, ["#t0_us\t5"], ""
        self.free = {pfn for _, _, start, end in zones for pfn in range(start, end)} - set(holes)
        self.used: list[tuple[int, int]] = []

    def event(self, text: str) -> None:
        self.events.append(f"{self.random.randrange(3)}\t0\t7\t{text}")

    def counts(self) -> list[FreeBlocks]:
        """Free blocks, by asking of every block of every order whether it is free and its parent is not."""
        out = []
        for node, name, start, end in self.zones:
            inside = {pfn for pfn in self.free if start <= pfn < end}
            whole = [inside]
            for order in range(1, 11):
                half = whole[-1]
                whole.append({pfn for pfn in half if pfn % (1 << order) == 0 and pfn + (1 << (order - 1)) in half})
            counts = [
                sum(order == 10 or pfn & ~((2 << order) - 1) not in whole[order + 1] for pfn in whole[order])
                for order in range(11)
            ]
            out.append(FreeBlocks(node, name, tuple(counts)))
        return out

    def snapshot(self, label: str) -> None:
        self.event(f"K\tSNAP {label} 1 begin")
        self.event(f"K\tSNAP {label} 1 end")
        info = "".join(
            f"Node {node}, zone {name:>8s}\n  pages free     0\n        spanned  {end - start}\n        present  {end - start}\n"
            f"        protection: (0, 0)\n  start_pfn:           {start}\n"
            for node, name, start, end in self.zones
        )
        empty = "Node 0, zone  Movable\n  pages free     0\n        spanned  0\n        protection: (0, 0)\n"
        pages = sorted(self.free)
        edges = [i for i in range(len(pages)) if not i or pages[i] != pages[i - 1] + 1]
        runs = [(pages[a], b - a) for a, b in zip(edges, [*edges[1:], len(pages)], strict=True)]
        self.log += f"> 1 snap {label}\n@snap {label} try 1 stable 1 us 9 at_us 9\n"
        for name, text in (
            ("buddyinfo", buddyinfo.format_rows(self.counts())),
            ("zoneinfo", info + empty),
            ("kpageflags", "".join(f"{pfn:x} {length:x} 400\n" for pfn, length in runs)),
        ):
            self.log += f"@begin {name} {label}\n{text}@end\n"

    def work(self, steps: int) -> None:
        for _ in range(steps):
            order = self.random.choice([0, 0, 0, 1, 2, 3, 4, 6, 8, 9, 10])
            if self.used and self.random.random() < 0.45:
                pfn, order = self.used.pop(self.random.randrange(len(self.used)))
                self.event(f"F\t{pfn:x}\t{order}")
                if order <= 3 or order == 9:
                    self.event(f"D\t{pfn:x}\t{order}\t1")
                self.free.update(range(pfn, pfn + (1 << order)))
                continue
            _, _, start, end = self.random.choice(self.zones)
            pfn = self.random.randrange(start, end) >> order << order
            block = range(pfn, pfn + (1 << order))
            if self.free.issuperset(block) and pfn >= start and block.stop <= end:
                self.free.difference_update(block)
                self.used.append((pfn, order))
                self.event(f"Z\t{pfn:x}\t{order}\t1\t0")
                self.event(f"A\t{pfn:x}\t{order}\t1\t0")

    def write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        write(folder / "events.tsv", "\n".join(self.events) + "\n")
        (folder / "log.txt.xz").write_bytes(lzma.compress(self.log.encode()))
        return folder


MACHINES = {
    "one node": [(0, "Normal", 0, 3_000)],
    "two nodes, three kinds of zone": [
        (0, "DMA", 1, 4_096),
        (0, "DMA32", 4_096, 9_000),
        (0, "Normal", 0x100000, 0x100000 + 2_500),
        (1, "Normal", 0x100000 + 2_500, 0x100000 + 7_777),
    ],
    "eight small nodes whose borders no block respects": [(n, "DMA32", 100 + n * 777, 877 + n * 777) for n in range(8)],
}


@pytest.mark.parametrize("zones", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("seed", range(3))
def test_a_machine_with_other_zones_is_exact(tmp_path, zones, seed):
    forged = Forger(zones, seed, holes=(5, 6, 700, 2_048))
    for label in "abcd":
        forged.snapshot(label)
        forged.work(400)
    forged.snapshot("end")
    stretches = list(replay_path(forged.write(tmp_path / "x")))
    assert [(s.start, s.end) for s in stretches] == [("a", "b"), ("b", "c"), ("c", "d"), ("d", "end")]
    assert all(stretch.exact and stretch.applied > 100 for stretch in stretches), [s.line() for s in stretches]


@pytest.mark.parametrize(("seen", "explained"), [(True, True), (False, False)])
def test_compaction_explains_only_where_it_worked(tmp_path, seen, explained):
    """Free pages vanish without an event: explained if compaction says that it took pages from that very zone."""
    zones = [(0, "Normal", 0, 4_096), (1, "Normal", 4_096, 8_192)]
    forged = Forger(zones, 1)
    forged.snapshot("a")
    forged.work(50)
    start, end = zones[0 if seen else 1][2:]
    forged.event(
        f"O\tmm_compaction_begin zone_start={start:#x} migrate_pfn=0x0 free_pfn=0x0 zone_end={end:#x}, mode=sync"
    )
    forged.event("O\tmm_compaction_isolate_freepages range=(0x200 ~ 0x400) nr_scanned=9 nr_taken=3")
    forged.free -= set(sorted(forged.free)[:3])
    forged.snapshot("b")
    (stretch,) = replay_path(forged.write(tmp_path / "x"))
    assert (stretch.exact, stretch.explained, stretch.pages) == (False, explained, 3)
    assert ("compacted" in stretch.line()) == explained


def test_blocks_that_change_hands_while_a_snapshot_is_taken_explain_no_more_than_themselves(tmp_path):
    forged = Forger(MACHINES["one node"], 2)
    forged.snapshot("a")
    forged.snapshot("b")
    forged.events[-1:-1] = ["0\t0\t7\tZ\t10\t0\t1\t0"]  # between begin and end of b, after its pages were read
    forged.free.discard(16)
    forged.snapshot("c")
    first, second = replay_path(forged.write(tmp_path / "x"))
    assert first.exact
    assert not second.exact and second.explained and second.pages == 1 and "while a snapshot" in second.line()


def test_free_area_keeps_zones_apart():
    """Two halves of a block in two zones never merge: the reason why each zone has lists of its own."""
    one, other = FreeArea(), FreeArea()
    one.give(0, 512)
    other.give(512, 512)
    assert one.counts()[9] == other.counts()[9] == 1 and one.counts()[10] == 0
