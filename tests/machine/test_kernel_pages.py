"""Blocks for the kernel itself: orders, watermarks, fragmentation."""

from __future__ import annotations

import pytest

from zonelab.errors import OutOfMemory
from zonelab.machine import Machine


def test_a_block_is_split_and_merges_again():
    m = Machine(nodes=1, node_mib=32)
    task = m.task()
    start = m.zones[0].buddyinfo
    one, other = m.alloc_pages(task, 3), m.alloc_pages(task, 3)
    assert (one, other) == (0, 8) and m.root.charged == 16
    assert m.zones[0].buddyinfo[3:] == [0, 1, 1, 1, 1, 1, 1, 7]
    assert m.free_pages(one) == 3, "its buddy is in use"
    assert m.free_pages(other) == 10
    assert m.zones[0].buddyinfo == start
    m.check()


@pytest.mark.parametrize("profile", ["6.12", "2.6.20"])
def test_enough_pages_and_no_block(profile):
    """Every second page free: half of the zone, and not one block of order 1."""
    m = Machine(nodes=1, node_mib=32, profile=profile)
    task = m.task()
    pfns = [m.alloc_pages(task) for _ in range(m.zones[0].free_pages - m.zones[0].low)]
    for pfn in pfns[::2]:
        m.free_pages(pfn)
    assert m.zones[0].free_pages > 3900
    with pytest.raises(OutOfMemory, match="no zone of the list has a free block of order 10"):
        m.alloc_pages(task, 10)
    assert m.conserved()[2] == m.root.charged
    m.check()
    assert m.zones[0].free_area.fragmentation_index(9) > 900


def test_it_stays_when_its_container_moves_and_passes_to_root_when_it_exits():
    m = Machine(nodes=2, node_mib=32)
    web = m.container("web", private_mib=8)
    pfn = m.alloc_pages(m.task(web), 4)
    plan = m.plan_move(web, 1)
    assert plan.pages == 0 and plan.stayed == 16
    m.exit(web)
    assert m.root.charged == 16 and m.zone_of(pfn).name == "Normal"
    assert m.free_pages(pfn) == 10, "the block is whole again"
    m.check()
