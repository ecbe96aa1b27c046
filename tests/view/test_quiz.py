"""The quiz from Python: verdicts, what the browser is told and what not, and the still version."""

from __future__ import annotations

import pytest

from zonelab.errors import BadRequest
from zonelab.story import Answers, Ask
from zonelab.view import Quiz

ASKS = (
    Ask("Two?", "2", ("1", "2"), feedback={"1": "One is one."}, why="Two is two.", key="q/1"),
    Ask(
        "How many pages?",
        8,
        kind="number",
        feedback={"3": "The order is an exponent."},
        otherwise="Count.",
        why="2^3.",
        key="q/2",
    ),
)


def test_verdicts_are_kept_and_shown_again():
    kept = Answers(None)
    quiz = Quiz("Now", ASKS, kept)
    assert not quiz.answer("q/1", "1") and quiz.verdicts["q/1"] == {"given": "1", "right": False, "said": "One is one."}
    assert quiz.answer("q/2", 8) and quiz.verdicts["q/2"]["said"] == "2^3."
    assert Quiz("Later", ASKS, kept).verdicts == quiz.verdicts
    quiz.answer("q/1", "2")
    assert kept.kept["q/1"]["tries"] == 2 and kept.kept["q/1"]["right"] and not kept.kept["q/1"]["first"]


def test_a_message_from_the_browser_is_an_answer_and_garbage_is_not():
    quiz = Quiz("Now", ASKS, Answers(None))
    quiz._asked(None, {"key": "q/1", "given": "2"}, [])
    assert quiz.verdicts["q/1"]["right"]
    for content in (
        {},
        {"key": "q/9", "given": 1},
        {"key": "q/1", "given": "7"},
        {"key": "q/2", "given": "many"},
        None,
    ):
        quiz._asked(None, content, [])
    assert list(quiz.verdicts) == ["q/1"]


def test_the_browser_does_not_know_the_answers():
    state = str(Quiz("Now", ASKS, Answers(None)).get_state(["title", "asks", "verdicts"]))
    assert "How many pages?" in state and "Two is two" not in state and "2^3" not in state and "answer" not in state


def test_the_still_version_has_each_answer_folded_away():
    quiz = Quiz("Now", ASKS, Answers(None))
    data = quiz._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert data["text/html"].count("<details>") == 2 and "8. 2^3." in data["text/html"]
    assert "1. Two?" in data["text/plain"] and "2^3" not in data["text/plain"]


def test_an_answer_to_an_older_version_of_a_question_is_passed_over():
    kept = Answers(None)
    kept.record("q/1", "three", False)
    assert Quiz("Now", ASKS, kept).verdicts == {}


def test_keys_and_unknown_questions():
    with pytest.raises(BadRequest, match="a key of its own"):
        Quiz("Now", (ASKS[0], ASKS[0]), Answers(None))
    with pytest.raises(BadRequest, match="no question 'x' here; there are q/1"):
        Quiz("Now", ASKS, Answers(None)).answer("x", 1)
