"""One test for each claim that the course teaches, named by its id; each fails if the claim is false of the simulator."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from zonelab.errors import BadRequest, OutOfMemory
from zonelab.machine import (
    BLOCK,
    AsQuoted,
    ByMount,
    Corrected,
    EqualSplit,
    Event,
    FirstTouch,
    LastTouch,
    Literal,
    Machine,
    PageOwnership,
    PerSet,
    Proportional,
)
from zonelab.machine.lookup import BlockTable, PerPage, SortedSpans
from zonelab.machine.whatif import UncheckedZones


class Pair:
    """Two containers in a set, a task in each, and a file: what most claims need."""

    def __init__(self, private_mib: float = 8, shared_mib: float = 4, **options: object) -> None:
        self.events: list[Event] = []
        self.m = Machine(nodes=2, node_mib=64, on_event=self.events.append, **options)  # type: ignore[arg-type]
        self.web = self.m.container("web", private_mib=private_mib)
        self.db = self.m.container("db", private_mib=private_mib)
        self.pair = self.m.container_set("pair", [self.web, self.db], shared_mib=shared_mib)
        self.w, self.d = self.m.task(self.web), self.m.task(self.db)
        self.libc = self.m.file("libc", pages=400)

    def zones_of(self, table: np.ndarray) -> set[str]:
        return {self.m.zone_of(int(pfn)).name for pfn in table if pfn >= 0}


def test_c1_a_zone_for_each_container_and_one_for_their_set() -> None:
    p = Pair()
    assert [z.name for z in p.m.nodes[0].zones] == ["Normal", "web.private", "db.private", "pair.shared"]
    assert [len(z.blocks) for z in p.m.nodes[0].zones] == [11, 2, 2, 1]
    assert p.web.private and p.pair.shared and p.web.private.owner is p.web and p.pair.shared.owner is p.pair
    assert {z.name for z in p.m.zones} == {"Normal", "web.private", "db.private", "pair.shared"}
    p.m.check()


def test_c2_the_decision_falls_at_the_fault() -> None:
    p = Pair()
    free = p.m.conserved()[1]
    big = p.m.mmap(p.w, mib=1024)
    assert p.m.conserved()[1] == free, "mmap of 1 GiB allocates nothing"
    for n in range(1, 6):
        assert p.m.touch(big, n).new == 1
        assert p.m.conserved()[1] == free - n
    for shared in (False, True):  # and the VMA that faulted is known then, with its flag
        vma = p.m.mmap(p.w, pages=1, shared=shared)
        p.m.touch(vma)
        assert p.zones_of(vma.table) == {"pair.shared" if shared else "web.private"}


def test_c3_the_zonelist_is_an_explicit_value_and_zones_can_be_made_on_first_need() -> None:
    p = Pair()
    vma = p.m.mmap(p.w, pages=4)
    assert p.m.zonelist(vma) == (p.web.private,)
    lazy = p.m.container("lazy", private_mib=4, lazy=True)
    task = p.m.task(lazy)
    heap = p.m.mmap(task, pages=4)
    assert lazy.private is None
    p.m.touch(heap)
    assert lazy.private is not None and p.zones_of(heap.table) == {"lazy.private"}


def test_c4_a_shared_mapping_has_one_zone() -> None:
    p = Pair()
    for task in (p.w, p.d):
        vma = p.m.mmap(task, pages=50, shared=True)
        assert p.m.zonelist(vma) == (p.pair.shared,)
        p.m.touch(vma, 0, 50)
        assert p.zones_of(vma.table) == {"pair.shared"}
    over = p.m.mmap(p.w, pages=2 * BLOCK, shared=True)
    with pytest.raises(OutOfMemory):  # it never spills into a private zone
        p.m.touch(over, 0, 2 * BLOCK)
    assert p.zones_of(over.table) == {"pair.shared"}


def test_c5_four_readings_of_the_private_rule() -> None:
    def run(policy: object, first: str) -> tuple[set[str], set[str]]:
        """Zones of web's heap, and of libc, read by web (privately) and mapped shared by db, in the order given."""
        p = Pair(policy=policy)
        mount_file = p.libc
        if isinstance(policy, ByMount):
            mount_file = p.m.file("lib2", pages=400, mount=p.m.mount("usr", mib=4))
        heap = p.m.mmap(p.w, pages=10)
        p.m.touch(heap, 0, 10)
        maps = {
            "web": p.m.mmap(p.w, file=mount_file),
            "db": p.m.mmap(p.d, file=mount_file, shared=True),
        }
        for who in sorted(maps, key=lambda name: name != first):
            p.m.touch(maps[who], 0, 100, write=False)
        p.m.check()
        return p.zones_of(heap.table), p.zones_of(mount_file.cache)

    for first in ("web", "db"):
        assert run(AsQuoted(), first) == ({"pair.shared"}, {"pair.shared"})  # isolation is nil
        assert run(Corrected(), first) == ({"web.private"}, {"pair.shared"})
        assert run(ByMount(), first) == ({"web.private"}, {"usr.mount"})
    # Literally, the zone of a library's page depends on who comes first.
    assert run(Literal(), "web") == ({"web.private"}, {"web.private"})
    assert run(Literal(), "db") == ({"web.private"}, {"pair.shared"})


