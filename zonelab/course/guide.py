"""For the teacher's guide: what the exercises ask, what they are worth, and which wrong ideas they know."""

from __future__ import annotations

from zonelab.course.grade import all_exercises
from zonelab.course.real import Real
from zonelab.course.unit import NUMBERS, content


def marking_key() -> Real:
    """Every exercise with its points and the misconceptions that its check names; the last row is the sum."""
    rows = [
        (name.partition("/")[0], name.partition("/")[2], str(exercise.points), "; ".join(exercise.wrong))
        for name, exercise in all_exercises().items()
    ]
    total = sum(exercise.points for exercise in all_exercises().values())
    questions = sum(len(content(number).QUIZ) for number in NUMBERS)
    rows.append(("", "all", str(total), f"and {questions} quiz questions, which are counted apart"))
    return Real("Exercises that are marked.", ("unit", "exercise", "points", "wrong ideas that the check names"), rows)
