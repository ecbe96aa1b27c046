"""The kernel's text formats: what we print is what Linux prints, what Linux prints we can read, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadFormat
from zonelab.kernel import Recording, buddyinfo, numactl, pagetypeinfo, recordings, zoneinfo
from zonelab.kernel.buddyinfo import FreeBlocks
from zonelab.kernel.numactl import Hardware, HardwareNode
from zonelab.machine import Machine

NUMACTL_OLD = """\
available: 2 nodes (0-1)
node 0 cpus: 0 1 2 3
node 0 size: 2048 MB
node 0 free: 1536 MB
node 1 cpus: 4 5 6 7
node 1 size: 2048 MB
node 1 free: 2000 MB
node distances:
node   0   1 
  0:  10  20 
  1:  20  10 
"""  # noqa: W291
NUMACTL_NEW = NUMACTL_OLD.replace("node   0   1 ", "node     0    1 ")
NUMACTL_NEW = NUMACTL_NEW.replace("  0:  10  20 ", "   0:   10   20 ").replace("  1:  20  10 ", "   1:   20   10 ")
PARSERS: dict[str, Callable[[str], object]] = {
    "buddyinfo": buddyinfo.parse,
    "zoneinfo": zoneinfo.parse,
    "numactl": numactl.parse,
    "pagetypeinfo": pagetypeinfo.parse,
}


def busy() -> Machine:
    """A machine with zones of several kinds and some memory in use."""
    m = Machine(nodes=3, node_mib=[64, 32, 48], distances=[[10, 16, 32], [16, 10, 22], [32, 22, 10]])
    web, db = m.container("web", private_mib=8), m.container("db", node=2, private_mib=12)
    m.container_set("pair", [web, db], shared_mib=4)
    for task, pages in ((m.task(web), 777), (m.task(db), 1_500)):
        m.touch(m.mmap(task, pages=pages), 0, pages)
    return m


def kernel_text(name: str, experiment: str = "e1a_sizes") -> str:
    """What the recorded kernel printed in its first snapshot."""
    folder = next(path for path in recordings() if path.match(f"numa4/{experiment}"))
    return Recording(folder).snapshots[0].text(name)


EXAMPLES = {
    "buddyinfo": lambda: kernel_text("buddyinfo"),
    "zoneinfo": lambda: kernel_text("zoneinfo"),
    "numactl": lambda: NUMACTL_OLD,
    "pagetypeinfo": lambda: kernel_text("pagetypeinfo"),
}


# -- golden lines


def test_buddyinfo_prints_the_kernels_columns_and_its_trailing_blank():
    row = FreeBlocks(0, "Normal", (1, 0, 0, 1, 101, 8, 0, 0, 0, 0, 2))
    line = "Node 0, zone   Normal      1      0      0      1    101      8      0      0      0      0      2 \n"
    assert buddyinfo.format_rows([row]) == line
    assert buddyinfo.parse(line) == [row]
    assert row.pages == 1 + 8 + 101 * 16 + 8 * 32 + 2 * 1024


def test_a_fresh_machine_prints_its_largest_blocks_only():
    text = buddyinfo.format(Machine(nodes=1, node_mib=64))
    assert text == "Node 0, zone   Normal " + "     0 " * 10 + "    16 \n"


def test_numactl_in_both_styles():
    hardware = Hardware(
        (HardwareNode(0, (0, 1, 2, 3), 2048, 1536), HardwareNode(1, (4, 5, 6, 7), 2048, 2000)), ((10, 20), (20, 10))
    )
    for style, text in (("old", NUMACTL_OLD), ("new", NUMACTL_NEW)):
        assert numactl.format_hardware(hardware, style) == text  # type: ignore[arg-type]
        assert numactl.parse(text) == hardware


def test_numactl_with_a_node_without_cpus_gaps_and_unknown_numbers():
    nodes = (HardwareNode(0, (0, 1), 100, 50), HardwareNode(2, (), 64, 60), HardwareNode(3, (2,), None, None))
    table = ((10, 20, 30), (20, 10, 255), (30, 255, 10))
    text = numactl.format_hardware(Hardware(nodes, table))
    assert "available: 3 nodes (0,2-3)\n" in text
    assert "node 2 cpus:\n" in text
    assert "node 3 size: <not available>\n" in text
    assert numactl.parse(text) == Hardware(nodes, table)
    alone = Hardware(nodes[:1], None)
    assert numactl.parse(numactl.format_hardware(alone)) == alone
    assert numactl.format_hardware(alone).startswith("available: 1 nodes (0)\n")


def test_zoneinfo_lines_are_spaced_as_the_kernels():
    """Every line that we print occurs in the kernel's own text when numbers are taken out, and in the same order."""
    ours = re.sub(r"\d+", "N", zoneinfo.format(Machine(nodes=1, node_mib=64))).splitlines()
    theirs = re.sub(r"\d+", "N", kernel_text("zoneinfo")).replace("   DMA\n", "Normal\n").splitlines()
    theirs = [line for line in theirs if not line.startswith("      nr_") or line in ours]
    at = 0
    for line in ours:
        if line.startswith("        promo"):  # Linux 6.1 prints none
            continue
        at = theirs.index(line, at) + 1