def test_c6_borrowing_appends_zones_to_the_zonelist() -> None:
    for borrow_first in (True, False):
        p = Pair(policy=Corrected(reclaim_first=not borrow_first))
        assert p.web.private is not None and p.db.private is not None
        heap = p.m.mmap(p.w, pages=3 * BLOCK)
        with pytest.raises(OutOfMemory):
            p.m.touch(heap, 0, 3 * BLOCK)  # without: it fails when its zone is down to the min mark
        assert p.web.private.free_pages == p.web.private.min
        q = Pair(policy=Corrected(reclaim_first=not borrow_first))
        q.web.borrow = (q.m.nodes[0].main,)
        heap = q.m.mmap(q.w, pages=3 * BLOCK)
        assert q.m.zonelist(heap) == (q.web.private, q.m.nodes[0].main)
        q.m.touch(heap, 0, 3 * BLOCK)
        assert q.web.private is not None and q.web.private.free_pages == q.web.private.low  # its own down to low first
        assert q.zones_of(heap.table) == {"web.private", "Normal"}
        q.m.check()


def test_c6_reclaim_first_and_borrow_first_differ() -> None:
    fate = {}
    for reclaim_first in (False, True):
        p = Pair(policy=Corrected(reclaim_first=reclaim_first, cache_key="container"))
        p.web.borrow = (p.m.nodes[0].main,)
        log = p.m.file("log", pages=3 * BLOCK)
        p.m.read(p.w, log, 0, 3 * BLOCK)
        fate[reclaim_first] = sum(p.m.interference.values()), p.zones_of(log.cache)
    assert fate[False] == (0, {"web.private", "Normal"})
    assert fate[True][0] > 0 and fate[True][1] == {"web.private"}


def test_c7_borrowing_lets_containers_interfere_and_only_borrowing_or_sharing_does() -> None:
    def run(borrow: bool) -> dict[tuple[str, str], int]:
        p = Pair(policy=Corrected(cache_key="container"))
        if borrow:
            p.web.borrow = (p.db.private,)  # type: ignore[assignment]
        p.m.read(p.d, p.m.file("db-data", pages=BLOCK), 0, BLOCK)
        log = p.m.file("log", pages=6 * BLOCK)
        p.m.read(p.w, log, 0, 6 * BLOCK)
        p.m.check()
        return {pair: n for pair, n in p.m.interference.items() if pair[0] != pair[1]}

    assert run(borrow=False) == {}
    assert run(borrow=True).get(("db", "web"), 0) > 0


def test_c8_one_file_two_sets_first_set_to_fault_decides() -> None:
    m = Machine(nodes=1, node_mib=64)
    a, b = m.container("a", private_mib=4), m.container("b", private_mib=4)
    m.container_set("left", [a], shared_mib=4)
    m.container_set("right", [b], shared_mib=4)
    common = m.file("common", pages=100)
    va, vb = m.mmap(m.task(a), file=common, shared=True), m.mmap(m.task(b), file=common, shared=True)
    m.touch(va, 0, 60)
    done = m.touch(vb, 40, 60)
    assert (done.found, done.new) == (20, 40)  # the page cache is asked before anything is allocated
    assert [m.zone_of(int(pfn)).name for pfn in common.cache] == ["left.shared"] * 60 + ["right.shared"] * 40
    m.check()


