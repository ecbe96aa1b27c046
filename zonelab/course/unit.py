"""A unit of the course as a page uses it: its recall questions, its exercises, its quiz."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from zonelab.course.exercise import Exercise, Feedback
from zonelab.errors import BadRequest
from zonelab.story import Answers, Ask
from zonelab.story.answers import here
from zonelab.view.drawing import Drawing
from zonelab.view.quiz import Quiz

NUMBERS = tuple(f"{number:02}" for number in range(13))
ME = "me"
MET = "met"


def content(number: str) -> Any:
    """The module with a unit's RECALL, QUIZ and EXERCISES.

    Raises:
        BadRequest: there is no such unit.
    """
    if number not in NUMBERS:
        raise BadRequest(f"there is no unit {number!r}; there are {', '.join(NUMBERS)}")
    return import_module(f"zonelab.course.units.u{number}")


def exercises(number: str) -> dict[str, Exercise]:
    """A unit's exercises by name."""
    return {exercise.name: exercise for exercise in content(number).EXERCISES}


def seed_of(me: str, number: str, name: str) -> str:
    """What an exercise's numbers are made from: who does it, and which it is."""
    return f"{me.strip().casefold()}/{number}/{name}"


def i_am(name: str) -> None:
    """Your name or roll number, so that your exercises have numbers of their own; kept beside the notebooks.

    Raises:
        BadRequest: it is empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise BadRequest("a name or roll number is needed, as text: i_am('Ada 1815')")
    answers = here()
    answers.kept.pop(ME, None)
    answers.record(ME, name.strip(), True)
    print(f"Exercises are made for {name.strip()!r} from now on.")


def hand_in() -> None:
    """Print what to hand in: the file with your answers, and the same as a code for where files are hard to get at."""
    answers = here()
    me = answers.get(ME)
    print(f"Name: {me['given'] if me else 'not given yet; run i_am(…) first, and then your exercises again'}")
    print(f"File: {answers.path}" + (f" ({answers.problem})" if answers.problem else ""))
    print(f"Or copy this code, all of it:\n{answers.code()}")


class Unit:
    """One unit's questions and exercises: ``unit = Unit("01")`` in a page's first cell.

    ==================== ======================================================
    ``picture()``        the picture that goes with the idea
    ``recall()``         three questions on the unit before
    ``check(name, f)``   judges your function for an exercise, with a hint
    ``seed(name)``       a number for ``Lab(split, seed=…)``, another for each reader
    ``quiz()``           questions on this unit
    ==================== ======================================================

    Args:
        number: "00" to "12".
        answers: where answers are kept; beside the notebook by default.
    """

    def __init__(self, number: str, answers: Answers | None = None) -> None:
        self.number, self.content = number, content(number)
        self.exercises = exercises(number)
        self.kept = here() if answers is None else answers

    def __repr__(self) -> str:
        return (
            f"<unit {self.number}: exercises {', '.join(self.exercises) or 'none'}; {len(self.content.QUIZ)} questions>"
        )

    @property
    def me(self) -> str:
        kept = self.kept.get(ME)
        return str(kept["given"]) if kept else "zonelab"

    def picture(self) -> Drawing:
        """The picture that goes with the idea."""
        drawn: Drawing = self.content.picture()
        return drawn

    def recall(self) -> Quiz:
        """Three questions on the unit before this one."""
        before = f"{int(self.number) - 1:02}"
        if before not in NUMBERS:
            raise BadRequest("unit 00 is the first; there is nothing to recall yet")
        return Quiz(f"Still there from unit {before}?", _keyed(content(before).RECALL, before, "recall"), self.kept)

    def quiz(self) -> Quiz:
        """Questions on this unit."""
        return Quiz("Check yourself", _keyed(self.content.QUIZ, self.number, "quiz"), self.kept)

    def seed(self, name: str) -> int:
        """A number made from who you are and a name; the same each time."""
        return zlib.crc32(seed_of(self.me, self.number, name).encode()) % 100_000

    def check(self, name: str, answer: Callable[..., Any]) -> Feedback:
        """Judge a function as the answer to an exercise; what came out is kept, for you and for your teacher.

        Raises:
            BadRequest: no such exercise.
        """
        exercise = self._exercise(name)
        key = f"exercise/{self.number}/{name}"
        before = self.kept.get(key)
        feedback = exercise.judge(answer, seed_of(self.me, self.number, name), before["tries"] if before else 0)
        if feedback.state != "empty":
            self.kept.record(key, json.dumps(feedback.outcomes, separators=(",", ":")), feedback.right)
        if feedback.misconception:
            self.kept.record(f"{MET}/{self.number}/{name}/{feedback.misconception}", "", False)
        self._last = (name, feedback)
        return feedback

    def passed(self, name: str) -> bool:
        """Whether the newest ``check`` of an exercise was right; for a grader."""
        self._exercise(name)
        last = getattr(self, "_last", None)
        return bool(last and last[0] == name and last[1].right)

    def _exercise(self, name: str) -> Exercise:
        if name not in self.exercises:
            raise BadRequest(
                f"unit {self.number} has no exercise {name!r}; it has {', '.join(self.exercises) or 'none'}"
            )
        return self.exercises[name]


def _keyed(asks: tuple[Ask, ...], number: str, what: str) -> list[Ask]:
    return [replace(ask, key=f"{what}/{number}/{at}") for at, ask in enumerate(asks, 1)]