# -- round trips


def test_a_machine_survives_the_round_trip():
    m = busy()
    assert buddyinfo.parse(buddyinfo.format(m)) == buddyinfo.rows(m)
    assert numactl.parse(numactl.format(m)) == numactl.parse(numactl.format(m, "new")) == numactl.hardware(m)
    found = zoneinfo.parse(zoneinfo.format(m))
    zones = [zone for node in m.nodes for zone in node.zones]
    assert [(z.node, z.zone, z.free, z.min, z.low, z.high, z.managed) for z in found] == [
        (z.node, z.name, z.free_pages, z.min, z.low, z.high, z.pages) for z in zones
    ]
    assert sum(z.node_counters.get("nr_anon_pages", 0) for z in found) == 777 + 1_500
    assert zoneinfo.spans(zoneinfo.format(m)) == [(z.node, z.zone, z.start_pfn, z.spanned) for z in found]


def test_the_2_6_20_profile_prints_no_lines_of_later_kernels():
    text = zoneinfo.format(Machine(nodes=1, node_mib=64, profile="2.6.20"))
    assert not re.search("boost|promo|managed|cma|node_unreclaimable", text)
    assert zoneinfo.parse(text)[0].present == 64 * 256


@pytest.mark.parametrize("folder", recordings(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_kernels_own_texts_survive_the_round_trip(folder):
    for snapshot in Recording(folder).snapshots:
        text = snapshot.text("buddyinfo")
        assert buddyinfo.format_rows(buddyinfo.parse(text)) == text
        text = snapshot.text("pagetypeinfo")
        assert pagetypeinfo.format_types(pagetypeinfo.parse(text)) == text
        zones = [zone for zone in snapshot.zoneinfo if zone.populated]
        free = {(row.node, row.zone): row.pages for row in snapshot.buddyinfo}
        assert {(zone.node, zone.zone) for zone in zones} == free.keys()
        for zone in zones:  # zoneinfo's number lags behind by what the cpus have not added yet: at most 125 pages each
            assert abs(zone.free - free[zone.node, zone.zone]) <= 125 * len(zone.pagesets)
        assert all(zone.counters["nr_free_pages"] == zone.free and zone.pagesets for zone in zones)
        assert [(z.node, z.zone, z.start_pfn, z.spanned) for z in zones] == zoneinfo.spans(snapshot.text("zoneinfo"))


counts = st.lists(st.integers(0, 10**9), min_size=11, max_size=11).map(tuple)
names = st.text("abcDMA32Normal.-_", min_size=1, max_size=14)


@given(st.dictionaries(st.tuples(st.integers(0, 99), names), counts, min_size=1, max_size=8), st.randoms())
def test_any_buddyinfo_survives_the_round_trip_and_other_blanks(table, random):
    rows = [FreeBlocks(node, zone, cells) for (node, zone), cells in table.items()]
    text = buddyinfo.format_rows(rows)
    assert buddyinfo.parse(text) == rows
    loose = "\n\n".join(re.sub(" +", lambda _: " " * random.randint(1, 4), line.strip()) for line in text.splitlines())
    assert buddyinfo.parse(loose.replace("\n", "\r\n")) == rows


@st.composite
def hardwares(draw):
    ids = sorted(draw(st.sets(st.integers(0, 63), min_size=1, max_size=6)))
    mib = st.none() | st.integers(0, 10**7)
    nodes = tuple(
        HardwareNode(id, tuple(draw(st.lists(st.integers(0, 999), max_size=5))), draw(mib), draw(mib)) for id in ids
    )
    row = st.lists(st.integers(10, 255), min_size=len(ids), max_size=len(ids)).map(tuple)
    return Hardware(nodes, tuple(draw(row) for _ in ids))


@given(hardwares(), st.sampled_from(["old", "new"]))
def test_any_hardware_survives_the_round_trip(hardware, style):
    assert numactl.parse(numactl.format_hardware(hardware, style)) == hardware


# -- torn and foreign input


def outcome(name: str, text: str) -> object:
    """What a parser makes of a text: its result, or the one error that it may raise."""
    try:
        return PARSERS[name](text)
    except BadFormat as error:
        return error


@pytest.mark.parametrize("name", PARSERS)
def test_a_torn_text_is_refused_or_read_as_what_is_left_of_it(name):
    """Cut at every place: an error with a line number and what was expected, or whole zones and nothing made up."""
    text = EXAMPLES[name]()
    whole = PARSERS[name](text)
    errors = 0
    for cut in range(0, len(text.rstrip()), 1 if len(text) < 3_000 else 37):
        part = outcome(name, text[:cut])
        if isinstance(part, BadFormat):
            assert part.line is not None and 1 <= part.line <= text.count("\n") + 1
            assert part.expected and f"line {part.line}" in str(part)
            errors += 1
        elif isinstance(whole, list):
            assert isinstance(part, list)
            assert [(row.node, row.zone) for row in part] == [(row.node, row.zone) for row in whole[: len(part)]]
            if name == "buddyinfo":
                assert part[:-1] == whole[: len(part) - 1]
    assert errors > 10


def test_numactl_cut_anywhere_is_refused_but_within_its_last_number():
    for cut in range(len(NUMACTL_OLD) - len("10 \n")):
        with pytest.raises(BadFormat):
            numactl.parse(NUMACTL_OLD[:cut])


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "foreign", ["", "\n\n", "hello", "MemTotal:  16 kB\n", "\0\xff", "Node 0, zone", "node 0 cpus: 0\n", "{}"]
)
def test_a_foreign_text_is_refused(name, foreign):
    with pytest.raises(BadFormat) as caught:
        PARSERS[name](foreign)
    assert caught.value.line is not None and caught.value.expected


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("other", PARSERS)
def test_one_file_is_not_taken_for_another(name, other):
    if name != other:
        with pytest.raises(BadFormat):
            PARSERS[name](EXAMPLES[other]())


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("101", "1o1"), 2),
        (("   101", ""), 2),
        (("   101", "   101      4"), 2),
        (("101", "-1"), 2),
        (("101", "9" * 30), 2),
        (("Normal", "DMA"), 2),
        (("Node 0, zone   Normal", "Nod 0, zone   Normal"), 2),
    ],
)
def test_buddyinfo_names_the_wrong_line(change, line):
    text = (
        "Node 0, zone      DMA      0      1      0      0      1      2      1      1      1      1      3 \n"
        "Node 0, zone   Normal      1      0      0      1    101      8      0      0      0      0      2 \n"
    )
    with pytest.raises(BadFormat) as caught:
        buddyinfo.parse(text.replace(*change))
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("2 nodes", "3 nodes"), 1),
        (("(0-1)", "(1-0)"), 1),
        (("(0-1)", "(0-99999)"), 1),
        (("cpus: 4 5", "cpus: 4 x"), 5),
        (("node 1 size", "node 2 size"), 6),
        (("node 0 free: 1536 MB\n", ""), 7),
        (("1536 MB", "1536 kB"), 4),
        (("node   0   1", "node   0   2"), 9),
        (("  20  10", "  20   1"), 11),
        (("  20  10", "  20"), 11),
    ],
)
def test_numactl_names_the_wrong_line(change, line):
    with pytest.raises(BadFormat) as caught:
        numactl.parse(NUMACTL_OLD.replace(*change))
    assert caught.value.line == line


@settings(max_examples=300)
@given(st.sampled_from(sorted(PARSERS)), st.data())
def test_damage_gives_a_result_or_the_one_error(name, data):
    """Fuzz: whatever is put in place of whatever part, a parser returns or raises BadFormat, and nothing else."""
    text = EXAMPLES[name]()[:4_000]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    put = data.draw(
        st.text(max_size=30) | st.sampled_from(["Node 0, zone ", "²", "٣", "-", "1" * 50, "node 1 size: ", "\r"])
    )
    result = outcome(name, text[:start] + put + text[end:])
    assert not isinstance(result, BadFormat) or (result.line and result.expected)


@given(st.sampled_from(sorted(PARSERS)), st.text())
def test_garbage_is_refused(name, text):
    with pytest.raises(BadFormat):
        PARSERS[name](text)