def test_c9_without_a_shared_zone_the_first_to_fault_pays_for_all() -> None:
    def run(order: tuple[str, ...]) -> dict[str, Fraction]:
        m = Machine(nodes=1, node_mib=64)
        tasks = {name: m.task(m.container(name, private_mib=4)) for name in ("a", "b")}
        data = m.file("data", pages=100)
        for name in order:
            vma = m.mmap(tasks[name], file=data, shared=True)
            m.touch(vma, 0, 100, write=False)
        assert {m.zone_of(int(pfn)).name for pfn in data.cache} == {f"{order[0]}.private"}
        return m.bill()

    assert run(("a", "b")) == {"root": 0, "a": 100, "b": 0}
    assert run(("b", "a")) == {"root": 0, "a": 0, "b": 100}


def test_c10_no_rule_is_fair_in_every_respect() -> None:
    """Small traces, every order of arrival, three plain wishes; each rule breaks one of them.

    The wishes: *order*, the bill does not depend on who came first; *bystander*, my bill does not change because of what
    others do; *user*, who uses nothing pays nothing and who uses something pays something.
    """

    def bill(rule: object, order: tuple[str, ...]) -> dict[str, Fraction]:
        m = Machine(nodes=1, node_mib=64, rule=rule)  # type: ignore[arg-type]
        c = {name: m.container(name, private_mib=4) for name in "abc"}
        m.container_set("s", [c["a"], c["b"]], shared_mib=0)
        data = m.file("data", pages=6)
        for name in order:
            m.touch(m.mmap(m.task(c[name]), file=data, shared=True), 0, 6, write=False)
        m.check()
        return m.bill()

    broken: dict[str, set[str]] = {}
    for rule in (FirstTouch(), EqualSplit(), Proportional(), PerSet(), LastTouch()):
        broken[rule.name] = set()
        for size in (1, 2, 3):
            for order in permutations("abc", size):
                now = bill(rule, order)
                assert sum(now.values()) == 6, "every page is paid for once"
                if any(bill(rule, other) != now for other in permutations(order)):
                    broken[rule.name].add("order")
                if size > 1:
                    before = bill(rule, order[:-1])
                    if any(now.get(name, 0) != before.get(name, 0) for name in order[:-1]):
                        broken[rule.name].add("bystander")
                if any((now.get(name, Fraction(0)) > 0) != (name in order) for name in "abc"):
                    broken[rule.name].add("user")
    assert broken == {
        "first touch": {"order", "user"},
        "equal split": {"bystander"},
        "proportional": {"bystander"},
        "per set": {"order", "user"},
        "last touch": {"order", "bystander", "user"},
    }


def test_c11_sharing_alone_is_enough_to_disturb() -> None:
    p = Pair()
    hot = p.m.mmap(p.w, file=p.libc, shared=True)
    p.m.touch(hot, 0, 400, write=False)
    stream = p.m.file("stream", pages=4 * BLOCK)
    p.m.read(p.d, stream, 0, 4 * BLOCK)  # B streams through the zone they share
    assert p.m.interference["web", "db"] == 400
    assert p.m.refaults["web"] == 0
    again = p.m.touch(hot, 0, 400, write=False)
    assert again.new == 400 and p.m.refaults["web"] == 400
    p.m.check()


def test_c12_a_page_stays_where_it_was_put() -> None:
    p = Pair(policy=Literal())
    lib = p.m.mmap(p.w, file=p.libc)
    p.m.touch(lib, 0, 200, write=False)
    before = lib.table[:200].copy()
    p.m.policy = Corrected()  # the assignment changes half way
    p.m.touch(lib, 0, 400, write=False)
    assert (lib.table[:200] == before).all()
    assert p.zones_of(lib.table[:200]) == {"web.private"} and p.zones_of(lib.table[200:]) == {"pair.shared"}


