"""Exercises in code that check themselves.

The right answer comes from the simulator, and so do the wrong ones: a misconception is a function, too, and whoever's answers
are those of that function is told which thought leads there. Numbers come from a seed, so that each student has his own.
"""

from __future__ import annotations

import html
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from zonelab.errors import BadRequest, ZonelabError

State = Literal["empty", "stumbles", "wrong", "right"]
LINES = 2_000_000
"""Lines of the student's own code that one case may run: some seconds, then it is called endless."""
MISSING = "(nothing)"


class Endless(Exception):
    """A function that was stopped because it does not come to an end."""


@dataclass(frozen=True)
class Feedback:
    """What is said about an answer.

    Attributes:
        state: *empty*, *stumbles* (raises an error), *wrong* or *right*.
        said: the sentence or two for the student.
        misconception: the name of the wrong thought that gives exactly these answers; empty if none is known.
        outcomes: what came out for each case, as plain data; None where nothing did.
    """

    state: State
    said: str
    misconception: str = ""
    outcomes: tuple[Any, ...] = ()

    @property
    def right(self) -> bool:
        return self.state == "right"

    def __str__(self) -> str:
        return f"{_SIGN[self.state]} {self.said}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colour = {"right": "#2e8b57", "wrong": "#c2572b", "stumbles": "#c2572b", "empty": "#7a8794"}[self.state]
        style = "dashed" if self.state in ("wrong", "stumbles") else "solid"
        words = html.escape(self.said).replace("\n", "<br>")
        return (
            f'<div role="status" style="border-left: 4px {style} {colour}; padding: 0.3rem 0.9rem; max-width: 46rem">'
            f"<b>{_SIGN[self.state]}</b> {words}</div>"
        )


_SIGN = {"empty": "…", "stumbles": "!", "wrong": "✗", "right": "✓ Right."}


def plain(value: Any) -> Any:
    """A value as JSON would have it, so that numpy numbers, tuples and lists compare as a student means them."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if hasattr(value, "tolist"):  # numpy
        return plain(value.tolist())
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if hasattr(value, "name"):  # a zone, a container, a policy
        return str(value.name)
    return str(value)


def same(one: Any, other: Any) -> bool:
    """Equal as students mean it: 2 and 2.0 are, True and 1 are not."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        name: within its unit.
        cases: from a random generator to the arguments of each case, as tuples. Called anew for each answer that is judged, so
            that a machine among the arguments is always a fresh one.
        right: the answer, computed with the simulator.
        wrong: misconception → (the function that it leads to, the sentence for who thinks so).
        hints: the first is given with the first wrong answer that no misconception explains, the second later.
        praise: said when it is right.
        outcome: ``(arguments, what the function returned)`` → what is compared; the return value by default. For tasks in which
            something has to be done with a machine.
        ask: how a case is shown, from its arguments; ``name(arguments)`` by default.
        points: for grading.
    """

    name: str
    cases: Callable[[Random], list[tuple[Any, ...]]]
    right: Callable[..., Any]
    wrong: Mapping[str, tuple[Callable[..., Any], str]]
    hints: tuple[str, str]
    praise: str = ""
    outcome: Callable[[tuple[Any, ...], Any], Any] = field(default=lambda _, result: result)
    ask: Callable[..., str] | None = None
    points: int = 2

    def outcomes(self, answer: Callable[..., Any], seed: str) -> list[Any]:
        """What an answer gives for the cases of a seed, as plain data."""
        return [plain(self.outcome(case, answer(*case))) for case in self.cases(Random(seed))]

    def judge(self, answer: Any, seed: str, tries: int = 0) -> Feedback:
        """Is this function the answer? `tries` is how often it was wrong before: later hints say more."""
        if not callable(answer):
            return Feedback("stumbles", f"{self.name} is {answer!r}; it has to be a function: def {self.name}(…)")
        got: list[Any] = []
        for case in self.cases(Random(seed)):
            try:
                got.append(plain(self.outcome(case, bounded(answer, case))))
            except NotImplementedError:
                got.append(None)
            except Endless:
                said = f"{self._shown(case)} does not come to an end: it was stopped after {LINES:,} lines."
                return Feedback("stumbles", said)
            except RecursionError:
                return Feedback("stumbles", f"{self._shown(case)} calls itself without end.")
            except Exception as problem:
                return Feedback("stumbles", f"{self._shown(case)} {_stumble(problem, answer)}")
        if all(value is None for value in got):
            return Feedback("empty", f"Nothing here yet. {self.hints[0]}", outcomes=tuple(got))
        return self.compare(got, seed, tries)

    def compare(self, got: list[Any], seed: str, tries: int = 0) -> Feedback:
        """``judge`` for outcomes that were noted down before; nothing of the student's is run."""
        wanted = self.outcomes(self.right, seed)
        if same(got, wanted):
            return Feedback("right", self.praise, outcomes=tuple(got))
        for name, (function, sentence) in self.wrong.items():
            if same(got, self.outcomes(function, seed)):
                return Feedback("wrong", sentence, name, tuple(got))
        cases = self.cases(Random(seed))
        at = next((n for n, (a, b) in enumerate(zip(got, wanted, strict=False)) if not same(a, b)), 0)
        value = got[at] if at < len(got) else None
        said = f"{self._shown(cases[at])} gives {MISSING if value is None else json.dumps(value)}, and that is not it."
        good = sum(same(a, b) for a, b in zip(got, wanted, strict=False))
        if good:
            said += f" {good} of {len(wanted)} cases are right."
        hint = self.hints[0] if tries < 1 else self.hints[1]
        return Feedback("wrong", f"{said}\nHint: {hint}", outcomes=tuple(got))

    def _shown(self, case: tuple[Any, ...]) -> str:
        if self.ask is not None:
            return self.ask(*case)
        return f"{self.name}({', '.join(repr(argument) for argument in case)})"


def bounded(answer: Callable[..., Any], case: tuple[Any, ...], lines: int = LINES) -> Any:
    """Call a student's function; stop it after so many lines of its own file.

    Raises:
        Endless: it was stopped.
    """
    code = getattr(getattr(answer, "__func__", answer), "__code__", None)
    if code is None:
        return answer(*case)
    left = lines

    def line(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Endless
        return line

    def call(frame: Any, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename == code.co_filename else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        return answer(*case)
    finally:
        sys.settrace(before)


def _stumble(problem: Exception, answer: Any) -> str:
    """An error in a student's function in a sentence: what, and in which of its lines."""
    name = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == name]
    where = f", in the line: {lines[-1].line}" if lines and lines[-1].line else ""
    if isinstance(problem, ZonelabError):
        return f"was refused{where}. {problem}"
    return f"raises {type(problem).__name__}: {problem}{where}"


def parse_outcomes(text: str) -> list[Any]:
    """Outcomes as ``Unit.check`` notes them down.

    Raises:
        BadRequest: it is not a list as JSON.
    """
    try:
        read = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        read = None
    if not isinstance(read, list):
        raise BadRequest(f"{text[:40]!r} is no list of outcomes")
    return read
