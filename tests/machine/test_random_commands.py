"""Random commands that overfill zones on purpose: every invariant after each one, and a naive model that must agree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.machine.naive import Naive, Page
from zonelab.errors import BadRequest, OutOfMemory
from zonelab.machine import Corrected, Literal, Machine, PageOwnership

PICK = st.integers(0, 10**6)
SIZES = st.sampled_from([-4, 0, 1, 4, 4, 8, 12])
POLICIES = {"corrected": Corrected, "literal": Literal, "ownership": PageOwnership}


class Commands(RuleBasedStateMachine):
    """Two nodes of 24 MiB, three containers at most, files and mappings that are larger than their zones."""

    @initialize(
        policy=st.sampled_from(sorted(POLICIES)),
        profile=st.sampled_from(["6.12", "2.6.20"]),
        lru=st.sampled_from(["exact", "clock"]),
    )
    def boot(self, policy, profile, lru):
        self.log = []
        self.made = (policy, profile, lru)
        self.m, self.naive = self.new(), Naive()
        self.names = 0
        for mib in (4, 8):
            self.container(0, mib, mib == 4, False)
        self.do("set", self.name(), 4)
        self.do("file", self.name(), 2500)
        for shared in (False, True, False):
            self.mmap(len(self.vmas), None if shared else 0, 2000, shared, self.names % 2 == 0)
            self.names += 1

    def new(self):
        policy, profile, lru = self.made
        return Machine(nodes=2, node_mib=24, profile=profile, policy=POLICIES[policy](), lru=lru)

    def one_of(self, things, pick):
        return things[pick % len(things)] if things else None

    def do(self, what, *args):
        """Run a command on the machine; remember it, so that it can be run again. A refusal must change nothing."""
        before = self.m.digest()
        try:
            result = COMMANDS[what](self.m, *args)
        except BadRequest:
            assert self.m.digest() == before, f"{what}{args} was refused, and changed something"
            return None
        finally:
            self.log.append((what, args))
        return result

    @property
    def vmas(self):
        return [vma for task in self.m.tasks for vma in task.vmas]

    def name(self):
        self.names += 1
        return f"n{self.names}"

    @rule(node=st.integers(0, 2), mib=st.sampled_from([0, 2, 4, 8, 16]), borrow=st.booleans(), lazy=st.booleans())
    @precondition(lambda self: len(self.m.containers) < 3)
    def container(self, node, mib, borrow, lazy):
        if self.do("container", self.name(), node, mib, borrow, lazy):
            self.do("task", len(self.m.containers) - 1)

    @rule(
        what=st.sampled_from(["set", "mount", "file", "grow", "shrink", "carve", "merge", "unlink"]),
        which=PICK,
        mib=SIZES,
    )
    def administer(self, what, which, mib):
        if what in ("grow", "shrink"):
            self.do(what, which, mib)
        elif what == "merge":
            self.do(what, which)
        elif what == "unlink":
            file = self.one_of(self.m.files, which)
            if file is not None and self.do(what, which) is not None:
                self.naive.caches.pop(file, None)
        elif what == "file":
            if len(self.m.files) < 4:
                self.do(what, self.name(), 1 + which % 2500)
        elif what == "carve":
            self.do(what, self.name(), which % 3, mib)
        else:
            self.do(what, self.name(), mib)

    @rule(who=PICK, file=PICK, pages=st.integers(1, 3000), shared=st.booleans(), anonymous=st.booleans())
    @precondition(lambda self: self.m.tasks and len(self.vmas) < 8)
    def mmap(self, who, file, pages, shared, anonymous):
        vma = self.do("mmap", who, None if anonymous else file, pages, shared)
        if vma is not None:
            self.naive.map(vma)

    @rule(which=PICK, write=st.booleans())
    @precondition(lambda self: self.vmas)
    def touch_all(self, which, write):
        self.touch(which, 0, 2500, write)

    @rule(which=PICK, at=PICK, pages=st.integers(1, 1500), write=st.booleans())
    @precondition(lambda self: self.vmas)
    def touch(self, which, at, pages, write):
        vma = self.one_of(self.vmas, which)
        at %= vma.pages
        pages = min(pages, vma.pages - at)
        self.log.append(("touch", (which, at, pages, write)))
        for page in range(at, at + pages):
            version = self.m.evictions
            try:
                self.m.touch(vma, page, 1, write)
            except OutOfMemory:
                if vma.file is not None and write and not vma.shared and vma.file.cache[vma.offset + page] >= 0:
                    self.naive.lose(self.m)
                    self.naive.touch(vma, page, False) if vma.table[page] >= 0 and page not in self.naive.tables[
                        id(vma)
                    ] else None
                return
            if self.m.evictions != version:
                self.naive.lose(self.m)
            self.naive.touch(vma, page, write)

    @rule(who=PICK, which=PICK, at=PICK, pages=st.integers(1, 1500), write=st.booleans())
    @precondition(lambda self: self.m.tasks and self.m.files)
    def file_io(self, who, which, at, pages, write):
        task, file = self.one_of(self.m.tasks, who), self.one_of(self.m.files, which)
        at %= file.pages
        pages = min(pages, file.pages - at)
        self.log.append(("io", (who, which, at, pages, write)))
        for page in range(at, at + pages):
            try:
                (self.m.write if write else self.m.read)(task, file, page, 1)
            except OutOfMemory:
                return
            self.naive.lose(self.m)
            self.naive.cached(file, page, task.container.name)

    @rule(which=PICK, at=PICK, pages=st.integers(1, 1500))
    @precondition(lambda self: self.vmas)
    def discard(self, which, at, pages):
        vma = self.one_of(self.vmas, which)
        at %= vma.pages
        pages = min(pages, vma.pages - at)
        self.do("discard", which, at, pages)
        for page in range(at, at + pages):
            self.naive.tables[id(vma)].pop(page, None)

    @rule(which=PICK)
    @precondition(lambda self: self.vmas)
    def munmap(self, which):
        vma = self.one_of(self.vmas, which)
        self.do("munmap", which)
        self.naive.unmap(vma)

    @rule(which=PICK)
    @precondition(lambda self: 0 < len(self.m.tasks) < 4 and len(self.vmas) < 6)
    def fork(self, which):
        parent = self.one_of(self.m.tasks, which)
        self.naive.fork(parent, self.do("fork", which))

    @rule(which=PICK, whole=st.booleans())
    @precondition(lambda self: self.m.tasks)
    def exit(self, which, whole):
        task = self.one_of(self.m.tasks, which)
        container = task.container
        gone = list(container.tasks) if whole else [task]
        vmas = [vma for one in gone for vma in one.vmas]
        self.do("exit", which, whole)
        for vma in vmas:
            self.naive.unmap(vma)
        if whole:
            self.naive.exit(container.name)

    @rule(which=PICK, order=st.integers(-1, 11))
    @precondition(lambda self: self.m.tasks)
    def alloc_pages(self, which, order):
        payer = self.one_of(self.m.tasks, which).container.name
        with contextlib.suppress(OutOfMemory):
            pfn = self.do("alloc", which, order)
            if pfn is not None:
                assert pfn % (1 << order) == 0
                self.naive.kernel[pfn] = [Page(payer, False) for _ in range(1 << order)]

    @rule(which=PICK)
    def free_pages(self, which):
        pfn = self.one_of(sorted(self.naive.kernel), which)
        if self.do("free", pfn if pfn is not None else which) is not None:
            del self.naive.kernel[pfn]

    @rule(which=PICK, node=st.integers(0, 2), one=st.booleans())
    @precondition(lambda self: self.m.tasks)
    def move(self, which, node, one):
        self.do("move", which, node, one)

    @rule(which=PICK, node=st.integers(0, 1), stop=st.integers(0, 5), step=st.integers(1, 300))
    @precondition(lambda self: self.m.tasks)
    def begin_to_move_and_call_it_off(self, which, node, stop, step):
        self.do("call off", which, node, stop, step)

    @invariant()
    def in_order(self):
        if hasattr(self, "m"):
            self.m.check()
            self.naive.agree(self.m)
            assert self.naive.evicted <= sum(self.m.interference.values())

    def teardown(self):
        if not hasattr(self, "m"):
            return
        again = self.new()
        for what, args in self.log:
            with contextlib.suppress(BadRequest, OutOfMemory):
                COMMANDS[what](again, *args)
        assert again.digest() == self.m.digest(), "the same commands once more lead elsewhere"


def pick(things, at):
    return things[at % len(things)] if things else None


def call_off(m, which, node, stop, step):
    steps = m.moving(pick(m.tasks, which).container, node, step)
    for _ in range(stop):
        if next(steps, None) is None:
            return
    steps.close()


def own(m, which):
    return pick([zone for zone in m.zones if zone.role != "main"] or m.zones, which)


def vmas(m):
    return [vma for task in m.tasks for vma in task.vmas]


COMMANDS: dict[str, Callable[..., Any]] = {
    "container": lambda m, name, node, mib, borrow, lazy: m.container(
        name, node, mib, borrow=(m.nodes[0].main,) if borrow else (), lazy=lazy
    ),
    "task": lambda m, which: m.task(m.containers[which]),
    "set": lambda m, name, mib: m.container_set(name, [c for c in m.containers if c.set is None], shared_mib=mib),
    "mount": lambda m, name, mib: m.mount(name, 1, mib),
    "file": lambda m, name, pages: m.file(name, pages=pages, mount=pick(m.mounts, pages)),
    "mmap": lambda m, who, file, pages, shared: m.mmap(
        pick(m.tasks, who), pages=pages, file=pick(m.files, file) if file is not None else None, shared=shared
    ),
    "touch": lambda m, which, at, pages, write: m.touch(pick(vmas(m), which), at, pages, write),
    "io": lambda m, who, which, at, pages, write: (m.write if write else m.read)(
        pick(m.tasks, who), pick(m.files, which), at, pages
    ),
    "discard": lambda m, which, at, pages: m.discard(pick(vmas(m), which), at, pages),
    "munmap": lambda m, which: m.munmap(pick(vmas(m), which)),
    "fork": lambda m, which: m.fork(pick(m.tasks, which)),
    "alloc": lambda m, which, order: m.alloc_pages(pick(m.tasks, which), order),
    "free": lambda m, pfn: m.free_pages(pfn),
    "unlink": lambda m, which: m.unlink(pick(m.files, which)),
    "exit": lambda m, which, whole: m.exit(pick(m.tasks, which).container if whole else pick(m.tasks, which)),
    "move": lambda m, which, node, one: m.move(pick(m.tasks, which) if one else pick(m.tasks, which).container, node),
    "call off": call_off,
    "grow": lambda m, which, mib: m.grow(own(m, which), mib),
    "shrink": lambda m, which, mib: m.shrink(own(m, which), mib),
    "carve": lambda m, name, node, mib: m.carve(name, node, mib),
    "merge": lambda m, which: m.merge(own(m, which)),
}

TestRandomCommands = Commands.TestCase
TestRandomCommands.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
