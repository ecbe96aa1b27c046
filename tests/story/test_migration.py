"""The story of moving: at every setting of its controls, and its answers against the machine of another step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.story.migration import (
    BEGINS,
    EMPTY,
    FULL,
    MOVE,
    PIECES,
    STAY,
    TOO_FRAGMENTED,
    TOO_FULL,
    migration,
    stay_or_move,
)
from zonelab.story.mover import MOVES, REASONS, movers

values = st.fixed_dictionaries(
    {
        "heap_mib": st.integers(1, 10).map(lambda n: 4 * n),
        "shared_mib": st.integers(0, 8).map(lambda n: 2 * n),
        "pinned": st.integers(0, 8).map(lambda n: 64 * n),
        "target": st.sampled_from([PIECES, FULL, EMPTY]),
    }
)


def where(history, words):
    (found,) = [n for n, frame in enumerate(history.frames) if words in frame.text]
    return found


def nodes_of(machine, task, name):
    (vma,) = [vma for vma in task.vmas if vma.name == name]
    return machine.node_of_block[vma.table >> 10]


@settings(max_examples=25)
@given(values)
def test_it_plays_with_every_setting_and_its_answers_are_what_happens(chosen):
    history = migration.play(**chosen)
    assert len(history) in (12, 15) and not any(frame.problem for frame in history.frames)
    assert history.machine is not None
    history.machine.check()
    many, begins, place = [frame.ask for frame in history.frames if frame.ask is not None]
    heap, shared, pinned = chosen["heap_mib"] * 256, chosen["shared_mib"] * 256, chosen["pinned"]
    assert many.answer == heap - pinned, "counted by hand"
    (server,) = [task for task in history.machine.tasks if task.name == "server"]
    on = nodes_of(history.machine, server, "heap")
    assert (on == 1).sum() == many.answer and (on[:pinned] == 0).all(), "and by looking where the pages ended up"
    if shared:
        assert (nodes_of(history.machine, server, "tables") == 0).all(), "db stays, and so does what it shares"
    refused = any(frame.text.startswith("Refused") for frame in history.frames)
    assert refused == (begins.answer != BEGINS)
    assert place.answer == ("Normal, node 0" if pinned else "web.private@1")
    for ask in (many, begins, place):
        for wrong in ask.feedback:
            assert not ask.judge(wrong).right
    charged = [frame.charges["web"] for frame in history.frames[4:]]
    assert len(set(charged)) == 1, "the bill goes along"


@pytest.mark.parametrize(
    ("heap_mib", "target", "answer"),
    [
        (16, PIECES, TOO_FRAGMENTED), (8, PIECES, BEGINS), (40, FULL, TOO_FULL), (12, FULL, TOO_FULL), (4, FULL, BEGINS),
        (40, EMPTY, BEGINS),
    ],
)  # fmt: skip
def test_what_the_target_must_have(heap_mib, target, answer):
    history = migration.play(heap_mib=heap_mib, target=target)
    ask = [frame.ask for frame in history.frames if frame.ask is not None][1]
    assert ask.answer == answer


def test_the_refusal_and_the_call_off_leave_no_trace():
    history = migration.play()
    refused, called_off = where(history, "Refused"), where(history, "calls it off")
    assert not len(history.frames[refused].changed)
    with migration.at(called_off - 2) as machine:
        before, zones = machine.pages.mapping.copy(), machine.block_zone.copy()
    with migration.at(called_off) as machine:
        assert np.array_equal(machine.pages.mapping, before) and np.array_equal(machine.block_zone, zones)
    with migration.at(called_off - 1) as machine:
        assert not np.array_equal(machine.pages.mapping, before)


@settings(max_examples=25)
@given(st.integers(11, 40), st.integers(1, 16).map(lambda n: 500 * n), st.integers(1, 60))
def test_the_cheaper_way_is_the_one_that_the_formula_says(distance, copy_ns, touches):
    history = stay_or_move.play(distance=distance, copy_ns=copy_ns, touches=touches)
    ask = history.frames[-1].ask
    assert ask is not None
    saved = touches * 10 * (distance - 10)
    assert ask.answer == (MOVE if saved > copy_ns else STAY if saved < copy_ns else "both cost the same")


@settings(max_examples=25)
@given(st.integers(0, 99_999))
def test_be_the_kernel(seed):
    history = movers.play(seed=seed)
    asks = [frame.ask for frame in history.frames if frame.ask is not None]
    assert len(asks) == 5 and len({ask.key for ask in asks}) == 5
    assert sum(ask.answer == MOVES for ask in asks) == 2 and {ask.answer for ask in asks} <= {MOVES, *REASONS.values()}
    for ask in asks:
        assert ("network card" in ask.question) == str(ask.answer).endswith("its pfn")
        assert set(ask.feedback) == set(ask.options) - {ask.answer}
    assert history.payload() == movers.play(seed=seed).payload()
