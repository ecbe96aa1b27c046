"""Random commands with swap, pins and moves under way; a naive model knows what each page is, who pays, where it may lie.

Of the machine the model asks only which pages reclaim took; it then checks that they were free to go.
"""

from __future__ import annotations

import contextlib
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zonelab.errors import OutOfMemory, ZonelabError
from zonelab.machine import AsQuoted, Corrected, FakeNuma, Literal, Machine, PageOwnership

POLICIES: Any = {"corrected": Corrected, "quoted": AsQuoted, "literal": Literal, "ownership": PageOwnership}
POLICIES |= {"fake": lambda: FakeNuma(4)}
PICK, PAGES, MIB = st.integers(1, 10**6), st.integers(1, 1400), st.sampled_from([-4, 0, 3, 4, 4, 8, 12])
ZERO = "the zero page"


class Page:
    """The content of one page, in memory or in swap; `seen` are the page table entries that lead to it."""

    def __init__(self, kind, file=None, index=0):
        self.kind, self.file, self.index, self.seen = kind, file, index, set()
        self.payer, self.swapped, self.frame = "", False, None  # the frame is known while it is pinned

    def entry(self):
        """What the machine has for it: a pfn, or a negative number if it is not in memory."""
        if self.file:
            return int(self.file.cache[self.index])
        vma, at = next(iter(self.seen))
        return int(vma.table[at])


class Naive:
    """Page tables and page caches as dicts of pages."""

    def __init__(self):
        self.tables, self.caches, self.pages = {}, {}, set()
        self.fresh = []  # pages that came into memory by the last touch, for which task and VMA

    def see(self, vma, at, page):
        self.forget(vma, at)
        self.tables[vma][at] = page
        if page is not ZERO:
            page.seen.add((vma, at))

    def forget(self, vma, at):
        page = self.tables[vma].pop(at, ZERO)
        if page is not ZERO:
            page.seen.remove((vma, at))
            if not page.file and not page.seen:
                self.pages.remove(page)

    def come(self, page, task, vma):
        """A page is made, or comes back from swap: whoever wanted it pays."""
        page.payer, page.swapped = task.container.name, False
        self.pages.add(page)
        self.fresh.append((page, task, vma))
        return page

    def cached(self, task, vma, file, index):
        page = self.caches.setdefault(file, {}).setdefault(index, Page(file.kind, file, index))
        return self.come(page, task, vma) if page not in self.pages or page.swapped else page

    def touch(self, vma, at, write):
        there = self.tables[vma].get(at)
        if there is None and (vma.file or not write):
            self.see(vma, at, self.cached(vma.task, vma, vma.file, vma.offset + at) if vma.file else ZERO)
        elif isinstance(there, Page) and there.swapped:
            self.come(there, vma.task, vma)
        there = self.tables[vma].get(at, ZERO)
        if write and not vma.shared and (there is ZERO or there.file or len(there.seen) > 1):
            self.see(vma, at, self.come(Page("anon"), vma.task, vma))

    def map(self, vma, like=None):
        self.tables[vma] = {}
        for at, page in self.tables.get(like, {}).items():
            self.see(vma, at, page)

    def unmap(self, vma):
        for at in list(self.tables[vma]):
            self.forget(vma, at)
        del self.tables[vma]
        if vma.file and not vma.file.keep and not any(other.file is vma.file for other in self.tables):
            self.unlink(vma.file)

    def unlink(self, file):
        self.pages.difference_update(self.caches.pop(file, {}).values())

    def lose(self):
        """Take out what the machine has reclaimed. Pinned pages stay; what has no file on disk can only go to swap."""
        for page in [page for page in self.pages if not page.swapped and page.entry() < 0]:
            assert page.frame is None and (page.entry() == -1) == (page.kind == "file")
            for vma, at in list(page.seen) if page.file else ():
                self.forget(vma, at)
            page.swapped = page.kind != "file"
            if not page.swapped:
                self.pages.remove(self.caches[page.file].pop(page.index))

    def agree(self, m):
        """The same pages in the same tables, caches and swap, with the same payers; the same counts."""
        here = [page for page in self.pages if not page.swapped]
        pfns = [page.entry() for page in here]
        assert len(set(pfns)) == len(here) and min(pfns, default=0) >= 0
        assert [m.accounts[owner].name for owner in m.pages.owner[pfns].tolist()] == [page.payer for page in here]
        assert all(page.frame in (None, pfn) for page, pfn in zip(here, pfns, strict=True)), "a pinned page has moved"
        for vma, table in self.tables.items():
            entries = {at: -2 if page is ZERO else page.entry() for at, page in table.items()}
            assert vma.table.tolist() == [entries.get(at, -1) for at in range(vma.pages)], f"{vma}"
        for file in m.files:
            assert set(np.flatnonzero(file.cache != -1).tolist()) == set(self.caches.get(file, ())), f"{file}"
        assert m.swap.pages - m.swap.free == len(self.pages) - len(here)
        assert m.conserved() == (m.total_pages, m.total_pages - len(here), len(here))
        for account in m.accounts[1:]:
            assert account.charged == sum(page.payer == account.name for page in here), f"{account}"
        used = [m.zone_of(pfn) for pfn in pfns]
        assert all(zone.free_pages == zone.pages - used.count(zone) for zone in m.zones)


