"""Rows of the table: what the kernel did, what zonelab says, and whether the difference, if there is one, is explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Numbers = tuple[int, ...]
Verdict = Literal["equal", "explained", "unexplained", "not modelled"]


class Cause(NamedTuple):
    """Something the model leaves out, and by how much the kernel's number may differ for it: from `low` to `high` pages."""

    why: str
    low: int
    high: int


Causes = Callable[[int, Numbers], list[Cause]]
"""For one of several numbers, and all the differences: what may have caused this one."""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        experiment: name of the recording; `step`: the line of its script.
        what: what was measured; `kernel`, `zonelab`: the numbers, for instance one for each node.
        verdict: *equal*, *explained*, *unexplained*, or *not modelled*: zonelab does not carry out such a line.
        why: what explains the difference, or what is not modelled.
    """

    experiment: str
    step: str
    what: str
    kernel: Numbers
    zonelab: Numbers
    verdict: Verdict
    why: str = ""

    @property
    def difference(self) -> Numbers:
        """The kernel's numbers less ours."""
        return tuple(a - b for a, b in zip(self.kernel, self.zonelab, strict=True))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"difference": self.difference}

    def __str__(self) -> str:
        head = f"{self.experiment}: {self.step}: {self.what}: "
        if self.verdict == "not modelled":
            return f"{head}not modelled: {self.why}"
        if self.verdict == "equal":
            return f"{head}{_shown(self.kernel)}, equal"
        verdict = "UNEXPLAINED" if self.verdict == "unexplained" else "explained"
        apart = ", ".join(f"{d:+,}" for d in self.difference)
        apart, why = f"difference {apart}", self.why or "nothing found"
        return f"{head}kernel {_shown(self.kernel)}, zonelab {_shown(self.zonelab)}, {apart}, {verdict}: {why}"


def _shown(numbers: Numbers) -> str:
    return " / ".join(f"{number:,}" for number in numbers)


def judge(
    experiment: str, step: str, what: str, kernel: Numbers, zonelab: Numbers, causes: Causes | None = None
) -> Row:
    """Compare; where numbers differ, see whether the causes that are found reach that far.

    Numbers that are equal although a cause was at work that must make a difference are as suspicious as any others.
    """
    apart = tuple(a - b for a, b in zip(kernel, zonelab, strict=True))
    why: list[str] = []
    enough = True
    for at, difference in enumerate(apart):
        found, reasons = explain(difference, causes(at, apart) if causes is not None else [])
        enough &= found
        why += [reason for reason in reasons if reason not in why]
    verdict: Verdict = "unexplained" if not enough else "explained" if any(apart) else "equal"
    return Row(experiment, step, what, kernel, zonelab, verdict, "" if verdict == "equal" else "; ".join(why))


def explain(difference: int, causes: list[Cause]) -> tuple[bool, list[str]]:
    """Do the causes reach this difference? Those that must apply (low and high of one sign) first, then others as needed.

    Returns: whether, and the causes that were used; all that would help if they do not reach.
    """
    low = high = 0
    used = []
    for sure in (True, False):
        for cause in causes:
            if (cause.low > 0 or cause.high < 0) is not sure or cause.low == cause.high == 0:
                continue
            if not sure and (low <= difference <= high or not (cause.high if difference > high else cause.low)):
                continue
            low, high = low + cause.low, high + cause.high
            span = f"{cause.low:+,}" if cause.low == cause.high else f"{cause.low:+,} to {cause.high:+,}"
            used.append(f"{cause.why} ({span})")
    return low <= difference <= high, used


@dataclass(frozen=True)
class Summary:
    """How many rows are equal, explained, unexplained, not modelled."""

    equal: int
    explained: int
    unexplained: int
    not_modelled: int

    @property
    def rows(self) -> int:
        return self.equal + self.explained + self.unexplained + self.not_modelled

    def __str__(self) -> str:
        return (
            f"{self.rows} comparisons: {self.equal} equal, {self.explained} explained, {self.unexplained} unexplained, "
            f"{self.not_modelled} not modelled"
        )


def summary(rows: list[Row]) -> Summary:
    count = [
        sum(row.verdict == verdict for row in rows) for verdict in ("equal", "explained", "unexplained", "not modelled")
    ]
    return Summary(*count)
