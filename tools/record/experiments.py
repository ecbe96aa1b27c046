"""The experiments: each writes one script or more, with sizes drawn at random.

All of a set share one stream of random numbers and are always drawn in this order, even those that are not run; so a seed
means the same scripts whatever else is asked for, and a new experiment goes to the end of ``EXPERIMENTS``. The scripts of
the recordings that come with zonelab are those of ``numa4`` with seed 1 and of ``fake`` with seed 11; a test compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tools.record.machines import Machine
from tools.record.scripts import Lab, Script, charges, events, groups
from zonelab.errors import BadRequest

SIZES = [1, 2, 3, 5, 8, 13, 16, 31, 32, 33, 64, 100, 127, 128, 256, 257, 512, 700, 1024, 1500]
FILE_PAGES = {1: 512, 2: 1024, 3: 1536, 4: 2048}
"""The files /disk/f1 to /disk/f4 of random bytes."""
HUGE = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
THP = "/sys/kernel/mm/transparent_hugepage"
ALONE = ["spawn A cpu=0 cs=/cs/A", "A nop"]


def e1a_sizes(lab: Lab) -> Iterator[Script]:
    """Regions of assorted sizes on node 0, mapped, touched and freed, whole or in two parts; then compaction."""
    s = Script("e1a_sizes", [*lab.set_of("A", 0), *ALONE, "sleep 200", "snap before"])
    draw, live, ids, snaps = lab.draw, dict[int, int](), list(range(1, 30)), 0
    for step in range(44):
        total = sum(live.values())
        if live and (draw.random() < 0.4 or total > 7000):
            region = draw.choice(sorted(live))
            pages = live.pop(region)
            if pages > 8 and draw.random() < 0.4:
                part = draw.randrange(1, pages)
                s.do(f"A unmap {region} 0 {part}", f"A unmap {region} {part} {pages - part}")
            else:
                s.do(f"A unmap {region} 0 {pages}")
            ids.append(region)
        else:
            region = ids.pop(0)
            pages = live[region] = draw.choice(SIZES)
            in_order = draw.random() < 0.6
            s.do(f"A map {region} {pages} anon private")
            s.do(f"A write {region} 0 {pages}" if in_order else f"A writeperm {region} {draw.randrange(1, 10**6)}")
        if step % 11 == 10:
            snaps += 1
            s.do(f"snap s{snaps}")
    s.do(*(f"A unmap {region} 0 {pages}" for region, pages in live.items()), "snap freed")
    s.do("A exit", "sleep 100", "snap exited")
    s.do("put /sys/devices/system/node/node0/compact 1", "sleep 50", "snap compacted", "rmdir /cs/A")
    yield s


def e1b_orders(lab: Lab) -> Iterator[Script]:
    """Blocks of exact orders for the kernel itself, unmovable, in a random order; a pipe."""
    s = Script("e1b_orders", [*lab.set_of("A", 0), *ALONE, "sleep 200", "snap before"])
    draw, orders, held = lab.draw, list(range(11)), list[int]()
    draw.shuffle(orders)
    for order in orders:
        blocks = draw.choice([1, 2, 3] if order > 6 else [2, 3, 5, 9] if order > 2 else [7, 20, 33])
        s.do(f"A ring {order} {blocks}", f"snap ring{order}")
        held.append(order)
        if len(held) > 3:
            s.do(f"A unring {held.pop(draw.randrange(len(held)))}")
    s.do(*(f"A unring {order}" for order in held))
    s.do(f"A pipe {draw.choice([16, 64, 128])}", "snap pipe", "A unpipe", "snap freed")
    s.do("A exit", "sleep 100", "snap exited", "rmdir /cs/A")
    yield s


def e1c_holes(lab: Lab) -> Iterator[Script]:
    """Every second or third page is freed; then blocks of higher orders are wanted."""
    pages, step = lab.draw.choice([1024, 2048, 3072]), lab.draw.choice([2, 3])
    s = Script("e1c_holes", lab.set_of("A", 0))
    s.do("spawn A cpu=0 cs=/cs/A", "spawn K cpu=0 cs=/cs/A", "A nop", "K nop", "sleep 200", "snap before")
    s.do(f"A map 1 {pages} anon private", f"A write 1 0 {pages}", "snap touched", f"A punch 1 {step} 0", "snap holes")
    s.do("K ring 0 40", "K ring 1 30", "K ring 3 20", "snap rings", f"A unmap 1 0 {pages}", "snap freed1")
    s.do("K unring 0", "K unring 3", "K unring 1", "snap freed2", "A exit", "K exit", "rmdir /cs/A")
    yield s


def e1d_huge(lab: Lab) -> Iterator[Script]:
    """Huge pages of both kinds: reserved ones, and transparent ones with one page of each given back."""
    reserved, pages = lab.draw.choice([3, 4, 5]), lab.draw.choice([1024, 1536, 2048])
    s = Script("e1d_huge", [*lab.set_of("A", 0), *ALONE, "sleep 200", "snap before"])
    s.do(f"put {HUGE} {reserved}", "snap hugetlb")
    s.do(f"A map 1 {pages} anon private", "A madvise 1 hugepage", f"A write 1 0 {pages}", "locate A 1", "snap thp")
    s.do(f"A punch 1 {pages // 4} 7", "snap punched", f"A unmap 1 0 {pages}", f"put {HUGE} 0", "snap freed")
    s.do("A exit", "rmdir /cs/A")
    s.before = f"echo madvise > {THP}/enabled; echo madvise > {THP}/defrag"
    s.after = f"echo never > {THP}/enabled"
    yield s


def e2_containers(lab: Lab) -> Iterator[Script]:
    """Two containers on two nodes: private memory, and memory shared in either direction and in halves."""
    a, b, one, two, three = (lab.draw.randrange(300, 1800) for _ in range(5))
    half = three // lab.draw.choice([2, 3])
    bill = charges("A", "B")
    s = Script("e2_containers", [*lab.set_of("A", 0), *lab.set_of("B", 1), *groups("A", "B")])
    s.do(f"truncate /tmpfs/s1 {one}", f"truncate /tmpfs/s2 {two}", f"truncate /tmpfs/s3 {three}")
    s.do("spawn A cpu=0 cs=/cs/A mg=/cg/A", f"spawn B cpu={lab.machine.cpu(1)} cs=/cs/B mg=/cg/B", "A nop", "B nop")
    s.do("sleep 100", "snap before", *bill)
    s.do(f"A map 1 {a} anon private", f"A write 1 0 {a}", f"B map 1 {b} anon private", f"B write 1 0 {b}")
    s.do("locate A 1", "locate B 1", *bill, "snap private cg")
    for region, first, second, pages in ((2, "A", "B", one), (3, "B", "A", two)):
        file = f"{region} {pages} /tmpfs/s{region - 1} shared"
        s.do(f"{first} map {file}", f"{first} write {region} 0 {pages}", f"locate {first} {region}", *bill)
        s.do(f"{second} map {file}", f"{second} read {region} 0 {pages}", f"{second} write {region} 0 {pages}")
        s.do(f"locate {second} {region}", *bill, f"snap shared_{first}_first cg")
    s.do(f"A map 4 {three} /tmpfs/s3 shared", f"A write 4 0 {half}")
    s.do(f"B map 4 {three} /tmpfs/s3 shared", f"B read 4 0 {three}", "locate A 4", "locate B 4")
    s.do(*bill, "snap shared_split cg", "numamaps A", "numamaps B")
    s.do("A exit", "sleep 50", *bill, "locate B 2", "snap A_gone cg", "B exit", "sleep 50", *bill)
    s.do("unlink /tmpfs/s1", "unlink /tmpfs/s2", "unlink /tmpfs/s3", "sleep 50", *bill, "snap unlinked")
    s.do("rmdir /cg/A", "rmdir /cg/B", "rmdir /cs/A", "rmdir /cs/B")
    yield s


def e3_full_nodes(lab: Lab) -> Iterator[Script]:
    """More than a node has: spilling over by preference and by default; then hard limits, and the OOM killer."""
    m = lab.machine
    everywhere = [*lab.set_of("ALL", lab.everywhere), "spawn A cpu=0 cs=/cs/ALL", "A nop", "sleep 100", "snap before"]
    # Of a real node 0 the kernel has half; a split machine's nodes are larger, and the kernel's part is smaller.
    n = lab.scaled(58000, 66000, m.pages(0), 256 * 256) if m.fake else lab.scaled(22000, 27000, m.pages(0))
    s = Script("e3a_prefer", [*everywhere, "A policy prefer:0", f"A map 1 {n} anon private", f"A write 1 0 {n}"])
    s.do("locate A 1", "numamaps A", "snap spilled", f"A unmap 1 0 {n}", "snap freed", "A exit", "rmdir /cs/ALL")
    yield s
    n = lab.scaled(46000, 54000, sum(m.pages(node) for node in m.fallback(0)[:2]), 2 * 128 * 256)
    s = Script("e3b_prefer_far", [*everywhere, f"A map 1 {n} anon private", f"A write 1 0 {n}", "locate A 1"])
    s.do("numamaps A", "snap spilled", "A exit", "rmdir /cs/ALL")
    yield s
    n = lab.scaled(24000, 30000, m.pages(0))
    too_much = [f"A map 1 {n} anon private", f"A write 1 0 {n}", "sleep 100", "snap after"]
    alone = [*lab.set_of("A", 0), *ALONE, "sleep 100", "snap before"]
    yield Script("e3c_cpuset_oom", [*alone, *too_much, "rmdir /cs/A"])
    yield Script("e3d_bind_oom", [*everywhere, "A policy bind:1", *too_much, "rmdir /cs/ALL"])


def _limited(lab: Lab, mib: int) -> list[str]:
    """A in a memory cgroup with a limit."""
    start = [*lab.set_of("A", 0), *groups("A"), f"put /cg/A/memory.max {mib}M"]
    return [*start, "spawn A cpu=0 cs=/cs/A mg=/cg/A", "A nop", "sleep 100", "snap before"]


def e3_limits(lab: Lab) -> Iterator[Script]:
    """A memory cgroup at its limit: killed; rereading a file that does not fit; swapping."""
    gone = ["rmdir /cg/A", "rmdir /cs/A"]
    mib = lab.draw.choice([4, 6, 8, 10])
    n = mib * 256 + lab.draw.randrange(200, 1200)
    s = Script("e3e_memcg_oom", [*_limited(lab, mib), *charges("A"), f"A map 1 {n} anon private", f"A write 1 0 {n}"])
    s.do("sleep 100", *charges("A"), events("A"), "snap after", *gone)
    yield s
    reading = [f"A read 1 0 {FILE_PAGES[4]}", "locate A 1", *charges("A"), events("A")]
    s = Script("e3f_memcg_reclaim", _limited(lab, lab.draw.choice([2, 3, 4])))
    s.do(f"A map 1 {FILE_PAGES[4]} /disk/f4 private", *reading, *reading, "snap after cg")
    s.do("A exit", "sleep 50", *charges("A"), *gone)
    yield s
    mib = lab.draw.choice([4, 5, 6])
    n = mib * 256 + lab.draw.randrange(300, 900)
    s = Script("e3g_memcg_swap", [*_limited(lab, mib), f"A map 1 {n} anon private", f"A write 1 0 {n}", "locate A 1"])
    s.do(*charges("A"), "cat /cg/A/memory.swap.current", events("A"), "snap full cg")
    s.do(f"A read 1 0 {n}", "locate A 1", *charges("A"), "snap reread cg", "A exit", "sleep 50", *charges("A"), *gone)
    s.before, s.after = "$B mkswap /dev/vdb; $B swapon /dev/vdb", "$B swapoff /dev/vdb"
    yield s


def e3h_interleave(lab: Lab) -> Iterator[Script]:
    """Interleaving over all nodes and over every second one; first touch by a task that has moved to another cpu."""
    n = lab.draw.randrange(600, 1500)
    away = lab.machine.cpu(min(2, lab.machine.nodes - 1))
    s = Script("e3h_interleave", [*lab.set_of("ALL", lab.everywhere), "spawn A cpu=0 cs=/cs/ALL", "A nop"])
    s.do("sleep 100", "snap before", f"A policy interleave:{lab.mask(range(lab.machine.nodes))}")
    s.do(f"A map 1 {n} anon private", f"A write 1 0 {n}", "locate A 1", f"A policy interleave:{lab.mask((0, 2))}")
    s.do(f"A map 2 {n} anon private", f"A writeperm 2 {lab.draw.randrange(1, 9999)}", "locate A 2", "A policy default")
    s.do(f"A map 3 {n} anon private", f"A cpu {away}", f"A write 3 0 {n}", "locate A 3", "snap after")
    s.do("A exit", "rmdir /cs/ALL")
    yield s


def e4_migrate(lab: Lab) -> Iterator[Script]:
    """A task is moved: without its memory, with it, by migrate_pages(2), and by moving its cpuset; then to a full node."""
    draw, m = lab.draw, lab.machine
    n, later, shared = draw.randrange(1200, 2600), draw.randrange(200, 700), draw.randrange(300, 900)
    third = 2 if m.nodes > 2 else 0
    fourth = 3 if m.nodes > 3 else third
    masks = {node: f"{1 << node}" for node in (1, third)}
    bill = charges("A", "B")
    s = Script("e4_migrate", [*lab.set_of("A", 0), *lab.set_of("B", 1), *lab.set_of("M", 1), *groups("A", "B")])
    s.do("put /cs/M/cpuset.memory_migrate 1", f"truncate /tmpfs/s {shared}")
    s.do("spawn A cpu=0 cs=/cs/A mg=/cg/A", "spawn C cpu=0 cs=/cs/A mg=/cg/A", "A nop", "C nop", "sleep 100")
    s.do(f"A map 1 {n} anon private", f"A write 1 0 {n}", f"A map 2 {shared} /tmpfs/s shared", f"A write 2 0 {shared}")
    s.do(f"C map 2 {shared} /tmpfs/s shared", f"C read 2 0 {shared}", "C map 3 100 anon private", "C write 3 0 100")
    s.do("locate A 1", "locate A 2", "locate C 2", "locate C 3", "numamaps A", *bill, "snap before cg")
    # (a) moved without memory migration; (a2) to another memory cgroup too: do the charges follow?
    s.do("attach A /cs/B", f"A cpu {m.cpu(1)}", "locate A 1", f"A map 4 {later} anon private", f"A write 4 0 {later}")
    s.do(f"A read 1 0 {n}", "locate A 1", "locate A 4", "numamaps A", "snap a_moved cg")
    s.do("attach A /cg/B", "sleep 50", *bill, "snap a_recharged cg")
    s.do("attach A /cg/A", "attach A /cs/A", "A cpu 0", "locate A 4")
    # (b) to a cpuset with memory_migrate
    s.do("attach A /cs/M", f"A cpu {m.cpu(1)}", "locate A 1", "locate A 2", "locate A 4", "locate C 2", "locate C 3")
    s.do("numamaps A", *bill, "snap b_migrated cg")
    # (c) migrate_pages(2) from node 1 to a third one
    s.do("attach A /cs", f"migrate A {masks[1]} {masks[third]}", "locate A 1", "locate A 2", "locate C 2")
    s.do("snap c_migrated")
    # (d) the cpuset itself moves
    s.do("attach A /cs/M", f"migrate A {masks[third]} {masks[1]}", "locate A 1", f"put /cs/M/cpuset.mems {fourth}")
    s.do("sleep 200", "locate A 1", "locate A 2", "numamaps A", "snap d_migrated", "A exit", "C exit")
    s.do("unlink /tmpfs/s", "sleep 50", "rmdir /cs/A", "rmdir /cs/B", "rmdir /cs/M", "rmdir /cg/A", "rmdir /cg/B")
    yield s
    n, left = draw.randrange(6000, 9000), draw.randrange(2500, 4500)
    fill = 32000 * m.pages(1) // (128 * 256)
    s = Script("e4e_full_target", [*lab.set_of("A", 0), *lab.set_of("F", 1), *lab.set_of("M", 1)])
    s.do("put /cs/M/cpuset.memory_migrate 1", f"spawn F cpu={m.cpu(1)} cs=/cs/F", *ALONE)
    s.do(f"A map 1 {n} anon private", f"A write 1 0 {n}", "F nop", "sleep 100")
    s.do(f"F map 1 {fill} anon private", f"F fill 1 1 {left}", "snap before", "locate A 1")
    s.do("attach A /cs/M", "locate A 1", "numamaps A", "snap after")
    s.do("A exit", "F exit", "rmdir /cs/A", "rmdir /cs/F", "rmdir /cs/M")
    yield s


def e5_files(lab: Lab) -> Iterator[Script]:
    """Two containers map the same files: page cache, copies on write; and the zero page, read first and written later."""
    files = (1, 2) if lab.seed % 2 else (2, 3)
    w, q = lab.draw.randrange(100, 300), lab.draw.randrange(300, 900)
    bill, names = charges("A", "B"), "AB"
    s = Script("e5_files", [*lab.set_of("A", 0), *lab.set_of("B", 1), *groups("A", "B"), f"truncate /tmpfs/s {q}"])
    s.do("spawn A cpu=0 cs=/cs/A mg=/cg/A", f"spawn B cpu={lab.machine.cpu(1)} cs=/cs/B mg=/cg/B", "A nop", "B nop")
    s.do("sleep 100", "snap before cg", *bill)
    for x, y, file, i in zip(names, names[::-1], files, (1, 2), strict=True):
        for who in (x, y):
            s.do(f"{who} map {i} {FILE_PAGES[file]} /disk/f{file} private", f"{who} read {i} 0 {FILE_PAGES[file]}")
            s.do(f"locate {who} {i}", *bill)
        both = [f"locate {x} {i}", f"locate {y} {i}"]
        s.do(f"snap read_{x}_{y} cg", f"{y} write {i} 0 {w}", *both, f"{x} write {i} {w // 2} {w}", *both)
        s.do(*bill, f"snap cow_{x}_{y} cg")
    s.do(f"A map 3 {q} /tmpfs/s shared", f"A write 3 0 {q}", f"B map 3 {q} /tmpfs/s private", f"B read 3 0 {q}")
    s.do(f"B write 3 0 {q // 2}", "locate A 3", "locate B 3", *bill, "numamaps A", "numamaps B", "snap tmpfs cg")
    s.do("A exit", "sleep 50", *bill, "locate B 1", "snap A_gone cg", "B exit", "sleep 50", *bill)
    s.do("unlink /tmpfs/s", "sleep 50", "cat /cg/A/memory.current", "cat /cg/B/memory.current", "snap end cg")
    s.do("rmdir /cg/A", "rmdir /cg/B", "rmdir /cs/A", "rmdir /cs/B")
    yield s
    n = lab.draw.randrange(300, 800)
    s = Script("e5z_zeropage", [*lab.set_of("A", 0), *ALONE, "sleep 100", "snap before", f"A map 1 {n} anon private"])
    s.do(f"A read 1 0 {n}", "locate A 1", "snap read", f"A write 1 0 {n // 2}", "locate A 1", "snap written")
    s.do("A exit", "rmdir /cs/A")
    yield s


def e6_exit(lab: Lab) -> Iterator[Script]:
    """A container ends, its cgroup is removed, and what it shared stays: who is charged then?"""
    q, n = lab.draw.randrange(500, 1500), lab.draw.randrange(300, 900)
    parent = [*charges("P"), "cat /cg/P/cgroup.stat"]
    s = Script("e6_exit", [*lab.set_of("A", 0), *lab.set_of("B", 1), *groups("P")])
    s.do("put /cg/P/cgroup.subtree_control +memory", *groups("P/A", "P/B"), f"truncate /tmpfs/s {q}")
    s.do("spawn A cpu=0 cs=/cs/A mg=/cg/P/A", "A nop", "sleep 100", "snap before cg")
    s.do(f"A map 1 {n} anon private", f"A write 1 0 {n}", f"A map 2 {q} /tmpfs/s shared", f"A write 2 0 {q}")
    s.do("locate A 2", *charges("P/A"), *parent, "snap alive cg")
    s.do("A exit", "sleep 100", *charges("P/A"), *parent, "snap exited cg")
    s.do("rmdir /cg/P/A", "sleep 200", *parent, "snap removed cg")
    s.do(f"spawn B cpu={lab.machine.cpu(1)} cs=/cs/B mg=/cg/P/B", f"B map 2 {q} /tmpfs/s shared", f"B read 2 0 {q}")
    s.do(f"B write 2 0 {q // 3}", "locate B 2", *charges("P/B"), *parent, "snap B_reads cg")
    s.do("mkdir /cg/P/A", *charges("P/A"), "cat /cg/P/cgroup.stat", f"truncate /tmpfs/s {q // 2}", "sleep 100")
    s.do(*parent, "snap halved cg", "B exit", "unlink /tmpfs/s", "sleep 300", *parent, "snap unlinked cg")
    s.do("rmdir /cg/P/A", "rmdir /cg/P/B", "rmdir /cg/P", "rmdir /cs/A", "rmdir /cs/B")
    yield s


EXPERIMENTS: list[Callable[[Lab], Iterator[Script]]] = [
    e1a_sizes,
    e1b_orders,
    e1c_holes,
    e1d_huge,
    e2_containers,
    e3_full_nodes,
    e3_limits,
    e3h_interleave,
    e4_migrate,
    e5_files,
    e6_exit,
]
"""New ones go to the end: see above."""
NODES = {"e3b_prefer_far": 3}
"""Experiments that need more than two nodes."""


def write(machine: Machine, seed: int, only: tuple[str, ...] = ()) -> list[Script]:
    """The scripts of a machine and a seed, in the order in which they are run.

    Args:
        only: names of experiments; by default those that the machine's file lists, or all that have enough nodes.

    Raises:
        BadRequest: an experiment that there is not, or that needs more nodes.
    """
    lab = Lab(machine, seed)
    scripts = {script.name: script for make in EXPERIMENTS for script in make(lab)}
    able = [name for name in scripts if NODES.get(name, 2) <= machine.nodes]
    for name in only or machine.experiments:
        if name not in able:
            why = f"needs {NODES[name]} nodes, not {machine.nodes}" if name in scripts else "there is none"
            raise BadRequest(f"{machine.name}: experiment {name!r}: {why}; there are {', '.join(able)}")
    wanted = only or machine.experiments or able
    return [scripts[name] for name in sorted(able) if name in wanted]
