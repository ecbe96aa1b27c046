"""What is said about an answer: empty, stumbling, endless, wrong with a name, wrong without one, right."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from zonelab.course.exercise import Exercise, parse_outcomes, plain, same
from zonelab.errors import BadRequest
from zonelab.machine import Machine


def double():
    return Exercise(
        name="double",
        cases=lambda dice: [(dice.randrange(3, 100),) for _ in range(4)],
        right=lambda n: 2 * n,
        wrong={
            "square": (lambda n: n * n, "That is the square."),
            "plus two": (lambda n: n + 2, "Two more, not twice."),
        },
        hints=("First hint.", "Second hint."),
        praise="Well done.",
    )


def test_right_whatever_the_number_type():
    for answer in (lambda n: 2 * n, lambda n: 2.0 * n, lambda n: np.int64(2 * n)):
        feedback = double().judge(answer, "ada")
        assert feedback.right and feedback.said == "Well done."


def test_nothing_yet():
    def raises(n):
        raise NotImplementedError

    for answer in (lambda n: None, lambda n: ..., raises):
        feedback = double().judge(answer, "ada")
        assert feedback.state == ("wrong" if answer(1) is ... else "empty") if answer is not raises else "empty"
    assert "First hint" in double().judge(lambda n: None, "ada").said


def test_a_misconception_is_named():
    feedback = double().judge(lambda n: n**2, "ada")
    assert (feedback.state, feedback.misconception, feedback.said) == ("wrong", "square", "That is the square.")


def test_another_wrong_answer_gets_a_case_and_hints_that_grow():
    first = double().judge(lambda n: 7, "ada", tries=0)
    assert "double(" in first.said and "gives 7" in first.said and "First hint" in first.said
    assert "Second hint" in double().judge(lambda n: 7, "ada", tries=1).said


def test_an_error_is_told_with_its_line_and_without_internals():
    def answer(n):
        return n // 0

    feedback = double().judge(answer, "ada")
    assert feedback.state == "stumbles"
    assert (
        "ZeroDivisionError" in feedback.said and "return n // 0" in feedback.said and "exercise.py" not in feedback.said
    )


def test_an_endless_answer_is_stopped(monkeypatch):
    monkeypatch.setattr("zonelab.course.exercise.bounded.__defaults__", (20_000,))

    def answer(n):
        while n:
            n += 1

    feedback = double().judge(answer, "ada")
    assert feedback.state == "stumbles" and "does not come to an end" in feedback.said

    def calls_itself(n):
        return calls_itself(n)

    assert double().judge(calls_itself, "ada").state == "stumbles"


def test_what_is_no_function():
    assert "has to be a function" in double().judge(42, "ada").said


def test_each_reader_has_numbers_of_his_own_and_keeps_them():
    exercise = double()
    assert exercise.outcomes(exercise.right, "ada") == exercise.outcomes(exercise.right, "ada")
    assert exercise.outcomes(exercise.right, "ada") != exercise.outcomes(exercise.right, "bob")


def test_a_task_on_a_machine_is_judged_by_what_it_did():
    def cases(dice: Random):
        return [(Machine(nodes=1, node_mib=64), 4 * dice.randrange(1, 4)) for _ in range(2)]

    exercise = Exercise(
        "carve",
        cases,
        right=lambda machine, mib: machine.container("web", private_mib=mib),
        wrong={"on its own": (lambda machine, mib: machine.carve("web.private", 0, mib), "A zone without an owner.")},
        hints=("Look at machine.container.", "machine.container(name, private_mib=…)"),
        outcome=lambda case, _: [(c.name, len(c.private.blocks)) for c in case[0].containers],
    )
    assert exercise.judge(lambda machine, mib: machine.container("web", private_mib=mib), "x").right
    assert exercise.judge(lambda machine, mib: machine.carve("web.private", 0, mib), "x").misconception == "on its own"
    refused = exercise.judge(lambda machine, mib: machine.container("web", private_mib=4096), "x")
    assert refused.state == "stumbles" and "was refused" in refused.said


def test_plain_and_same():
    assert plain((1, np.float64(0.1), {"a": {3, 2}}, np.arange(2))) == [1, 0.1, {"a": [2, 3]}, [0, 1]]
    assert same([1, 2], [1.0, 2]) and not same([True], [1]) and not same([1], [1, 2])


def test_outcomes_that_are_torn():
    assert parse_outcomes("[1,2]") == [1, 2]
    for text in ("[1,", "7", "", "null"):
        with pytest.raises(BadRequest, match="no list of outcomes"):
            parse_outcomes(text)
