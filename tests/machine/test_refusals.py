"""Every command refuses what is wrong: a typed error with the numbers and what would be right, and nothing has changed."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest

from zonelab.errors import BadRequest
from zonelab.machine import MIB, Corrected, EqualSplit, FakeNuma, FirstTouch, Machine, state


class World:
    """A small machine with one of everything, and one of everything that is gone."""

    def __init__(self):
        m = self.m = Machine(nodes=2, node_mib=32)
        self.web, self.db, self.old = (m.container(name, private_mib=4) for name in ("web", "db", "old"))
        self.wide = m.container("wide", private_mib=8)
        self.filler = m.container("filler", node=1, private_mib=20)
        self.pair = m.container_set("pair", [self.web, self.db], shared_mib=4)
        self.home = m.mount("home", mib=4)
        self.task, self.gone = m.task(self.web, "server"), m.task(self.old, "late")
        self.file, self.lost = m.file("libc", pages=100), m.file("lost", pages=10)
        m.unlink(self.lost)
        self.heap = m.mmap(self.task, pages=50, name="heap")
        self.mapped = m.mmap(self.task, file=self.file)
        self.closed = m.mmap(self.task, pages=5, name="closed")
        m.munmap(self.closed)
        m.touch(self.heap, 0, 40)
        self.spare = m.carve("spare", 1, 8)
        self.orphan = self.old.private
        m.exit(self.old)
        self.slow = m.container("slow", node=1, private_mib=4, lazy=True)
        self.lazy_heap = m.mmap(m.task(self.slow), pages=5)
        self.shm = m.mmap(self.task, pages=5, shared=True, name="shm")
        self.names = m.dentries(self.task, 30)
        for name in ("z.private", "y.shared", "y.mount"):
            m.container(name, private_mib=0)
        self.other = Machine(nodes=1, node_mib=32)
        self.alien = self.other.container("alien", private_mib=4)
        self.alien_heap = self.other.mmap(self.other.task(self.alien), pages=5)


WRONG = {
    # command: [(what, how it is called, what the message must say)]
    "container": [
        ("a name that is taken", lambda w: w.m.container("web"), "web"),
        ("an empty name", lambda w: w.m.container(""), "name"),
        ("no such node", lambda w: w.m.container("x", node=2), r"2.*0 to 1"),
        ("a negative node", lambda w: w.m.container("x", node=-1), "-1"),
        ("a node that is no number", lambda w: w.m.container("x", node="0"), "'0'"),
        ("a negative size", lambda w: w.m.container("x", private_mib=-4), "-4"),
        ("a size that is no number", lambda w: w.m.container("x", private_mib="4"), "'4'"),
        ("an endless size", lambda w: w.m.container("x", private_mib=float("inf")), "inf"),
        ("more than the node has", lambda w: w.m.container("x", private_mib=64), r"64|16 blocks"),
        ("a place off the blocks' borders", lambda w: w.m.container("x", private_mib=4, at=4 * MIB + 1), "1,?025"),
        ("a place that is taken", lambda w: w.m.container("x", private_mib=4, at=0), "block 0 .*not a free block"),
        ("a place beyond the node", lambda w: w.m.container("x", private_mib=4, at=10**6), "1,?000,?000"),
        ("to borrow from no zone", lambda w: w.m.container("x", borrow=("main",)), "main"),
        ("to borrow from a dead zone", lambda w: w.m.container("x", borrow=(w.orphan,)), "old.private"),
        ("a name that is no string", lambda w: w.m.container(5), r"^5 is no good"),
        ("a name with a blank", lambda w: w.m.container("a b"), "'a b'"),
        ("true as a node", lambda w: w.m.container("x", node=True), r"True.*0 to 1"),
        ("true as a size", lambda w: w.m.container("x", private_mib=True), "True"),
        ("a size that is not a number", lambda w: w.m.container("x", private_mib=float("nan")), "nan"),
        ("a place before the node", lambda w: w.m.container("x", private_mib=4, at=-1024), r"-1,?024.*0 to 8,?191"),
        ("a place beyond all numbers", lambda w: w.m.container("x", private_mib=4, at=2**80), "1,208,925,819"),
        ("to borrow another machine's zone", lambda w: w.m.container("x", borrow=(w.alien.private,)), r"alien.private"),
        (
            "a size beyond all floats",
            lambda w: w.m.container("x", private_mib=10**400),
            r"2\*\*1328 or more.*1,048,576",
        ),
        ("a place as text", lambda w: w.m.container("x", private_mib=4, at="0"), r"at='0'.*1,024"),
        ("a place for no zone", lambda w: w.m.container("x", private_mib=0, at=1024), r"at=1024 without a zone"),
        ("a place for a lazy zone", lambda w: w.m.container("x", at=1024, lazy=True), r"at=1024.*lazy"),
        ("to borrow from nothing", lambda w: w.m.container("x", borrow=None), r"borrow=None.*list"),
        ("to borrow from a zone that is in no list", lambda w: w.m.container("x", borrow=w.spare), r"borrow=.*list"),
        (
            "a name whose zone's name is taken",
            lambda w: w.m.container("z", node=1),
            r"z.private' is taken, and z would",
        ),
    ],
    "container_set": [
        ("nobody", lambda w: w.m.container_set("x", []), "no members"),
        ("a member of another set", lambda w: w.m.container_set("x", [w.web]), "pair"),
        ("a dead member", lambda w: w.m.container_set("x", [w.old]), "old"),
        ("a member that is no container", lambda w: w.m.container_set("x", ["web"]), "web"),
        ("the same member twice", lambda w: w.m.container_set("x", [w.wide, w.wide]), "twice"),
        ("root", lambda w: w.m.container_set("x", [w.m.root]), "root"),
        ("a name that is taken", lambda w: w.m.container_set("pair", [w.wide]), "pair"),
        ("a negative size", lambda w: w.m.container_set("x", [w.wide], shared_mib=-1), "-1"),
        ("another machine's member", lambda w: w.m.container_set("x", [w.alien]), "alien"),
        ("no such node", lambda w: w.m.container_set("x", [w.wide], node=5), r"5.*0 to 1"),
        (
            "more than the node has",
            lambda w: w.m.container_set("x", [w.wide], shared_mib=4096),
            r"1024 blocks.*at most",
        ),
        ("members in no order", lambda w: w.m.container_set("x", {w.wide}), r"\{.*wide.*not a list"),
        ("no list of members", lambda w: w.m.container_set("x", None), "None is not a list"),
        ("a name whose zone's name is taken", lambda w: w.m.container_set("y", [w.wide]), "y.shared"),
    ],
    "mount": [
        ("a name that is taken", lambda w: w.m.mount("home"), "home"),
        ("no such node", lambda w: w.m.mount("x", node=7), "7"),
        ("more than the node has", lambda w: w.m.mount("x", mib=4096), "4,?096|1,?024"),
        ("a name with a blank", lambda w: w.m.mount("a b"), "'a b'"),
        ("a negative size", lambda w: w.m.mount("x", mib=-1), "-1 MiB"),
        ("a size that is no number", lambda w: w.m.mount("x", mib="4"), "'4'"),
        ("a name whose zone's name is taken", lambda w: w.m.mount("y"), "y.mount"),
    ],
    "task": [
        ("a dead container", lambda w: w.m.task(w.old), "old"),
        ("another machine's container", lambda w: w.m.task(w.alien), "alien"),
        ("no such node", lambda w: w.m.task(w.web, node=2), "2"),
        ("a name for a container", lambda w: w.m.task("web"), "'web' is not a container"),
        ("true as a node", lambda w: w.m.task(w.web, node=True), r"True.*0 to 1"),
        ("no container, but not None", lambda w: w.m.task(0), "0 is not a container"),
        ("an empty text for a container", lambda w: w.m.task(""), "'' is not a container"),
        ("false for a container", lambda w: w.m.task(False), "False is not a container"),
        ("an empty name", lambda w: w.m.task(w.web, ""), "''.*name of a task"),
        ("a name that is no string", lambda w: w.m.task(w.web, 5), "^5 .*name of a task"),
        ("a name that is taken", lambda w: w.m.task(w.db, "server"), "'server' already"),
    ],
    "fork": [
        ("a task that is gone", lambda w: w.m.fork(w.gone), "late"),
        ("a container", lambda w: w.m.fork(w.web), r"web.*not a task"),
        ("a name that is taken", lambda w: w.m.fork(w.task, "server"), "'server' already"),
        ("a name of two lines", lambda w: w.m.fork(w.task, "a\nb"), r"a\\nb.*name of a task"),
    ],
    "exit": [
        ("a task that is gone", lambda w: w.m.exit(w.gone), "late"),
        ("a container that is gone", lambda w: w.m.exit(w.old), "old"),
        ("root", lambda w: w.m.exit(w.m.root), "root"),
        ("another machine's", lambda w: w.m.exit(w.alien), "alien"),
        ("nobody", lambda w: w.m.exit(None), "None is not"),
        ("a set", lambda w: w.m.exit(w.pair), r"pair.*not a container"),
    ],
    "carve": [
        ("a name that is taken", lambda w: w.m.carve("web", 0, 4), "web"),
        ("nothing", lambda w: w.m.carve("x", 0, 0), "0"),
        ("a negative size", lambda w: w.m.carve("x", 0, -8), "-8"),
        ("more than is free", lambda w: w.m.carve("x", 0, 32), "8 blocks"),
        ("over another zone", lambda w: w.m.carve("x", 0, 4, at=1024), "1,?024|db.private"),
        ("off the borders", lambda w: w.m.carve("x", 0, 4, at=5 * 1024 + 7), "5,?127"),
        ("no such node", lambda w: w.m.carve("x", 2, 4), r"node 2.*0 to 1"),
        ("true as a size", lambda w: w.m.carve("x", 0, True), "True"),
        ("a zone's name again", lambda w: w.m.carve("web.private", 1, 4), r"web.private"),
        ("on another node", lambda w: w.m.carve("x", 0, 4, at=10 * 1024), r"10,?240.*0 to 8,?191"),
        ("a size near the largest float", lambda w: w.m.carve("x", 0, 1e308), r"1e\+308.*1,048,576"),
        ("a size beyond all floats", lambda w: w.m.carve("x", 0, 10**400), r"2\*\*1328 or more"),
        ("a place that is no int", lambda w: w.m.carve("x", 0, 4, at=7168.0), r"at=7168.0.*1,024"),
        ("a place and more than the node has", lambda w: w.m.carve("x", 0, 2**20, at=7168), r"262144 blocks.*at most"),
    ],
    "grow": [
        ("the main zone", lambda w: w.m.grow(w.m.nodes[0].main, 4), "main"),
        ("a dead zone", lambda w: w.m.grow(w.orphan, 4), "old.private"),
        ("by nothing", lambda w: w.m.grow(w.spare, 0), "0"),
        ("by more than is free", lambda w: w.m.grow(w.spare, 64), "16"),
        ("into a neighbour", lambda w: w.m.grow(w.web.private, 4, contiguous=True), "1,?024|free"),
        ("another machine's zone", lambda w: w.m.grow(w.alien.private, 4), r"alien.private"),
        ("by a negative size", lambda w: w.m.grow(w.spare, -4), "-4"),
    ],
    "shrink": [
        ("to nothing", lambda w: w.m.shrink(w.spare, 8), "keep one"),
        ("by a negative size", lambda w: w.m.shrink(w.spare, -4), "-4"),
        ("the main zone", lambda w: w.m.shrink(w.m.nodes[0].main, 4), "main"),
        ("by true", lambda w: w.m.shrink(w.spare, True), "True"),
        ("by more than it has", lambda w: w.m.shrink(w.spare, 400), r"2 blocks.*at most 4 MiB"),
        ("a zone of one block", lambda w: w.m.shrink(w.web.private, 4), "1 block.*merge"),
    ],
    "merge": [
        ("a zone that has an owner", lambda w: w.m.merge(w.web.private), "web"),
        ("the main zone", lambda w: w.m.merge(w.m.nodes[1].main), "main"),
        ("a zone twice", lambda w: w.m.merge(w.orphan), "old.private"),
        ("something else", lambda w: w.m.merge("web.private"), "web.private"),
        ("a set's zone", lambda w: w.m.merge(w.pair.shared), r"pair.*alive"),
        ("a mount's zone", lambda w: w.m.merge(w.home.zone), r"home.*alive"),
    ],
    "file": [
        ("a name that is taken", lambda w: w.m.file("libc", pages=5), "libc"),
        ("no size", lambda w: w.m.file("x"), "pages"),
        ("two sizes", lambda w: w.m.file("x", pages=5, mib=5), "pages"),
        ("no pages", lambda w: w.m.file("x", pages=0), "0"),
        ("half a page", lambda w: w.m.file("x", pages=1.5), r"1\.5"),
        ("an unknown mount", lambda w: w.m.file("x", pages=5, mount="home"), "home"),
        ("true pages", lambda w: w.m.file("x", pages=True), "True"),
        ("too many pages", lambda w: w.m.file("x", pages=2**31), r"2147483648.*at most 268,435,456"),
        ("a container as its mount", lambda w: w.m.file("x", pages=5, mount=w.web), r"web.*not a mount"),
        ("an empty name", lambda w: w.m.file("", pages=5), "'' is no good"),
        ("a name that is no string", lambda w: w.m.file(None, pages=5), "None is no good"),
        ("a name with a blank", lambda w: w.m.file("a b", pages=5), "'a b' is no good"),
    ],
    "mmap": [
        ("a task that is gone", lambda w: w.m.mmap(w.gone, pages=5), "late"),
        ("a file that is gone", lambda w: w.m.mmap(w.task, file=w.lost), "lost"),
        ("beyond the file", lambda w: w.m.mmap(w.task, file=w.file, pages=101), "101.*100"),
        ("an offset beyond the file", lambda w: w.m.mmap(w.task, file=w.file, offset=100), "100.*99"),
        ("an offset of nothing", lambda w: w.m.mmap(w.task, pages=5, offset=1), "1"),
        ("nothing", lambda w: w.m.mmap(w.task, pages=0), "0"),
        ("no size", lambda w: w.m.mmap(w.task), "pages"),
        ("for a container", lambda w: w.m.mmap(w.web, pages=5), r"web.*not a task"),
        ("a file by its name", lambda w: w.m.mmap(w.task, file="libc"), "'libc' is not a file"),
        ("before the file", lambda w: w.m.mmap(w.task, file=w.file, offset=-1), r"-1.*0 to 99"),
        ("too many pages", lambda w: w.m.mmap(w.task, pages=2**70), "1180591620717411303424"),
        ("two sizes", lambda w: w.m.mmap(w.task, pages=5, mib=5), "one of the two"),
        ("more than 1 TiB", lambda w: w.m.mmap(w.task, pages=2**31 - 1), r"2147483647.*at most 268,435,456"),
        ("an empty offset", lambda w: w.m.mmap(w.task, pages=5, offset=""), "offset ''.*whole"),
        ("true as an offset", lambda w: w.m.mmap(w.task, file=w.file, offset=True), "offset True.*whole"),
        ("half a page as an offset", lambda w: w.m.mmap(w.task, file=w.file, offset=1.5), r"offset 1\.5.*whole"),
        ("an offset as text", lambda w: w.m.mmap(w.task, file=w.file, offset="1"), "offset '1'.*whole"),
        ("no offset", lambda w: w.m.mmap(w.task, file=w.file, offset=None), "offset None.*whole"),
        ("anonymous memory as a file", lambda w: w.m.mmap(w.task, file=w.heap.anon), "anon.*not a file"),
        ("an empty name", lambda w: w.m.mmap(w.task, pages=5, name=""), "''.*name of a VMA"),
        ("a name of two lines", lambda w: w.m.mmap(w.task, pages=5, name="a\nb"), r"a\\nb.*name of a VMA"),
    ],
    "touch": [
        ("outside", lambda w: w.m.touch(w.heap, 50), r"50.*(49|50 pages)"),
        ("across the end", lambda w: w.m.touch(w.heap, 40, 11), "50|51"),
        ("before the start", lambda w: w.m.touch(w.heap, -1), "-1"),
        ("nothing", lambda w: w.m.touch(w.heap, 0, 0), "0"),
        ("half a page", lambda w: w.m.touch(w.heap, 0, 0.5), r"0\.5"),
        ("a mapping that is gone", lambda w: w.m.touch(w.closed), "closed"),
        ("another machine's", lambda w: w.m.touch(w.alien_heap), "machine"),
        ("something else", lambda w: w.m.touch("heap"), "heap"),
        ("a huge number", lambda w: w.m.touch(w.heap, 2**70), r"1180591620717411303424.*0 to 49"),
        ("true pages", lambda w: w.m.touch(w.heap, 0, True), "True pages"),
        (
            "a sum that numpy would wrap",
            lambda w: w.m.touch(w.heap, np.int64(2**63 - 1), 1),
            r"9223372036854775807.*to 49",
        ),
        ("numbers of 8 bits", lambda w: w.m.touch(w.heap, np.uint8(250), np.uint8(10)), "pages 250 to 259"),
    ],
    "read": [
        ("beyond the end", lambda w: w.m.read(w.task, w.file, 100), "100"),
        ("a file that is gone", lambda w: w.m.read(w.task, w.lost), "lost"),
        ("by a task that is gone", lambda w: w.m.read(w.gone, w.file), "late"),
        ("before the start", lambda w: w.m.read(w.task, w.file, -1), r"-1.*0 to 99"),
        ("nothing", lambda w: w.m.read(w.task, w.file, 0, 0), r"^0 pages.*at most 100"),
        ("a mapping of the file", lambda w: w.m.read(w.task, w.mapped), r"vma libc.*not a file"),
        ("anonymous memory", lambda w: w.m.read(w.task, w.heap.anon), "anon.*not a file"),
        ("the kernel's memory", lambda w: w.m.read(w.task, w.m.kernel), "kernel.*not a file"),
    ],
    "write": [
        ("beyond the end", lambda w: w.m.write(w.task, w.file, 90, 11), "100|101"),
        ("a negative number", lambda w: w.m.write(w.task, w.file, 0, -3), "-3 pages"),
        ("true pages", lambda w: w.m.write(w.task, w.file, True), "True"),
    ],
    "discard": [
        ("outside", lambda w: w.m.discard(w.heap, 0, 51), "50|51"),
        ("a mapping that is gone", lambda w: w.m.discard(w.closed), "closed"),
        ("before the start", lambda w: w.m.discard(w.heap, -1), r"-1.*0 to 49"),
        ("something else", lambda w: w.m.discard("heap"), "'heap' is not a VMA"),
    ],
    "munmap": [
        ("twice", lambda w: w.m.munmap(w.closed), "closed"),
        ("another machine's", lambda w: w.m.munmap(w.alien_heap), "another machine"),
        ("a file", lambda w: w.m.munmap(w.file), r"libc.*not a VMA"),
    ],
    "unlink": [
        ("twice", lambda w: w.m.unlink(w.lost), "lost"),
        ("while it is mapped", lambda w: w.m.unlink(w.file), "server"),
        ("a name", lambda w: w.m.unlink("libc"), "'libc' is not a file"),
        ("the kernel's memory", lambda w: w.m.unlink(w.m.kernel), "kernel.*not a file"),
        ("shared memory without a name", lambda w: w.m.unlink(w.shm.file), "shm.*without a name"),
    ],
    "pin": [
        ("what is not in memory", lambda w: w.m.pin(w.heap, 30, 20), "10 of 20"),
        ("outside", lambda w: w.m.pin(w.heap, 50), "50"),
        ("nothing", lambda w: w.m.pin(w.heap, 0, 0), r"^0 pages.*at most 50"),
        ("a mapping that is gone", lambda w: w.m.pin(w.closed), "closed"),
    ],
    "plan_move": [
        ("to where it is", lambda w: w.m.plan_move(w.web, 0), "0"),
        ("to no such node", lambda w: w.m.plan_move(w.web, 9), "9"),
        ("a container that is gone", lambda w: w.m.plan_move(w.old, 1), "old"),
        ("true as a node", lambda w: w.m.plan_move(w.web, True), r"True.*0 to 1"),
        ("a set", lambda w: w.m.plan_move(w.pair, 1), r"pair.*not a container"),
    ],
    "moving": [
        ("to where it is", lambda w: w.m.moving(w.task, 0), "0"),
        ("in steps of nothing", lambda w: w.m.moving(w.web, 1, step=0), "0"),
        ("root", lambda w: w.m.moving(w.m.root, 1), "root"),
        ("in negative steps", lambda w: w.m.moving(w.web, 1, step=-1), "step of -1"),
        ("in steps of a page and a half", lambda w: w.m.moving(w.web, 1, step=1.5), r"step of 1\.5.*whole"),
        ("in steps of true", lambda w: w.m.moving(w.web, 1, step=True), "step of True"),
        ("in steps that are no number", lambda w: w.m.moving(w.web, 1, step=float("nan")), "step of nan"),
        ("in steps of a text", lambda w: w.m.moving(w.web, 1, step="1"), "step of '1'"),
        ("in steps of none", lambda w: w.m.moving(w.web, 1, step=None), "step of None"),
    ],
    "move": [
        ("to where it is", lambda w: w.m.move(w.web, 0), "0"),
        ("a task that is gone", lambda w: w.m.move(w.gone, 1), "late"),
        ("to a full node", lambda w: w.m.move(w.wide, 1), "node 1 is too full.*8 MiB"),
        ("another machine's", lambda w: w.m.move(w.alien, 1), "alien"),
    ],
    "alloc_pages": [
        ("an order that is too large", lambda w: w.m.alloc_pages(w.task, 11), "11.*0 to 10"),
        ("a negative order", lambda w: w.m.alloc_pages(w.task, -1), "-1"),
        ("for a task that is gone", lambda w: w.m.alloc_pages(w.gone, 0), "late"),
        ("true as an order", lambda w: w.m.alloc_pages(w.task, True), r"True.*0 to 10"),
    ],
    "free_pages": [
        ("what is free", lambda w: w.m.free_pages(7000), "7000.*none"),
        ("a page of a heap", lambda w: w.m.free_pages(int(w.heap.table[0])), "none"),
        ("true", lambda w: w.m.free_pages(True), "True"),
    ],
    "dentries": [
        ("none", lambda w: w.m.dentries(w.task, 0), "0"),
        ("for a task that is gone", lambda w: w.m.dentries(w.gone, 5), "late"),
        ("a negative number", lambda w: w.m.dentries(w.task, -1), "-1 dentries"),
        ("for a container", lambda w: w.m.dentries(w.web, 5), r"web.*not a task"),
        ("true", lambda w: w.m.dentries(w.task, True), "True dentries"),
        ("one and a half", lambda w: w.m.dentries(w.task, 1.5), r"1\.5 dentries.*whole"),
        ("a text", lambda w: w.m.dentries(w.task, "5"), "'5' dentries"),
        ("not a number", lambda w: w.m.dentries(w.task, float("nan")), "nan dentries"),
    ],
    "shrink_dentries": [
        ("nothing", lambda w: w.m.shrink_dentries(w.web.private, 0), "0"),
        ("in a dead zone", lambda w: w.m.shrink_dentries(w.orphan, 5), "old.private"),
        ("with an unknown reach", lambda w: w.m.shrink_dentries(w.web.private, 5, "galaxy"), "galaxy.*global"),
        ("a negative number", lambda w: w.m.shrink_dentries(w.spare, -1), "-1 pages"),
        ("true pages", lambda w: w.m.shrink_dentries(w.spare, True), "True pages"),
        ("a page and a half", lambda w: w.m.shrink_dentries(w.spare, 1.5), r"1\.5 pages.*whole"),
        ("not a number", lambda w: w.m.shrink_dentries(w.spare, float("nan")), "nan pages"),
        ("a text", lambda w: w.m.shrink_dentries(w.spare, "5"), "'5' pages"),
        ("no number", lambda w: w.m.shrink_dentries(w.spare, None), "None pages"),
    ],
    "lookup_dentries": [
        ("a number", lambda w: w.m.lookup_dentries(5), "5 are no ids"),
        ("an id and a list", lambda w: w.m.lookup_dentries([w.names[0], [1]]), r"\[1\]\] are no ids"),
        ("true", lambda w: w.m.lookup_dentries([True]), "True.*no ids"),
        ("a text", lambda w: w.m.lookup_dentries("0"), "'0' are no ids"),
    ],
    "bill": [
        ("by the name of a rule", lambda w: w.m.bill("first touch"), r"'first touch'.*FirstTouch\(\)"),
        ("by a class", lambda w: w.m.bill(EqualSplit), r"EqualSplit.*FirstTouch\(\)"),
        ("by nothing", lambda w: w.m.bill(0), r"rule=0.*FirstTouch\(\)"),
    ],
    "fallback": [
        ("of no such node", lambda w: w.m.fallback(9), "9.*0 to 1"),
        ("of a negative node", lambda w: w.m.fallback(-1), "-1.*0 to 1"),
    ],
    "zonelist": [
        ("of a mapping that is gone", lambda w: w.m.zonelist(w.closed), "closed"),
        ("of something else", lambda w: w.m.zonelist("heap"), "'heap' is not a VMA"),
        ("of a zone that is yet to be made", lambda w: w.m.zonelist(w.lazy_heap), "slow has no zone yet.*touch"),
    ],
}
ROWS = [(command, *row) for command, rows in WRONG.items() for row in rows]


@pytest.mark.parametrize(("command", "what", "call", "says"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_what_is_wrong_is_refused_and_changes_nothing(command, what, call, says):
    world = World()
    before = world.m.digest(), world.other.digest()
    with pytest.raises(BadRequest) as refused:
        call(world)
    message = str(refused.value)
    assert re.search(says, message), message
    assert 20 < len(message) < 300 and not message.endswith("."), message
    assert (world.m.digest(), world.other.digest()) == before
    world.m.check()


def test_no_command_is_forgotten():
    looks = {"pages_of", "check", "digest", "conserved", "zone_of", "emit"}
    works = {"accessed", "recharge", "refault", "release", "tick"}  # for the rooms of the machine, not for a reader
    commands = {name for name, _ in inspect.getmembers(Machine, inspect.isfunction) if not name.startswith("_")}
    assert commands - looks - works == set(WRONG)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"nodes": 0}, "0 nodes"),
        ({"nodes": 65}, "65"),
        ({"nodes": 1.5}, r"1\.5"),
        ({"node_mib": 4}, "4 MiB"),
        ({"node_mib": 30}, "30"),
        ({"nodes": 2, "node_mib": [64]}, "1 sizes for 2"),
        ({"distances": [[10, 9], [9, 10]]}, "9"),
        ({"profile": "5.4"}, "5.4.*2.6.20"),
        ({"lru": "fifo"}, "fifo.*exact"),
        ({"swap_mib": -1}, "-1"),
        ({"swap_mib": float("nan")}, "nan"),
        ({"nodes": True}, "True"),
        ({"node_mib": 64.0}, r"64\.0"),
        ({"node_mib": 2**20}, "2097152 MiB on 2 nodes.*1,048,576"),
        ({"distances": 5}, "distances=5.*2 × 2"),
        ({"distances": [[10, float("nan")], [20, 10]]}, "nan"),
        ({"policy": "corrected"}, r"policy='corrected'.*Corrected\(\)"),
        ({"policy": Corrected}, r"policy=.*Corrected\(\)"),
        ({"rule": FirstTouch}, r"rule=.*FirstTouch\(\)"),
        ({"costs": 5}, r"costs=5.*Costs\(\)"),
        ({"on_event": 5}, "on_event=5"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(options, says):
    with pytest.raises(BadRequest, match=says):
        Machine(**options)


def test_a_policy_that_does_not_know_its_key():
    with pytest.raises(BadRequest, match=r"user.*set"):
        Corrected(cache_key="user")  # type: ignore[arg-type]


@pytest.mark.parametrize("mib", [4.0, "4", True, 6, 0])
def test_a_fake_node_of_no_size(mib):
    with pytest.raises(BadRequest, match=f"{mib!r} MiB.*multiple of 4"):
        FakeNuma(mib)


def test_integers_of_numpy_will_do():
    number: Any = np
    machine = Machine(nodes=number.int64(2), node_mib=number.int32(32))
    web = machine.container("web", node=number.uint8(1), private_mib=number.float32(4))
    heap = machine.mmap(machine.task(web), pages=number.uint16(300))
    assert machine.touch(heap, number.uint8(250), number.uint8(10)).new == 10  # 260 does not fit in 8 bits
    machine.lookup_dentries(number.array(machine.dentries(web.tasks[0], number.int64(3))))
    pfn = machine.alloc_pages(web.tasks[0], number.uint8(8))
    machine.free_pages(number.uint16(pfn))
    machine.check()


def test_what_a_message_advises_is_granted():
    """The main zone keeps one block, so the advice is one less than what is free."""
    machine = Machine(nodes=1, node_mib=32)
    for wanted in (64, 32):
        with pytest.raises(BadRequest, match=r"8 wholly free ones and must keep one.*ask for at most 28 MiB"):
            machine.carve("x", 0, wanted)
    zone = machine.carve("x", 0, 4)
    with pytest.raises(BadRequest, match="ask for at most 24 MiB"):
        machine.grow(zone, 28)
    machine.grow(zone, 24)
    with pytest.raises(BadRequest, match=r"1 blocks of 4 MiB wanted.*must keep one.*merge a zone"):
        machine.grow(zone, 4)


def test_long_lists_of_names_are_cut_short():
    machine = Machine(nodes=1, node_mib=2048)
    for number in range(300):
        machine.container(f"c{number}", private_mib=4)
    with pytest.raises(BadRequest, match=r"'c7' is taken.*…") as refused:
        machine.container("c7")
    assert len(str(refused.value)) < 200


def test_a_lazy_zones_name_is_kept_for_it():
    machine = Machine(nodes=1, node_mib=32)
    machine.container("web", private_mib=4, lazy=True)
    with pytest.raises(BadRequest, match=r"'web[.]private' is taken"):
        machine.carve("web.private", 0, 4)


@pytest.mark.parametrize("shared", [False, True])
def test_a_mapping_for_whose_tables_there_is_no_memory_leaves_nothing(monkeypatch, shared):
    world = World()
    before, mappings, free = world.m.digest(), list(world.m.mappings), list(world.m._free_mappings)
    full, sizes = np.full, []

    def no_memory(size, *rest):
        sizes.append(size)
        if len(sizes) > shared:  # the page table, or the page cache after it
            raise MemoryError
        return full(size, *rest)

    monkeypatch.setattr(np, "full", no_memory)
    with pytest.raises(MemoryError):
        world.m.mmap(world.task, pages=5, shared=shared)
    monkeypatch.undo()
    assert (world.m.digest(), world.m.mappings, world.m._free_mappings) == (before, mappings, free)
    world.m.check()


def test_hundreds_of_containers_and_the_first_that_is_too_many():
    machine = Machine(nodes=2, node_mib=2048)
    for number in range(511):  # each takes one of the node's 512 blocks; the main zone has to keep one
        machine.container(f"c{number}", private_mib=4)
    with pytest.raises(BadRequest) as refused:
        machine.container("last", private_mib=4)
    assert "node 0" in str(refused.value) and "main zone" in str(refused.value)
    machine.check()
    heaps = [machine.mmap(machine.task(container), mib=2) for container in machine.containers]
    assert all(machine.touch(heap, 0, 512).new == 512 for heap in heaps)
    machine.check()


@pytest.mark.parametrize(
    ("things", "make", "most"),
    [
        ("containers", lambda m, n: m.container(f"c{n}", private_mib=0), 299),  # and root
        ("mappings", lambda m, n: m.mmap(m.tasks[0], pages=1), 298),  # and those of slab and kernel
        ("zones", lambda m, n: m.carve(f"z{n}", 0, 4), 300),  # and the main zone
    ],
)
def test_ids_run_out_with_a_clear_word(monkeypatch, things, make, most):
    """The real limit is 65,535 (ids have 16 bits); a lower one shows the same and is reached sooner."""
    monkeypatch.setattr(state, "MAX_IDS", 300)
    machine = Machine(nodes=1, node_mib=2048)
    machine.task()
    for number in range(most):
        make(machine, number)
    before = machine.digest()
    with pytest.raises(BadRequest, match=rf"30[01] {things}.*16 bits"):
        make(machine, most)
    assert machine.digest() == before
    machine.check()