def test_c13_one_file_tree_under_three_keys() -> None:
    zones = {}
    for key in ("container", "set", "mount"):
        p = Pair(policy=Corrected(cache_key=key))  # type: ignore[arg-type]
        usr = p.m.mount("usr", mib=4)
        lib = p.m.file("lib", pages=50, mount=usr)
        p.m.read(p.d, lib, 0, 50)
        zones[key] = p.zones_of(lib.cache)
    assert zones == {"container": {"db.private"}, "set": {"pair.shared"}, "mount": {"usr.mount"}}


def test_c14_the_shrinker_throws_away_far_more_than_the_zone_gets_back() -> None:
    cost = {}
    for reach in ("global", "node", "zone"):
        m = Machine(nodes=2, node_mib=64)
        tasks = [m.task(m.container(f"c{i}", node=i % 2, private_mib=4)) for i in range(4)]
        for _ in range(60):
            for task in tasks:
                m.dentries(task, 30)
        target = m.zone_of(next(iter(m._dentries.filled)))
        got = m.shrink_dentries(target, 5, reach)  # type: ignore[arg-type]
        assert got.wanted_there == 5
        cost[reach] = got.objects
        m.check()
    assert cost["global"] > cost["node"] > cost["zone"] >= 5 * 21


def test_c15_an_orphaned_zone_is_merged_and_nothing_has_to_coalesce() -> None:
    p = Pair()
    heap = p.m.mmap(p.w, pages=1000)
    p.m.touch(heap, 0, 1000)
    lib = p.m.mmap(p.w, file=p.libc)
    p.m.policy = Literal()  # so that a page that outlives web lies in web's zone
    p.m.touch(lib, 0, 100, write=False)
    survivors = p.libc.cache[:100].copy()
    zone, main = p.web.private, p.m.nodes[0].main
    assert zone is not None
    blocks = set(zone.blocks.tolist())
    p.m.exit(p.web, merge=False)
    assert zone in p.m.zones and zone.owner is None, "an orphan, until it is merged"
    lists = [set(a) | set(b) for a, b in zip(zone.free_area.lists, main.free_area.lists, strict=True)]
    p.m.merge(zone)
    assert zone not in p.m.zones and blocks <= set(main.blocks.tolist())
    assert [set(area) for area in main.free_area.lists] == lists, "list by list the union, no two blocks became one"
    assert (p.libc.cache[:100] == survivors).all(), "live pages keep their place"
    assert p.web.charged == 0 and p.m.root.charged == 100, "charges go to the parent"
    p.m.check()


def test_c16_the_block_table_answers_like_the_others_and_is_a_thousandth_of_a_per_page_table() -> None:
    m = Machine(nodes=4, node_mib=1024)
    for i in range(20):
        m.container(f"c{i}", node=i % 4, private_mib=8 + 4 * i, contiguous=False)
    pfns = np.random.default_rng(1).integers(0, m.total_pages, 10_000)
    table, page, spans = (kind(m.zones, m.total_pages) for kind in (BlockTable, PerPage, SortedSpans))
    assert (table.zone_of(pfns) == page.zone_of(pfns)).all() and (table.zone_of(pfns) == spans.zone_of(pfns)).all()
    assert (table.zone_of(pfns) == [m.zone_of(int(pfn)).id for pfn in pfns]).all()
    assert page.nbytes == BLOCK * table.nbytes


def test_c17_a_border_inside_a_block_corrupts_both_zones_and_is_refused() -> None:
    what_if = UncheckedZones(0, 1000, 2048)
    what_if.start_used()
    for pfn in range(1000, 1008):
        what_if.free(pfn)
    for pfn in range(992, 1000):
        what_if.free(pfn)
    assert [(t.robbed, t.pfn, t.buddy, t.order) for t in what_if.thefts] == [("B", 992, 1000, 3)]
    assert what_if.damage() == {"A": (8, 16, 8), "B": (8, 0, 0)}
    aligned = UncheckedZones(0, 1024, 2048)
    aligned.start_used()
    for pfn in range(2048):
        aligned.free(pfn)
    assert not aligned.thefts, "no buddy pair straddles an aligned border"
    m = Machine(nodes=1, node_mib=64)
    before = m.digest()
    with pytest.raises(BadRequest, match=r"1,024.*0 or 1,024 would do"):
        m.container("web", private_mib=4, at=1000)
    assert m.digest() == before