def may_lie_in(m, policy, page, task, vma):
    """The zones that a page may come from, by the rules as the course words them."""
    who = task.container
    shared = {"quoted": True, "literal": bool(vma and vma.shared), "fake": False}.get(policy, page.kind != "anon")
    own = {zone for zone in m.zones if zone.owner is who}
    home = {who.set.shared} if shared and who.set and who.set.shared else own
    return home | set(who.borrow) if home and policy != "ownership" else {node.main for node in m.nodes}


class Small(Machine):
    """A machine whose things are found by number, so that a list of commands can be run again on another."""

    trip: Any = None  # a move under way

    def one(self, kind, n):
        mapped = [vma for task in self.tasks for vma in task.vmas]
        software = [zone for zone in self.zones if zone.role != "main"]
        things: Any = {"vmas": mapped, "zones": software}.get(kind) or getattr(self, kind, [])
        return things[n % len(things)] if things else None

    def go(self, n, mib):
        """Set out on a move, go on with it, or call it off."""
        self.trip = self.trip or self.moving(self.one("containers", n), n // 7 % 2, 1 + n % 400)
        if (self.trip.close() if mib == 12 else next(self.trip, None)) is None:
            self.trip = None


PLAIN: Any = {  # commands that change no page's content, payer or user
    "container": lambda m, name, n, mib: m.task(
        m.container(name, n % 3, mib, [m.nodes[0].main] * (n % 2), lazy=n > 5e5)
    ),
    "set": lambda m, name, n, mib: m.container_set(name, [c for c in m.containers if not c.set], shared_mib=mib),
    "carve": lambda m, name, n, mib: m.carve(name, n % 3, mib),
    "file": lambda m, name, n, mib: m.file(name, pages=1 + n % 1500, tmpfs=n % 3 == 0),
    "grow": lambda m, name, n, mib: m.grow(m.one("zones", n), mib),
    "shrink": lambda m, name, n, mib: m.shrink(m.one("zones", n), mib),
    "merge": lambda m, name, n, mib: m.merge(m.one("zones", n)),
    "move": lambda m, name, n, mib: m.move(m.one("tasks" if mib < 4 else "containers", n), n // 7 % 3),
    "go": lambda m, name, n, mib: m.go(n, mib),
}
MADE: Any = {"profile": ["6.12", "2.6.20"], "lru": ["exact", "clock"], "swap_mib": [0, 1, 4]}
made = st.fixed_dictionaries({option: st.sampled_from(values) for option, values in MADE.items()})


class Commands(RuleBasedStateMachine):
    """Two nodes of 24 MiB, a few containers, and mappings that are larger than their zones."""

    @initialize(policy=st.sampled_from(sorted(POLICIES)), made=made)
    def boot(self, policy, made):
        self.policy, self.log, self.names, self.naive, self.failed = policy, [], 0, Naive(), False
        self.new = lambda: Small(nodes=2, node_mib=24, policy=POLICIES[policy](), **made)
        self.m = self.new()
        for what, n, mib in (("container", 3, 4), ("container", 6, 8), ("set", 0, 4), ("file", 1499, 0)):
            self.plain(what, n, mib)
        for who, which, shared in ((1, None, False), (2, None, True), (2, 1, False)):
            self.mmap(who, which, 1400, shared)

    def do(self, command):
        """Run a command and remember it; a refusal must change nothing."""
        before, trip = self.m.digest(), self.m.trip
        self.log.append(command)
        try:
            return command(self.m)
        except OutOfMemory:
            raise AssertionError("this command takes no memory") from None
        except ZonelabError:
            assert trip or self.m.digest() == before, "a refused command has changed something"

    def each(self, count, once, then, at_worst):
        """A long command as many single ones (the log gets the long one); `then` or `at_worst` tells the model."""
        self.log.append(lambda m: once(m, 0, count))
        self.failed = True
        for at in range(count):
            turn, self.naive.fresh = self.m.evictions, []
            try:
                once(self.m, at, 1)
            except OutOfMemory:
                self.naive.lose()
                at_worst(at)
                break
            if self.m.evictions != turn:
                self.naive.lose()
            then(at)
            for page, task, vma in self.naive.fresh:
                zone = self.m.zone_of(page.entry())
                assert zone in may_lie_in(self.m, self.policy, page, task, vma), f"{page.kind} of {task} in {zone}"
        self.failed = False

    @rule(what=st.sampled_from([*sorted(PLAIN), "go", "go"]), n=PICK, mib=MIB)
    def plain(self, what, n, mib):
        self.names += 1
        name = f"n{self.names}"
        if what != "container" or len(self.m.containers) < 4:
            self.do(lambda m: PLAIN[what](m, name, n, mib))

    @rule(who=PICK, n=st.none() | PICK, pages=PAGES, shared=st.booleans())
    @precondition(lambda self: self.m.tasks and len(self.naive.tables) < 9)
    def mmap(self, who, n, pages, shared):
        vma = self.do(lambda m: m.mmap(m.one("tasks", who), pages, None, n and m.one("files", n), shared))
        if vma:
            self.naive.map(vma)

    @rule(n=PICK, first=st.just(0) | PICK, pages=st.just(1400) | PAGES, write=st.booleans())
    @precondition(lambda self: self.naive.tables)
    def touch(self, n, first, pages, write):
        vma = self.m.one("vmas", n)
        first %= vma.pages

        def then(at, write=write):
            self.naive.touch(vma, first + at, write)

        def at_worst(at):  # what is to be copied came into memory, but there was no room for the copy
            if write and not vma.shared and vma.table[first + at] >= 0:
                then(at, False)

        pages = min(pages, vma.pages - first)
        self.each(pages, lambda m, at, count: m.touch(m.one("vmas", n), first + at, count, write), then, at_worst)

    @rule(who=PICK, n=PICK, first=PICK, pages=PAGES, call=st.sampled_from([Machine.read, Machine.write]))
    @precondition(lambda self: self.m.tasks and self.m.files)
    def read_or_write(self, who, n, first, pages, call):
        task, file = self.m.one("tasks", who), self.m.one("files", n)
        first %= file.pages

        def once(m, at, count):
            call(m, m.one("tasks", who), m.one("files", n), first + at, count)

        pages = min(pages, file.pages - first)
        self.each(pages, once, lambda at: self.naive.cached(task, None, file, first + at), lambda at: None)

    @rule(
        n=PICK,
        at=st.just(0) | PICK,
        pages=PAGES,
        what=st.sampled_from(["discard", "munmap", "pin"]),
        pinned=st.booleans(),
    )
    @precondition(lambda self: self.naive.tables)
    def on_a_vma(self, n, at, pages, what, pinned):
        vma = self.m.one("vmas", n)
        at %= vma.pages
        pages = min(pages, vma.pages - at, 200 if what == "pin" else 1400)
        held = [self.naive.tables[vma].get(place, ZERO) for place in range(at, at + pages)]
        if what == "munmap":
            self.do(lambda m: m.munmap(m.one("vmas", n)))
            self.naive.unmap(vma)
        elif what == "discard":
            self.do(lambda m: m.discard(m.one("vmas", n), at, pages))
            for place in range(at, at + pages):
                self.naive.forget(vma, place)
        else:
            self.do(lambda m: m.pin(m.one("vmas", n), at, pages, pinned))
            for page in held if all(page is not ZERO and not page.swapped for page in held) else ():
                page.frame = page.entry() if pinned else None

    @rule(n=PICK)
    def unlink(self, n):
        file = self.m.one("files", n)
        if self.do(lambda m: m.unlink(m.one("files", n))) is not None:
            self.naive.unlink(file)

    @rule(who=PICK)
    @precondition(lambda self: 0 < len(self.m.tasks) < 5 and len(self.naive.tables) < 7)
    def fork(self, who):
        parent = self.m.one("tasks", who)
        child = self.do(lambda m: m.fork(m.one("tasks", who)))
        for one, twin in zip(parent.vmas, child.vmas, strict=True):
            self.naive.map(twin, one)

    @rule(kind=st.sampled_from(["tasks", "containers"]), n=PICK, merge=st.booleans())
    @precondition(lambda self: len(self.m.tasks) > 2)
    def exit(self, kind, n, merge):
        gone: Any = self.m.one(kind, n)
        vmas = [vma for task in (gone.tasks if kind == "containers" else [gone]) for vma in task.vmas]
        self.do(lambda m: m.exit(m.one(kind, n), merge))
        for vma in vmas:
            self.naive.unmap(vma)
        for page in [page for page in self.naive.pages if kind == "containers" and page.payer == gone.name]:
            page.payer = "root"

    @invariant()
    def in_order(self):
        if hasattr(self, "m"):
            self.m.check()
            self.naive.agree(self.m)
            assert all(getattr(zone.owner, "alive", True) for zone in self.m.zones), "a zone of somebody who is gone"

    def teardown(self):
        if hasattr(self, "m") and not self.failed:
            again = self.new()
            for command in self.log:
                with contextlib.suppress(ZonelabError):
                    command(again)
            assert again.digest() == self.m.digest(), "the same commands once more, long ones in one go, lead elsewhere"


TestStateful = Commands.TestCase
TestStateful.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
