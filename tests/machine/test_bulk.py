"""A long touch, read or write leaves what as many short ones would, free lists and ages included; and it is repeatable."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest, OutOfMemory
from zonelab.machine import (
    AsQuoted,
    ByMount,
    Corrected,
    FakeNuma,
    FirstTouch,
    LastTouch,
    Literal,
    Machine,
    PageOwnership,
    PerSet,
)

POLICIES = [
    AsQuoted,
    Literal,
    Corrected,
    lambda: Corrected(reclaim_first=True),
    lambda: Corrected(cache_key="container"),
    ByMount,
    lambda: FakeNuma(4),
    PageOwnership,
]
machines = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(POLICIES),
        "rule": st.sampled_from([FirstTouch, LastTouch, PerSet]),
        "profile": st.sampled_from(["6.12", "2.6.20"]),
        "lru": st.sampled_from(["exact", "clock"]),
        "swap_mib": st.sampled_from([0, 2]),
    }
)


def play(made, seed, borrow, bulk):
    """The same random script, each range in one command or page by page; returns the digest and how each command ended."""
    m = Machine(nodes=2, node_mib=32, **{**made, "policy": made["policy"](), "rule": made["rule"]()})
    dice = random.Random(seed)
    web = m.container("web", 0, 4)
    db = m.container("db", 0, 8, borrow=(m.nodes[0].main,) if borrow else ())
    m.container_set("pair", [web, db], shared_mib=4)
    mount = m.mount("home", 1, 4)
    tasks = [m.task(web), m.task(db)]
    files = [m.file("a", pages=1500, mount=mount), m.file("b", pages=3000), m.file("c", pages=500, tmpfs=True)]
    vmas: list[Any] = []
    ends = []

    def over(command, thing, size):
        count = 1 + dice.randrange(size)
        first = dice.randrange(size - count + 1)
        if bulk:
            command(thing, first, count)
        else:
            for at in range(first, first + count):
                command(thing, at, 1)

    for _ in range(25):
        what, write, many = dice.random(), dice.random() < 0.6, 1 + dice.randrange(2500)
        task, file = dice.choice(tasks), dice.choice(files)
        vma = dice.choice(vmas) if vmas else None
        node = dice.randrange(2)
        state = dice.getrandbits(32)
        try:
            if what < 0.2:
                vmas.append(
                    m.mmap(
                        task, pages=None if many % 2 else many, file=file if many % 2 else None, shared=many % 3 == 0
                    )
                )
            elif what < 0.6 and vma:
                over(lambda v, at, n, write=write: m.touch(v, at, n, write=write), vma, vma.pages)
            elif what < 0.75:
                over(
                    lambda f, at, n, task=task, write=write: (m.write if write else m.read)(task, f, at, n),
                    file,
                    file.pages,
                )
            elif what < 0.8 and len(tasks) < 5:
                tasks.append(m.fork(task))
                vmas += tasks[-1].vmas
            elif what < 0.86 and vma:
                m.discard(vma, 0, 1 + many % vma.pages)
            elif what < 0.9 and vma:
                vmas.remove(vma)
                m.munmap(vma)
            elif what < 0.95:
                m.move(dice.choice([web, db]), node)
            else:
                m.dentries(task, 1 + many % 300)
        except BadRequest as problem:
            ends.append(str(problem))
        except OutOfMemory:
            ends.append("out of memory")
        dice.seed(state)  # a page-by-page run that stops early draws as many numbers as the other
        if bulk:
            m.check()
    return m.digest(), ends


@settings(deadline=None, max_examples=25)
@given(made=machines, seed=st.integers(0, 2**32), borrow=st.booleans())
def test_bulk_equals_singles(made, seed, borrow):
    assert play(made, seed, borrow, bulk=True) == play(made, seed, borrow, bulk=False)


@settings(deadline=None, max_examples=5)
@given(made=machines, seed=st.integers(0, 2**32), borrow=st.booleans())
def test_the_same_script_gives_the_same_machine(made, seed, borrow):
    assert play(made, seed, borrow, bulk=True) == play(made, seed, borrow, bulk=True)
