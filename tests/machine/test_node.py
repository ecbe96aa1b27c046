"""Nodes and zones: distances, ``find_next_best_node()``, ``setup_per_zone_wmarks()``, ``zone_watermark_ok()``, carving."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.machine import Machine
from zonelab.machine.node import Node, check_distances, fallback_order
from zonelab.machine.zone import Zone

SOCKETS = [[10, 16, 22, 22], [16, 10, 22, 22], [22, 22, 10, 16], [22, 22, 16, 10]]


def a_zone(profile="6.12", blocks=16, first=0):
    return Zone(0, "Normal", 0, "main", None, np.arange(first, first + blocks), profile)


@pytest.mark.parametrize(
    ("distances", "orders"),
    [
        (None, [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]),
        (SOCKETS, [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]),
    ],
)
def test_known_fallback_orders(distances, orders):
    assert fallback_order(check_distances(distances, 4)) == orders
    m = Machine(nodes=4, node_mib=16, distances=distances)
    assert [[zone.node for zone in m.fallback(node)] for node in range(4)] == orders


@settings(deadline=None)
@given(size=st.integers(1, 8), data=st.data())
def test_nearest_first_and_a_lower_number_is_one_farther(size, data):
    row = st.lists(st.integers(10, 40), min_size=size, max_size=size)
    rows = data.draw(st.lists(row, min_size=size, max_size=size))
    distances = [[10 if a == b else far for b, far in enumerate(row)] for a, row in enumerate(rows)]
    for local, order in enumerate(fallback_order(check_distances(distances, size))):
        assert order[0] == local and sorted(order) == list(range(size))
        cost = [distances[local][node] + (node < local) for node in order[1:]]
        assert cost == sorted(cost)


def test_distances_that_are_fine():
    assert check_distances(None, 2) == [[10, 20], [20, 10]]
    assert check_distances(None, 1) == [[10]]
    one_way = [[10, 254], [11, 10]]
    for given_as in (one_way, np.array(one_way), ((10, 254), (11, 10)), [[10.0, 254.0], [11.0, 10.0]]):
        got = check_distances(given_as, 2)
        assert got == one_way and all(type(d) is int for row in got for d in row)


@pytest.mark.parametrize(
    ("distances", "says"),
    [
        ([[10, 20, 30], [20, 10, 30]], "2 × 2 matrix"),
        ([[10, 20], [20]], "2 × 2 matrix"),
        ("near and far", "2 × 2 matrix"),
        ([[20, 10], [20, 10]], "node 0 to node 0 is 20"),
        ([[10, 20], [9, 10]], "node 1 to node 0 is 9"),
        ([[10, 255], [20, 10]], "node 0 to node 1 is 255"),
        ([[10, 20.5], [20, 10]], r"is 20\.5"),
        ([[10, float("nan")], [20, 10]], "is nan"),
        ([[10, "20"], [20, 10]], "is '20'"),
        ([[10, True], [20, 10]], "is True"),
    ],
)
def test_distances_that_cannot_be(distances, says):
    with pytest.raises(BadRequest, match=says):
        check_distances(distances, 2)


@pytest.mark.parametrize(
    ("mib", "old", "new"),
    [
        (4, (64, 80, 96), (64, 80, 96)),
        (64, (256, 320, 384), (256, 320, 384)),
        (256, (512, 640, 768), (512, 640, 768)),
        (1 << 10, (1024, 1280, 1536), (1024, 1286, 1548)),  # 0.1 % of the zone is more than a quarter of min
        (4 << 10, (2048, 2560, 3072), (2048, 3096, 4144)),
        (1 << 20, (16384, 20480, 24576), (32768, 301203, 569638)),  # 2.6.20 keeps 64 MiB at most,
        (16 << 20, (16384, 20480, 24576), (65536, 4360503, 8655470)),  # 6.12 keeps 256 MiB
    ],
)
def test_watermarks_of_a_machine_with_one_zone(mib, old, new):
    for profile, marks in (("2.6.20", old), ("6.12", new)):
        zone = a_zone(profile, mib // 4)
        zone.set_watermarks(mib * 256)
        assert (zone.min, zone.low, zone.high) == marks


@pytest.mark.parametrize("profile", ["2.6.20", "6.12"])
def test_each_zone_has_its_share(profile):
    m = Machine(nodes=1, node_mib=64, profile=profile)
    zones = [m.carve(f"z{n}", 0, 4) for n in range(15)] + [m.nodes[0].main]
    assert {(zone.min, zone.low, zone.high) for zone in zones} == {(16, 20, 24)}


@pytest.mark.parametrize(
    ("free", "order", "mark", "old", "new"),
    [
        ([257], 0, 256, True, True),
        ([256], 0, 256, False, False),  # it must exceed the mark
        ([300], 3, 256, False, False),  # pages enough, but no block of eight
        ([0] * 8 + [2], 8, 256, True, True),  # 512 - 255 = 257
        ([0] * 8 + [2], 8, 257, False, False),
        ([300, 0, 0, 0, 1], 4, 256, False, True),  # 2.6.20: the 300 do not count, and 16 - 15 is less than 128
        ([100, 0, 0, 0, 20], 4, 256, True, True),  # 420 - 15 - 100 = 305 > 128, 64, 32, 16
        ([0, 0, 250, 3], 3, 256, False, True),  # 1,017 > 256, 128, 64; less the 1,000 it is 17, and 32 are wanted
        ([0, 0, 250, 5], 3, 256, True, True),  # 33 > 32
        ([], 0, 0, False, False),
    ],
)
def test_may_a_zone_give_a_block(free, order, mark, old, new):
    for profile, answer in (("2.6.20", old), ("6.12", new)):
        zone = a_zone(profile)
        for n, size in enumerate(size for size, blocks in enumerate(free) for _ in range(blocks)):
            zone.free_area.insert(n << 11, size)
        zone.low = mark
        assert zone.watermark_ok(order, mark) == zone.watermark_ok(order) == answer, profile


@settings(deadline=None)
@example(free=set(range(100, 116)), count=16, at=100)
@given(free=st.sets(st.integers(100, 115)), count=st.integers(1, 18), at=st.integers(98, 118))
def test_blocks_to_carve_are_the_lowest_stretch_that_is_free(free, count, at):
    node = Node(0, 100 << 10, a_zone(first=100))
    for block in free:
        node.main.free_area.insert(block << 10, 10)
    stretches = [[*range(b, b + count)] for b in sorted(free) if free.issuperset(range(b, b + count))]
    assert node.free_blocks().tolist() == sorted(free)
    lengths = [n for n in range(17) for b in free if free.issuperset(range(b, b + n))]
    assert node.longest_free_stretch() == max(lengths, default=0)

    def chosen(**how):
        try:
            return node.choose_blocks(count, **how).tolist()
        except BadRequest:
            return None

    enough = count <= min(len(free), 15)  # the main zone keeps a block
    here = [*range(at, at + count)]
    assert chosen() == (stretches[0] if enough and stretches else None)
    assert chosen(contiguous=False) == (sorted(free)[:count] if enough else None)
    assert chosen(at=at << 10) == (here if enough and here in stretches else None)
    assert chosen(at=(at << 10) + 512) is None
