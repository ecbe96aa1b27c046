"""The benchmark measures what it says; its figures themselves are not tested, machines differ."""

from __future__ import annotations

import json
from typing import Any

from zonelab import bench
from zonelab.machine import BLOCK
from zonelab.machine.buddy import FreeArea


def test_naive_simulator_gives_the_same_pages():
    ours, naive = FreeArea(tail_rule=False), bench.NaiveBuddy()
    areas: list[Any] = [ours, naive]
    for area in areas:
        area.insert(BLOCK, 10)
        area.insert(0, 10)
    held: list[list[Any]] = [[], []]
    for operation in bench.mixed_operations(2 * BLOCK, 20_000):
        for area, got in zip(areas, held, strict=True):
            if operation < 4:
                got.append(area.alloc(operation))
            elif got[(operation >> 2) - 1] is not None:
                area.free(got[(operation >> 2) - 1], operation & 3)
    assert held[0] == held[1]
    assert [list(area) for area in ours.lists] == naive.lists


def test_mixed_operations_stay_near_55_of_100():
    live: dict[int, int] = {}
    made = peak = 0
    for operation in bench.mixed_operations(4096, 50_000):
        if operation < 4:
            made += 1
            live[made] = 1 << operation
        else:
            assert live.pop(operation >> 2) == 1 << (operation & 3)
        peak = max(peak, made)
    assert 0.5 < sum(live.values()) / 4096 < 0.6


def test_rows_as_text_and_json():
    row = bench.at_most("boot", 2.5, "ms", 5)
    assert row.holds
    assert str(row).endswith("holds")
    assert set(json.loads(json.dumps(row.as_dict()))) >= {"name", "value", "unit", "target", "holds"}
    assert "MISSED" in str(bench.at_least("rate", 1, "million/s", 3))
