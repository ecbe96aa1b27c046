"""Fault-around and readahead: which neighbours of a faulting page are mapped or read with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.machine import Machine


def machine(**options):
    return Machine(nodes=1, node_mib=64, **options)


def filled(m, pages, tmpfs=True):
    """A file whose pages are all in the page cache."""
    task = m.task()
    file = m.file(f"f{len(m.files)}", pages=pages, tmpfs=tmpfs)
    if tmpfs:
        m.touch(m.mmap(task, file=file, shared=True), 0, pages)
    else:
        m.read(task, file, 0, pages)
    return file


@given(pages=st.integers(1, 200), around=st.sampled_from([1, 2, 16, 64]), tmpfs=st.booleans())
def test_a_cached_file_costs_one_fault_for_each_window(pages, around, tmpfs):
    m = machine(fault_around=around)
    file = filled(m, pages, tmpfs)
    vma = m.mmap(m.task(), file=file, shared=True)
    used = m.conserved()[2]
    touched = m.touch(vma, 0, pages, write=False)
    assert touched.faults == touched.found == -(-pages // around)
    assert touched.hits == pages - touched.found
    assert vma.table.tolist() == file.cache.tolist()
    assert m.conserved()[2] == used, "nothing is allocated"
    m.check()


@given(
    cached=st.sets(st.integers(0, 63)),
    touches=st.lists(st.tuples(st.integers(0, 63), st.booleans()), min_size=1, max_size=30),
    shared=st.booleans(),
)
def test_against_a_page_table_by_hand(cached, touches, shared):
    """Random touches of a tmpfs file of 64 pages, some of them there already; an oracle with a set."""
    m = machine(fault_around=8)
    file = m.file("f", pages=64, tmpfs=True)
    writer = m.mmap(m.task(), file=file, shared=True)
    for page in cached:
        m.touch(writer, page)
    vma = m.mmap(m.task(), file=file, shared=shared)
    there, mapped, mine = set(cached), set(), set()
    for page, write in touches:
        copies = write and not shared
        fault = page not in mapped or (copies and page not in mine)
        assert m.touch(vma, page, write=write).faults == fault
        if fault:
            if page not in mapped and not write:
                start = page - page % 8
                mapped |= {near for near in range(start, start + 8) if near in there}
            there.add(page)
            mapped.add(page)
            if copies:
                mine.add(page)
        assert {at for at in range(64) if vma.table[at] >= 0} == mapped
        assert {at for at in range(64) if file.cache[at] >= 0} == there
    m.check()


def test_a_whole_touch_is_as_many_single_touches():
    counts = []
    for step in (1, 7, 300):
        m = machine(fault_around=16, readahead=32)
        vma = m.mmap(m.task(), file=m.file("f", pages=300))
        faults = 0
        for at in range(0, 300, step):
            faults += m.touch(vma, at, min(step, 300 - at), write=False).faults
        counts.append((faults, vma.table.tolist()))
        m.check()
    assert counts[0] == counts[1] == counts[2]


def test_sequential_reading_stays_ahead_of_the_reader():
    """A fault a window, and one more for the mark in the first: it comes three quarters into the first 32 pages."""
    m = machine(fault_around=16, readahead=32)
    file = m.file("f", pages=512)
    vma = m.mmap(m.task(), file=file)
    assert m.touch(vma, 0, 1, write=False).new == 1
    assert (file.cache >= 0).sum() == 32 and (vma.table >= 0).sum() == 16
    m.touch(vma, 0, 24, write=False)
    assert (file.cache >= 0).sum() == 32, "page 24 has the mark, and is not reached yet"
    assert m.touch(vma, 24, 1, write=False).found == 1
    assert (file.cache >= 0).sum() == 64
    rest = m.touch(vma, 25, 487, write=False)
    assert rest.new == 0, "no page has to be waited for any more"
    assert 1 + 1 + 1 + rest.faults == 512 // 16 + 1


def test_a_window_reaches_back_and_ends_with_the_file():
    m = machine(readahead=32)
    file = m.file("f", pages=40)
    vma = m.mmap(m.task(), file=file)
    m.touch(vma, 30, 1, write=False)
    assert [at for at in range(40) if file.cache[at] >= 0] == list(range(14, 40))
    assert (vma.table >= 0).sum() == 1, "read, not mapped: there is no fault-around here"
    m.check()


def test_what_is_read_ahead_is_charged_to_the_reader_and_counts_against_its_limit():
    from zonelab.machine import PageOwnership

    m = machine(fault_around=16, readahead=32, policy=PageOwnership())
    small = m.container("small", private_mib=0.25)  # 64 pages
    vma = m.mmap(m.task(small), file=m.file("f", pages=400))
    m.touch(vma, 0, 400, write=False)
    assert small.charged <= 64 and m.interference["small", "small"] >= 400 - 64
    m.check()


def test_tmpfs_is_never_read_ahead():
    m = machine(fault_around=16, readahead=32)
    vma = m.mmap(m.task(), file=m.file("s", pages=100, tmpfs=True), shared=True)
    assert m.touch(vma, 0, 10, write=False).new == 10 and m.conserved()[2] == 10


def test_a_private_write_maps_no_neighbours():
    m = machine(fault_around=16)
    vma = m.mmap(m.task(), file=filled(m, 64))
    assert m.touch(vma, 5).copies == 1
    assert (vma.table >= 0).sum() == 1


@pytest.mark.parametrize("pages", [0, -1, 3, 1024, 1.5, True, "16", None])
def test_sizes_of_windows_are_checked(pages):
    for what in ("fault_around", "readahead"):
        with pytest.raises(BadRequest, match=f"{what}.*power of two"):
            machine(**{what: pages})


def test_windows_go_by_the_address_where_it_is_known():
    m = machine(fault_around=16)
    vma = m.mmap(m.task(), file=filled(m, 40))
    vma.start = 1000  # 8 pages beyond a multiple of 16
    m.touch(vma, 3, write=False)
    assert [at for at in range(40) if vma.table[at] >= 0] == list(range(8))
    m.touch(vma, 30, write=False)
    assert [at for at in range(40) if vma.table[at] >= 0] == [*range(8), *range(24, 40)]
