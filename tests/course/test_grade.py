"""Marks out of files: right, wrong, torn, edited, copied, hostile. Nothing handed in is executed."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonelab.__main__ import main
from zonelab.course import Unit, hand_in
from zonelab.course.grade import all_exercises, as_csv, grade, mark
from zonelab.errors import BadRequest
from zonelab.story import Answers

RIGHT = {"buddy": lambda pfn, order: pfn ^ 1 << order, "can_serve": lambda counts, order: any(counts[order:])}
WRONG = {"buddy": lambda pfn, order: pfn + (1 << order), "can_serve": lambda counts, order: counts[order] > 0}


def work(path, me, *answers, quiz=()):
    """A student named `me` checks these answers in this order; the file is left at `path`."""
    kept = Answers(path)
    if me:
        kept.record("me", me, True)
    unit = Unit("01", kept)
    for name, function in answers:
        unit.check(name, function)
    for at, choice in quiz:
        unit.quiz().answer(f"quiz/01/{at}", choice)
    return kept


def test_right_wrong_and_half(tmp_path):
    work(tmp_path / "a.json", "Ada", *WRONG.items(), *RIGHT.items(), quiz=[(1, 11), (2, "order 2 at pfn 16")])
    work(tmp_path / "b.json", "Bob", *WRONG.items())
    work(tmp_path / "c.json", "Cy", ("buddy", RIGHT["buddy"]))
    ada, bob, cy = grade([tmp_path])
    assert (ada.student, ada.total, ada.points) == ("Ada", 4, {"01/buddy": 2, "01/can_serve": 2})
    assert ada.attempts == {"01/buddy": 2, "01/can_serve": 2}
    assert ada.met == ["01/buddy: the next block", "01/can_serve: exactly this order"]
    assert (ada.right, ada.asked, ada.notes) == (1, 2, [])
    assert (bob.total, bob.points) == (0, {"01/buddy": 0, "01/can_serve": 0})
    assert (cy.total, cy.points) == (2, {"01/buddy": 2})


def test_a_code_is_as_good_as_the_file_even_in_the_middle_of_a_mail(tmp_path):
    kept = work(tmp_path / "a.json", "Ada", *RIGHT.items())
    code = kept.code()
    folded = "\n".join(code[at : at + 70] for at in range(0, len(code), 70))
    (tmp_path / "mail.txt").write_text(f"Dear teacher,\nhere it is:\n{folded}\n\nBest, Ada\n")
    from_file, from_code = grade([tmp_path / "a.json", tmp_path / "mail.txt"])
    assert from_file.points == from_code.points == {"01/buddy": 2, "01/can_serve": 2}
    assert "the same work as" in from_code.notes[0] and "mail.txt" in from_file.notes[0]


def test_edited_copied_and_torn(tmp_path):
    work(tmp_path / "bob.json", "Bob", *WRONG.items())
    edited = json.loads((tmp_path / "bob.json").read_text())
    edited["answers"]["exercise/01/buddy"]["right"] = True
    (tmp_path / "edited.json").write_text(json.dumps(edited))
    work(tmp_path / "ada.json", "Ada", *RIGHT.items())
    renamed = json.loads((tmp_path / "ada.json").read_text())
    renamed["answers"]["me"]["given"] = "Zoe"
    (tmp_path / "zoe.json").write_text(json.dumps(renamed))
    whole = (tmp_path / "ada.json").read_bytes()
    (tmp_path / "torn.json").write_bytes(whole[: len(whole) // 2])
    marks = {one.file.rsplit("/", 1)[1]: one for one in grade([tmp_path])}
    assert marks["edited.json"].total == 0 and "said to be right" in marks["edited.json"].notes[0]
    assert marks["zoe.json"].points["01/buddy"] == 0, "the numbers are Ada's"
    assert marks["ada.json"].total == 4
    assert marks["torn.json"].total == 0 and "cannot be read" in marks["torn.json"].notes[0]


def test_without_a_name_the_exercises_are_the_common_ones(tmp_path):
    work(tmp_path / "x.json", "", *RIGHT.items())
    (marks,) = grade([tmp_path])
    assert marks.total == 4 and marks.student == "x" and "no name" in marks.notes[0]


def test_the_table(tmp_path, capsys):
    work(tmp_path / "a.json", "=cmd|' /C calc'!A0", *RIGHT.items())
    table = as_csv(grade([tmp_path]))
    (row,) = list(csv.DictReader(io.StringIO(table)))
    assert row["student"].startswith("'="), "no formula in a spreadsheet"
    assert row["points"] == "4" and row["01/buddy"] == "2" and row["00/blocks"] == ""
    assert int(row["of"]) == sum(exercise.points for exercise in all_exercises().values())
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "marks.csv")]) == 0
    assert (tmp_path / "marks.csv").read_text() == table
    assert "1 files marked" in capsys.readouterr().out
    assert main(["grade", str(tmp_path / "a.json")]) == 0
    assert capsys.readouterr().out == table


def test_nothing_to_mark(tmp_path, capsys):
    with pytest.raises(BadRequest, match="not there"):
        grade([tmp_path / "nobody.json"])
    with pytest.raises(BadRequest, match="students hand in"):
        grade([tmp_path])
    assert main(["grade", str(tmp_path)]) == 2


@given(st.binary(max_size=400))
def test_garbage_is_marked_with_a_note(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("garbage") / "g.json"
    path.write_bytes(data)
    marks = mark(path)
    assert marks.total == 0 and marks.notes


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
    )
)
def test_any_outcome_can_be_handed_in(tmp_path_factory, outcome):
    path = tmp_path_factory.mktemp("odd") / "o.json"
    answer = {"given": json.dumps(outcome), "right": True, "tries": 1, "first": True}
    path.write_text(
        json.dumps({"zonelab": 1, "answers": {"exercise/01/buddy": answer, "quiz/01/1": answer, "nonsense": answer}})
    )
    assert mark(path).total == 0


def test_hand_in_prints_the_file_and_the_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hand_in()
    assert "not given yet" in capsys.readouterr().out
    work(tmp_path / "zonelab-answers.json", "Ada", *RIGHT.items())
    monkeypatch.setattr("zonelab.story.answers._OPEN", {})
    hand_in()
    out = capsys.readouterr().out
    assert "Name: Ada" in out and "zonelab-answers.json" in out
    (tmp_path / "code.txt").write_text(out)
    assert mark(tmp_path / "code.txt").total == 4
