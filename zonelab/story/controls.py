"""The controls of a story: what a reader can change about it. Written as defaults of the story's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zonelab.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Slider:
    """A number from `min` to `max` in steps of `step`; `unit` is shown behind it."""

    min: int
    max: int
    step: int
    value: int
    label: str = ""
    unit: str = "MiB"

    def __post_init__(self) -> None:
        if self.step <= 0 or self.max < self.min:
            raise BadRequest(f"a slider from {self.min} to {self.max} in steps of {self.step} goes nowhere")
        self.check("a slider's own value", self.value)

    def check(self, name: str, value: Any) -> int:
        """The value if it lies on the slider, else BadRequest."""
        number = isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
        if not number or not self.min <= value <= self.max or (value - self.min) % self.step:
            raise BadRequest(
                f"{name} = {value!r}: it goes from {self.min} to {self.max} {self.unit} in steps of {self.step}"
            )
        return int(value)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "slider", "min": self.min, "max": self.max, "step": self.step, "unit": self.unit}


@dataclass(frozen=True, slots=True)
class Toggle:
    """On or off."""

    value: bool
    label: str = ""

    def check(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise BadRequest(f"{name} = {value!r}: it can be True or False")
        return value

    def as_json(self) -> dict[str, Any]:
        return {"kind": "toggle"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few."""

    options: tuple[str, ...]
    value: str
    label: str = ""

    def __post_init__(self) -> None:
        self.check("a choice's own value", self.value)

    def check(self, name: str, value: Any) -> str:
        if value not in self.options:
            raise BadRequest(f"{name} = {value!r}: it can be {' or '.join(map(repr, self.options))}")
        return str(value)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "choice", "options": list(self.options)}


@dataclass(frozen=True, slots=True)
class Seed:
    """The number that an exercise is made from: other numbers, other exercises."""

    value: int = 1
    label: str = "exercise number"
    max: int = 99_999

    def check(self, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= self.max:
            raise BadRequest(f"{name} = {value!r}: it is a whole number from 0 to {self.max:,}")
        return value

    def as_json(self) -> dict[str, Any]:
        return {"kind": "seed", "min": 0, "max": self.max, "step": 1, "unit": ""}


Control = Slider | Toggle | Choice | Seed
