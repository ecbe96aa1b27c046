"""The search: every trace, the smallest counterexamples, and the three wishes that no rule can grant."""

from __future__ import annotations

from fractions import Fraction

import pytest

from zonelab.course.fairness import (
    AGAIN,
    BEGINS,
    LEAVES,
    PROPERTIES,
    Bills,
    Property,
    counterexample,
    impossible,
    pairs_that_clash,
    play,
    search,
    traces,
    users,
)  # fmt: skip
from zonelab.errors import BadRequest
from zonelab.machine import EqualSplit, FirstTouch, LastTouch, PerSet


@pytest.fixture(scope="module")
def table():
    return search(length=4)


def test_every_trace_once_and_shortest_first():
    found = list(traces(3))
    assert (
        len(found)
        == len(set(found))
        == 4 + 4 * 5 + sum(3 + 2 * len(users(trace)) + 1 - len(users(trace)) for trace in traces(2) if len(trace) == 2)
    )
    assert [len(trace) for trace in found] == sorted(len(trace) for trace in found)
    for trace in found:
        for at, (actor, verb) in enumerate(trace):
            assert (verb == BEGINS) == (actor not in users(trace[:at]))


def test_bills_that_can_be_worked_out_by_hand():
    both = (("A", BEGINS), ("C", BEGINS))
    assert play(both, FirstTouch()) == {"A": 1}
    assert play(both, LastTouch()) == {"C": 1}
    assert play(both, EqualSplit()) == {"A": Fraction(1, 2), "C": Fraction(1, 2)}
    assert play(both, PerSet()) == {"set": 1}
    assert play((*both, ("A", AGAIN)), LastTouch()) == {"A": 1}
    assert play((*both, ("A", LEAVES)), EqualSplit()) == {"C": 1}


def test_each_rule_fails_and_each_wish_but_the_sum_is_denied_by_somebody(table):
    for rule in table.rules:
        assert any(not table.cell(rule, wish).holds for wish in table.wishes)
    for wish in table.wishes:
        assert any(table.cell(rule, wish).holds for rule in table.rules)
        assert wish == "adds up" or any(not table.cell(rule, wish).holds for rule in table.rules)


def test_a_counterexample_is_the_smallest(table):
    wishes = {one.name: one for one in PROPERTIES}
    for cell in table.counterexamples():
        rule = (
            next(r for r in (FirstTouch(), LastTouch(), EqualSplit(), PerSet()) if r.name == cell.rule)
            if cell.rule != "proportional"
            else None
        )
        if rule is None:
            continue
        bills = Bills(rule)
        for trace in traces(len(cell.trace)):
            bills.after(trace)
            said = wishes[cell.wish].broken(bills, trace)
            assert (said is None) or len(trace) == len(cell.trace)
            if said is not None:
                assert trace == cell.trace
                break


def test_wishes_that_always_and_never_come_true():
    always = Property("always", "", lambda bills, trace: None)
    never = Property("never", "", lambda bills, trace: "no" if len(trace) > 1 else None)
    found = search([FirstTouch()], [always, never], length=3)
    assert found.cell("first touch", "always").holds
    assert len(found.cell("first touch", "never").trace or ()) == 2


def test_longer_traces_change_nothing_in_the_table(table):
    longer = search(length=5)
    assert {key: cell.holds for key, cell in longer.cells.items()} == {
        key: cell.holds for key, cell in table.cells.items()
    }


def test_what_no_rule_can_have():
    assert "in 0 of them" in impossible() and "in 0 of them" in impossible(7)


def test_some_wishes_clash(table):
    assert ("no strangers", "others cannot raise my bill") in pairs_that_clash(table)


def test_a_counterexample_can_be_played(table):
    cell = table.cell("equal split", "others cannot raise my bill")
    history = counterexample(cell).play()
    assert len(history) == 1 + len(cell.trace) and history.frames[-1].text.endswith(
        "There it is: B did nothing, and pays 1 instead of 1/2."
    )
    with pytest.raises(BadRequest, match="no counterexample"):
        counterexample(table.cell("equal split", "adds up"))


def test_the_table_in_words_and_as_html(table):
    assert "first touch, no free riders: A begins to use it" in repr(table)
    assert table._repr_html_().count("<td") == len(table.rules) * len(table.wishes)
