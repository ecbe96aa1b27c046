"""Questions: a story may ask before it shows a step, and what is answered is compared with what the machine did.

The right answer is never written by hand: a story asks with what the simulator has just done.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from zonelab.errors import BadRequest
from zonelab.machine.zone import Zone

Kind = Literal["choice", "number", "block", "zone", "page"]


PASS = "?"
"""Given by who does not know and wants to be shown."""


def called(zone: Zone) -> str:
    """A zone's name as it is shown: main zones all have the same, and are told apart by their node."""
    return f"{zone.name}, node {zone.node}" if zone.role == "main" else zone.name


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that is asked before a step is opened.

    Attributes:
        question: in one or two sentences.
        answer: what the machine did: one of `options`, a number, or for a click a block's number, a zone's name or a pfn.
        options: for *choice*: what there is to choose from.
        kind: *choice*, *number*; *block*, *zone* or *page*: by a click on the map.
        within: for *number* and *page*: how far off still counts as right.
        feedback: wrong answer → the misconception behind it, in a sentence; `otherwise`: for all other wrong answers.
        why: what explains the right answer, shown with either.
        at: for *page*: the block (4 MiB) that is opened.
        key: under which the answer is kept; made of the story's name and the step when empty.
        points: what a right answer at the first try is worth.
    """

    question: str
    answer: str | int
    options: tuple[str, ...] = ()
    kind: Kind = "choice"
    within: int = 0
    feedback: Dict[str, str] = field(default_factory=dict)
    otherwise: str = ""
    why: str = ""
    at: int = -1
    key: str = ""
    points: int = 1

    def __post_init__(self) -> None:
        if self.kind == "choice" and (len(self.options) < 2 or self.answer not in self.options):
            raise BadRequest(
                f"{self.question!r} needs at least two options with {self.answer!r} among them, not {self.options}"
            )
        if self.kind in ("number", "block", "page") and not isinstance(self.answer, int):
            raise BadRequest(f"the answer to {self.question!r} must be a number, not {self.answer!r}")
        strange = [wrong for wrong in self.feedback if self.kind == "choice" and wrong not in self.options]
        if strange or str(self.answer) in self.feedback:
            raise BadRequest(
                f"feedback on {strange or self.answer!r}, which is not a wrong answer to {self.question!r}"
            )

    def judge(self, given: str | int) -> Verdict:
        """Is it right, and what is there to say about it?

        Raises:
            BadRequest: this cannot be an answer at all.
        """
        if given == PASS:
            return Verdict(False, self.why, self.why)
        if self.kind == "choice" and given not in self.options:
            raise BadRequest(f"{given!r} is no answer to {self.question!r}; choose one of {', '.join(self.options)}")
        if self.kind in ("number", "block", "page"):
            try:
                off = abs(int(given) - int(self.answer))
            except ValueError:
                raise BadRequest(f"{given!r} is no answer to {self.question!r}; it needs a whole number") from None
            right = off <= self.within
        else:
            right = str(given) == str(self.answer)
        said = self.why if right else self.feedback.get(str(given), self.otherwise)
        return Verdict(right, said, self.why)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"feedback": dict(self.feedback)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Right or not; what to say about the answer; why the right one is right."""

    right: bool
    said: str
    why: str
