"""Stories: their controls, their steps, their frames; the same story told twice is the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadRequest
from zonelab.machine import Machine
from zonelab.story import Choice, Slider, Toggle, scenario, step
from zonelab.story.tour import LARGE, SMALL, tour

values = st.fixed_dictionaries(
    {
        "web_mib": st.integers(1, 16).map(lambda n: 4 * n),
        "db_mib": st.integers(1, 16).map(lambda n: 4 * n),
        "shared_mib": st.integers(1, 8).map(lambda n: 4 * n),
        "borrow": st.booleans(),
        "computer": st.sampled_from([SMALL, LARGE]),
    }
)


@settings(deadline=None, max_examples=25)
@given(values)
def test_the_tour_holds_with_every_setting(chosen):
    history = tour.play(**chosen)
    assert len(history) >= 2
    for number in range(len(history)):
        frame = history.frame(number)
        assert frame.total == frame.free + frame.used
        assert frame.used == sum(frame.charges.values())
        assert frame.free == sum(zone.free for zone in frame.zones)
        for zone in frame.zones:
            assert zone.free == sum(n << order for order, n in enumerate(zone.counts))
        blocks = history.blocks(number)
        assert int(blocks["used"].sum(dtype=np.int64)) == frame.used
        assert (frame.text and not frame.text.startswith("Here the story ends")) or frame.problem
    assert history.machine is not None
    history.machine.check()


@settings(deadline=None, max_examples=10)
@given(values, st.data())
def test_the_same_values_tell_the_same_story(chosen, data):
    one, other = tour.play(**chosen), tour.play(**chosen)
    assert one.payload() == other.payload()
    number = data.draw(st.integers(0, len(one) - 1))
    frame = one.frame(number)
    with tour.at(number, **chosen) as machine:
        assert machine.conserved() == (frame.total, frame.free, frame.used)
        assert (machine.block_zone == one.blocks(number)["zone"]).all()


@pytest.mark.parametrize("number", range(14))
def test_blocks_say_what_the_machine_says(number):
    blocks = tour.play().blocks(number)
    with tour.at(number) as machine:
        owners, stamps = (array.reshape(-1, 1024) for array in (machine.pages.owner, machine.pages.stamp))
        assert (blocks["used"] == np.count_nonzero(owners, axis=1)).all()
        assert (blocks["stamp"] == stamps.max(axis=1)).all()
        for block in np.flatnonzero(blocks["used"]).tolist():
            assert np.bincount(owners[block])[1:].argmax() + 1 == blocks["owner"][block]


def test_every_step_tells_its_causes_in_order():
    frame = tour.play().frame(4)  # the first touch
    assert [cause.kind for cause in frame.events] == ["fault", "route", "zone", "split", "page"]
    assert [cause.depth for cause in frame.events] == [0, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"web_mib": 3}, "web_mib = 3: it goes from 4 to 64 MiB in steps of 4"),
        ({"web_mib": 68}, "web_mib = 68"),
        ({"web_mib": "24"}, "web_mib = '24'"),
        ({"web_mib": float("nan")}, "web_mib = nan"),
        ({"borrow": 1}, "borrow = 1: it can be True or False"),
        ({"computer": "a mainframe"}, "it can be '2 nodes of 128 MiB' or"),
        ({"webmib": 24}, "no control webmib; it has web_mib"),
    ],
)
def test_wrong_values_are_refused(given, message):
    with pytest.raises(BadRequest) as refused:
        tour.play(**given)
    assert message in str(refused.value)


def test_a_story_ends_where_the_machine_refuses():
    @scenario("Too much")
    def much(mib=Slider(4, 64, 4, 60)):
        machine = Machine(nodes=1, node_mib=64)
        yield step(machine, "boot")
        machine.container("web", private_mib=mib)
        machine.container("db", private_mib=mib)
        yield step(machine, "never reached")

    history = much.play()
    assert [frame.problem for frame in history.frames] == [False, True]
    assert history.frame(1).text.startswith("Here the story ends: ")
    with much.at(1) as machine:
        assert machine.conserved() == (16384, 16384, 0)
    with pytest.raises(BadRequest, match="no step 2"), much.at(2):
        pass


def test_a_story_that_cannot_begin_says_so():
    @scenario("No machine")
    def none(nodes=Slider(0, 2, 1, 0, unit="")):
        machine = Machine(nodes=nodes)
        yield step(machine, "boot")

    with pytest.raises(BadRequest, match="0 nodes"):
        none.play()


def test_a_second_machine_starts_the_map_anew():
    @scenario("Twice")
    def twice():
        for mib in (8, 16):
            machine = Machine(nodes=1, node_mib=64)
            yield step(machine, "boot")
            machine.container("web", private_mib=mib)
            yield step(machine, "carved")

    history = twice.play()
    assert [frame.boot for frame in history.frames] == [True, False, True, False]
    assert [int((history.blocks(n)["zone"] > 0).sum()) for n in range(4)] == [0, 2, 0, 4]


def test_machines_of_one_story_have_the_same_nodes():
    @scenario("Two computers")
    def two():
        for nodes in (1, 2):
            yield step(Machine(nodes=nodes, node_mib=64), "boot")

    with pytest.raises(BadRequest, match="same nodes"):
        two.play()


def test_names_of_what_is_gone_are_kept():
    history = tour.play()
    assert "db" in history.frame(13).accounts and "library" in history.frame(13).mappings


def test_controls_check_themselves():
    with pytest.raises(BadRequest, match="goes nowhere"):
        Slider(8, 4, 4, 8)
    with pytest.raises(BadRequest, match="own value = 5"):
        Slider(4, 8, 4, 5)
    with pytest.raises(BadRequest, match="'c'"):
        Choice(("a", "b"), "c")
    with pytest.raises(BadRequest, match="needs a Slider"):
        scenario("bare")(lambda mib=4: (_ for _ in ()))
    assert Toggle(True).as_json() == {"kind": "toggle"}
