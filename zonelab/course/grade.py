"""Marks out of the answers that students hand in. Nothing of theirs is executed.

An answers file (or code) holds what came out of a student's function for the seeded cases of an exercise. The same cases are made
again here, from the student's name, and the simulator's answers to them are compared with the ones handed in. Whoever writes
``right: true`` into the file gets nothing for it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from zonelab.course.exercise import Exercise, parse_outcomes
from zonelab.course.unit import ME, MET, NUMBERS, content, exercises, seed_of
from zonelab.errors import BadFormat, BadRequest
from zonelab.story.answers import PREFIX, Answer, read_answers, read_code
from zonelab.story.ask import Ask

LARGEST = 4 << 20
"""Bytes; an answers file with everything in it has some tens of thousands."""
SUFFIXES = (".json", ".txt")


@dataclass
class Marks:
    """What one student has handed in.

    Attributes:
        student: name or roll number as the student gave it; the file's name if none was given.
        points: exercise, as ``01/buddy`` → points.
        attempts: exercise → how often it was tried.
        met: misconceptions met on the way, as ``01/buddy: the next block``.
        right: quiz and recall questions answered right, verified; asked: how many were answered.
        notes: what a teacher should know: torn, edited, handed in twice.
    """

    file: str
    student: str
    points: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    met: list[str] = field(default_factory=list)
    right: int = 0
    asked: int = 0
    notes: list[str] = field(default_factory=list)
    digest: str = ""

    @property
    def total(self) -> int:
        return sum(self.points.values())


def present() -> tuple[str, ...]:
    """The units that have exercises in this version of the course."""
    return tuple(number for number in NUMBERS if find_spec(f"zonelab.course.units.u{number}"))


@cache
def all_exercises() -> dict[str, Exercise]:
    """All exercises of the course by ``unit/name``."""
    return {f"{number}/{name}": one for number in present() for name, one in exercises(number).items()}


@cache
def _questions() -> dict[str, Ask]:
    out: dict[str, Ask] = {}
    for number in present():
        for what, asks in (("quiz", content(number).QUIZ), ("recall", content(number).RECALL)):
            out |= {f"{what}/{number}/{at}": ask for at, ask in enumerate(asks, 1)}
    return out


def files_of(paths: Iterable[str | Path]) -> list[Path]:
    """The files among these, and in folders among these all .json and .txt files, in order of their names.

    Raises:
        BadRequest: a path that is not there, or nothing at all to mark.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise BadRequest(f"{path} is not there")
    if not found:
        raise BadRequest(
            f"no {' or '.join(SUFFIXES)} files in {', '.join(map(str, paths))}; students hand in zonelab-answers.json or a code"
        )
    return found


def mark(path: Path) -> Marks:
    """Mark one file: answers as JSON, or a text with a code in it."""
    marks = Marks(str(path), path.stem)
    try:
        answers = _read(path)
    except (BadFormat, OSError, UnicodeDecodeError) as problem:
        marks.notes.append(f"cannot be read: {problem}")
        return marks
    me = answers.get(ME)
    if me is not None and str(me["given"]).strip():
        marks.student = str(me["given"]).strip()
        seeded = marks.student
    else:
        marks.notes.append("no name given with i_am(…)")
        seeded = "zonelab"
    for key, exercise in all_exercises().items():
        answer = answers.get(f"exercise/{key}")
        if answer is not None:
            _mark_exercise(marks, key, exercise, answer, seeded)
    for key, ask in _questions().items():
        answer = answers.get(key)
        if answer is None:
            continue
        marks.asked += 1
        try:
            marks.right += ask.judge(answer["given"]).right
        except BadRequest:
            marks.notes.append(f"{key}: {str(answer['given'])[:30]!r} is no answer to this question")
    for key in sorted(answers):
        what, _, rest = key.partition("/")
        unit, _, name = rest.partition("/")
        name, _, thought = name.partition("/")
        known = all_exercises().get(f"{unit}/{name}") if what == MET else None
        if known is not None and thought in known.wrong:
            marks.met.append(f"{unit}/{name}: {thought}")
    work = sorted((key, str(answer["given"])) for key, answer in answers.items() if key.startswith("exercise/"))
    marks.digest = hashlib.sha256(repr((seeded.casefold(), work)).encode()).hexdigest() if work else ""
    return marks


def _mark_exercise(marks: Marks, key: str, exercise: Exercise, answer: Answer, seeded: str) -> None:
    unit, _, name = key.partition("/")
    marks.attempts[key] = answer["tries"]
    marks.points[key] = 0
    try:
        right = exercise.compare(parse_outcomes(str(answer["given"])), seed_of(seeded, unit, name)).right
    except BadRequest as problem:
        marks.notes.append(f"{key}: {problem}")
        return
    if right:
        marks.points[key] = exercise.points
    if answer["right"] and not right:
        marks.notes.append(f"{key} is said to be right, but its numbers are not; edited, or made under another name")


def _read(path: Path) -> dict[str, Answer]:
    if path.stat().st_size > LARGEST:
        raise BadFormat(f"{path.name} has {path.stat().st_size:,} bytes", None, f"at most {LARGEST:,}")
    data = path.read_bytes()
    text = data.decode("utf-8", errors="replace").strip()
    if PREFIX in text.upper():  # a code, perhaps with words around it, as in a mail
        at = text.upper().index(PREFIX)
        rest = text[at:].split("\n\n")[0]
        return read_code(rest)
    return read_answers(data, path.name)


def grade(paths: Iterable[str | Path]) -> list[Marks]:
    """Mark all these files and folders; the same work handed in twice is noted at both."""
    all_marks = [mark(path) for path in files_of(paths)]
    again = Counter(marks.digest for marks in all_marks if marks.digest)
    names = Counter(marks.student.casefold() for marks in all_marks)
    for marks in all_marks:
        if marks.digest and again[marks.digest] > 1:
            twins = [other.file for other in all_marks if other.digest == marks.digest and other is not marks]
            marks.notes.append(f"the same work as {', '.join(twins)}")
        elif names[marks.student.casefold()] > 1:
            marks.notes.append("more than one file under this name")
    return all_marks


def as_csv(all_marks: Sequence[Marks]) -> str:
    """A table with a row for each file and a column for each exercise of the course."""
    known = all_exercises()
    possible = sum(exercise.points for exercise in known.values())
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    columns = ["student", "file", "points", "of", *known, "attempts", "questions right", "questions answered"]
    table.writerow([*columns, "misconceptions met", "notes"])
    for marks in all_marks:
        points = [marks.points.get(key, "") for key in known]
        row = [
            marks.student,
            marks.file,
            marks.total,
            possible,
            *points,
            sum(marks.attempts.values()),
            marks.right,
            marks.asked,
        ]
        table.writerow([_harmless(cell) for cell in (*row, "; ".join(marks.met), "; ".join(marks.notes))])
    return out.getvalue()


def _harmless(cell: str | int) -> str | int:
    """A spreadsheet takes text that begins like a formula for one."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t") else cell
