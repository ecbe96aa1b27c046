"""Every unit: its picture, its questions with a word on every answer, its exercises with right and wrong answers."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import pytest

from zonelab.course import Unit, i_am
from zonelab.course.unit import content, exercises
from zonelab.errors import BadRequest
from zonelab.story import Answers

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {path.name[:2]: path for path in sorted((ROOT / "teach" / "units").glob("[0-9]*.md"))}
EXERCISES = [(number, name) for number in SOURCES for name in exercises(number)]
SEEDS = [f"{who}/seed" for who in ("zonelab", "ada 1815", "bob", "7", "x" * 30)]


@pytest.mark.parametrize("number", SOURCES)
def test_questions_have_a_word_on_every_answer(number):
    unit = content(number)
    assert 3 <= len(unit.QUIZ) <= 5 and len(unit.RECALL) == 3
    for ask in (*unit.QUIZ, *unit.RECALL):
        assert ask.why, ask.question
        if ask.kind == "choice":
            assert set(ask.feedback) == set(ask.options) - {ask.answer}, ask.question
            assert all(ask.feedback.values())
        else:
            assert ask.kind == "number" and ask.otherwise, ask.question
        for said in (ask.why, *ask.feedback.values()):
            assert said.endswith((".", "?", "!", ")", "`")), said


@pytest.mark.parametrize("number", SOURCES)
def test_the_picture_says_in_words_what_it_shows(number):
    picture = content(number).picture()
    assert len(picture.alt.split()) >= 12
    assert f'aria-label="{picture.alt[:20]}' in picture.svg().replace("&#x27;", "'")
    for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', picture.svg()):
        assert 0 <= float(x) <= picture.width and 0 <= float(y) <= picture.height


def cell(number, tag, name):
    notebook = jupytext.read(SOURCES[number], fmt="md:myst")
    found = [c.source for c in notebook.cells if {tag, name} <= set(c.metadata.get("tags", []))]
    assert len(found) == 1, f"unit {number} needs one cell tagged {tag}, {name}"
    return found[0]


def function(number, name, source):
    space: dict[str, object] = {}
    first = [
        c.source for c in jupytext.read(SOURCES[number], fmt="md:myst").cells if "first" in c.metadata.get("tags", [])
    ]
    exec(
        compile("\n".join(line for line in first[0].splitlines() if not line.startswith("unit =")), "first", "exec"),
        space,
    )
    exec(compile(source, f"<{name}>", "exec"), space)
    return space[name]


@pytest.mark.parametrize(("number", "name"), EXERCISES)
def test_the_given_answer_passes_and_the_empty_one_does_not(number, name):
    exercise = exercises(number)[name]
    source = cell(number, "exercise", name)
    assert "### BEGIN SOLUTION" in source and "### END SOLUTION" in source
    for seed in SEEDS:
        feedback = exercise.judge(function(number, name, source), seed)
        assert feedback.right, f"{seed}: {feedback}"
    stub = re.sub(r"( *)### BEGIN SOLUTION.*?### END SOLUTION", r"\1...", source, flags=re.S)
    feedback = exercise.judge(function(number, name, stub), SEEDS[0])
    assert feedback.state == "empty" and exercise.hints[0] in feedback.said
    assert f'unit.check("{name}", {name})' in cell(number, "check", name)


@pytest.mark.parametrize(("number", "name"), EXERCISES)
def test_each_misconception_is_recognised_whatever_the_seed(number, name):
    exercise = exercises(number)[name]
    assert len(exercise.wrong) >= 2 and len(set(exercise.hints)) == 2 and exercise.praise
    for seed in SEEDS:
        for misconception, (thought, sentence) in exercise.wrong.items():
            feedback = exercise.judge(thought, seed)
            assert (feedback.state, feedback.misconception, feedback.said) == ("wrong", misconception, sentence), seed


def test_answers_and_misconceptions_are_kept():
    kept = Answers(None)
    unit = Unit("01", kept)
    assert unit.check("buddy", lambda pfn, order: pfn ^ order).misconception == "order instead of size"
    assert not unit.passed("buddy")
    assert unit.check("buddy", lambda pfn, order: pfn ^ 1 << order).right
    assert unit.passed("buddy")
    answer = kept.kept["exercise/01/buddy"]
    assert answer["tries"] == 2 and answer["right"]
    assert kept.kept["met/01/buddy/order instead of size"]["tries"] == 1
    unit.check("buddy", lambda pfn, order: None)  # a cell that is run before anything is written is no attempt
    assert kept.kept["exercise/01/buddy"]["tries"] == 2


def test_who_i_am_changes_my_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = Unit("01").seed("split")
    i_am("Ada 1815")
    assert "Ada 1815" in capsys.readouterr().out
    assert Unit("01").me == "Ada 1815" and Unit("01").seed("split") != before
    i_am("Bob")
    assert Unit("01").me == "Bob"
    with pytest.raises(BadRequest, match="name or roll number"):
        i_am("  ")


def test_what_a_unit_has_not():
    with pytest.raises(BadRequest, match="no unit '1'"):
        Unit("1")
    with pytest.raises(BadRequest, match="no exercise 'body'; it has buddy"):
        Unit("01", Answers(None)).check("body", print)
    with pytest.raises(BadRequest, match="nothing to recall"):
        Unit("00", Answers(None)).recall()