@pytest.mark.parametrize(("mib", "blocks"), [(0.1, 1), (4, 1), (4.1, 2), (10, 3), (12, 3)])
def test_c18_a_block_is_the_smallest_zone_and_rounding_strands_memory(mib: float, blocks: int) -> None:
    m = Machine(nodes=1, node_mib=1024)
    stranded = 0.0
    for i in range(20):
        zone = m.container(f"c{i}", private_mib=mib).private
        assert zone is not None and len(zone.blocks) == blocks
        stranded += zone.pages / 256 - mib
    assert stranded == pytest.approx(20 * (4 * blocks - mib))


def test_c19_moving_means_a_new_zone_and_every_page_copied() -> None:
    p = Pair()
    heap = p.m.mmap(p.w, pages=700)
    p.m.touch(heap, 0, 700)
    lib = p.m.mmap(p.w, file=p.libc)
    p.m.touch(lib, 0, 100, write=False)
    p.m.pin(heap, 0, 3)
    plan = p.m.plan_move(p.web, 1)
    assert plan.pages == 697 and plan.blocks == 2 and plan.bytes == 697 * 4096
    assert {why.split(":")[0].split(",")[0]: len(x) for why, x in plan.staying.items()} == {
        "pinned": 3,
        "lies in pair.shared": 100,
    }
    assert 0 < plan.break_even < float("inf")
    old_zone, before = p.web.private, heap.table.copy()
    report = p.m.move(p.web, 1)
    assert (report.moved, report.stayed) == (697, 103)
    assert p.web.private is not old_zone and p.web.private is not None and p.web.private.node == 1
    assert (p.m.node_of_block[heap.table[3:] >> 10] == 1).all() and (heap.table[:3] == before[:3]).all()
    assert p.web.charged == 800
    p.m.check()


def test_c19_a_move_fails_cleanly_when_the_target_is_full_or_fragmented_or_called_off() -> None:
    p = Pair(private_mib=16)
    heap = p.m.mmap(p.w, pages=700)
    p.m.touch(heap, 0, 700)
    p.m.carve("ballast", 1, 56)
    before = p.m.digest()
    with pytest.raises(BadRequest, match=r"too full.*4 neighbouring blocks"):
        p.m.move(p.web, 1)
    assert p.m.digest() == before
    q = Pair(private_mib=16)
    heap = q.m.mmap(q.w, pages=700)
    q.m.touch(heap, 0, 700)
    for i in range(5):
        q.m.carve(f"wall{i}", 1, 4, at=(16 + 3 * i) * BLOCK)
    before = q.m.digest()
    with pytest.raises(BadRequest, match="too fragmented"):
        q.m.move(q.web, 1)
    assert q.m.digest() == before
    r = Pair()
    heap = r.m.mmap(r.w, pages=700)
    r.m.touch(heap, 0, 700)
    before_table, zones = heap.table.copy(), [z.name for z in r.m.zones]
    steps = r.m.moving(r.web, 1, step=10)
    for _ in range(30):
        next(steps)
    steps.close()
    assert (heap.table == before_table).all() and [z.name for z in r.m.zones] == zones
    r.m.check()


def test_rivals_page_ownership_limits_without_zones() -> None:
    """The alternative that Linux took: a limit and a counter, pages anywhere, reclaim from one's own."""
    p = Pair(policy=PageOwnership(), private_mib=2)
    log = p.m.file("log", pages=2000)
    p.m.read(p.w, log, 0, 2000)
    assert p.web.charged <= 512 and p.m.interference.keys() == {("web", "web")}
    assert [z.name for z in p.m.zones] == ["Normal", "Normal"]
    heap = p.m.mmap(p.d, pages=600)
    with pytest.raises(OutOfMemory, match="limit of 512"):
        p.m.touch(heap, 0, 600)
    p.m.check()


def test_claims_are_all_here() -> None:
    here = {name.split("_")[1].upper() for name in globals() if name.startswith("test_c") and name[6].isdigit()}
    assert here == {f"C{n}" for n in range(1, 20)}
