"""Questions are judged by what the machine did; answers are kept, and survive torn files and mistyped codes."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonelab.errors import BadFormat, BadRequest
from zonelab.machine import Machine
from zonelab.story import Answers, Ask, scenario, step
from zonelab.story.allocator import EXERCISES
from zonelab.story.answers import here, read_answers, read_code
from zonelab.story.tour import tour


def test_a_choice_a_number_and_a_click_are_judged():
    ask = Ask("Where?", "here", ("here", "there"), feedback={"there": "too far"}, why="it is near")
    assert ask.judge("here").right and ask.judge("here").said == "it is near"
    assert not ask.judge("there").right and ask.judge("there").said == "too far"
    with pytest.raises(BadRequest, match="choose one of here, there"):
        ask.judge("nowhere")
    ask = Ask("How many?", 100, kind="number", within=5, otherwise="count again")
    assert [ask.judge(n).right for n in (94, 95, 105, 106)] == [False, True, True, False]
    assert ask.judge(3).said == "count again"
    with pytest.raises(BadRequest, match="whole number"):
        ask.judge("many")


@pytest.mark.parametrize(
    "wrong",
    [
        {"answer": "c", "options": ("a", "b")},
        {"answer": "a", "options": ("a",)},
        {"answer": "a", "kind": "number"},
        {"answer": "a", "options": ("a", "b"), "feedback": {"a": "no"}},
        {"answer": "a", "options": ("a", "b"), "feedback": {"c": "no"}},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(BadRequest):
        Ask("Well?", **wrong)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.__name__)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 99_999))
def test_every_exercise_of_every_number_has_right_answers_and_named_wrong_ones(exercise, seed):
    history = exercise.play(seed=seed)
    asks = [frame.ask for frame in history.frames if frame.ask is not None]
    assert len(asks) >= 4 and len({ask.key for ask in asks}) == len(asks)
    assert not any(frame.problem for frame in history.frames)
    for ask in asks:
        assert ask.judge(ask.answer).right and ask.why
        assert ask.feedback or ask.otherwise, "a wrong answer would get no word"
        for wrong, word in ask.feedback.items():
            verdict = ask.judge(wrong)
            assert not verdict.right and verdict.said == word and len(word) > 20
    assert exercise.play(seed=seed).payload() == history.payload(), "the same number, the same exercise"


def test_another_number_is_another_exercise():
    for exercise in EXERCISES:
        assert len({exercise.play(seed=seed).text() for seed in range(8)}) > 4


def test_a_question_without_a_key_gets_one_from_its_story():
    @scenario("Asked")
    def asked():
        machine = Machine(nodes=1, node_mib=64)
        yield step(machine, "boot")
        yield step(machine, "on", Ask("Which?", "a", ("a", "b")))

    ask = asked.play().frame(1).ask
    assert ask is not None and ask.key == "asked/2"


def test_the_tour_asks_and_its_answer_follows_the_slider():
    answers = []
    for borrow in (True, False):
        ask = tour.play(borrow=borrow).frame(9).ask
        assert ask is not None
        answers.append(ask.answer)
    assert answers == ["from the main zone", "from nowhere: out of memory"]
    assert "Before step 10, a question: The server writes" in tour.play().text()


# -- what is kept


def test_answers_are_kept_in_a_file_and_read_again(tmp_path):
    path = tmp_path / "answers.json"
    kept = Answers(path)
    assert kept.record("a/1", "web", False) == {"given": "web", "right": False, "tries": 1, "first": False}
    assert kept.record("a/1", "db", True)["tries"] == 2
    kept.record("a/2", 12, True)
    assert Answers(path).kept == kept.kept
    assert Answers(path).record("a/2", 13, False) == {"given": 12, "right": True, "tries": 2, "first": True}
    assert os.listdir(tmp_path) == ["answers.json"]


keys = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
kept_answers = st.dictionaries(
    keys,
    st.fixed_dictionaries(
        {
            "given": st.one_of(st.integers(-(10**6), 10**9), st.text(max_size=20)),
            "right": st.booleans(),
            "tries": st.integers(1, 1000),
            "first": st.booleans(),
        }
    ),
    max_size=20,
)


@given(kept_answers)
def test_a_code_brings_everything_back(answers):
    kept = Answers()
    kept.kept = answers
    other = Answers()
    code = kept.code()
    assert other.restore("\n".join([code[:9].lower(), code[9:]])) == len(answers)
    assert other.kept == answers


@settings(deadline=None)
@given(answers=kept_answers.filter(bool), data=st.data())
def test_a_torn_or_mistyped_code_is_refused_and_changes_nothing(answers, data):
    kept = Answers()
    kept.kept = answers
    code = kept.code()
    at = data.draw(st.integers(4, len(code) - 1))
    other = data.draw(st.sampled_from([code[:at], code[:at] + ("A" if code[at] != "A" else "B") + code[at + 1 :]]))
    target = Answers()
    if read_or_none(other) != answers:
        with pytest.raises(BadFormat):
            target.restore(other)
        assert not target.kept


def read_or_none(code):
    try:
        return read_code(code)
    except BadFormat:
        return None


def test_a_code_adds_and_never_takes_away():
    one, other = Answers(), Answers()
    one.record("a", "x", True)
    one.record("b", "x", False)
    other.record("a", "y", False)
    other.record("c", "y", True)
    other.restore(one.code())
    assert {key: answer["right"] for key, answer in other.kept.items()} == {"a": True, "b": False, "c": True}


@pytest.mark.parametrize(
    "torn",
    [b"", b"{", b"[]", b'{"zonelab": 2, "answers": {}}', b'{"zonelab": 1, "answers": {"a": 5}}',
     b'{"zonelab": 1, "answers": {"a": {"given": "x", "right": 1, "tries": 1, "first": true}}}', b"\xff\xfe"],
)  # fmt: skip
def test_an_unreadable_file_is_put_aside_not_thrown_away(tmp_path, torn):
    path = tmp_path / "answers.json"
    path.write_bytes(torn)
    with pytest.raises(BadFormat):
        read_answers(torn)
    kept = Answers(path)
    assert "put aside as answers.unreadable.json" in kept.problem and not kept.kept
    assert (tmp_path / "answers.unreadable.json").read_bytes() == torn
    kept.record("a", "b", True)
    assert json.loads(path.read_text())["answers"]["a"]["given"] == "b"


def test_a_folder_that_cannot_be_written_loses_nothing_but_says_so(tmp_path):
    kept = Answers(tmp_path / "nowhere" / "answers.json")
    kept.record("a", "b", True)
    assert kept.get("a") and "copy the code" in kept.problem


def test_all_labs_of_a_page_share_their_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here().record("a", "b", True)
    assert here() is here() and len(here()) == 1
    (tmp_path / "zonelab-answers.json").unlink()
    assert len(here()) == 0, "who deletes the file starts anew"
