"""zonelab: a small simulated NUMA machine, and a course on memory zones and containers that runs on it.

``import zonelab`` loads numpy and the machine, and nothing that draws. What a notebook needs from the upper floors is
fetched when it is first asked for: ``from zonelab import Machine, scenario, Slider, Lab``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zonelab.errors import BadFormat, BadRequest, BrokenInvariant, OutOfMemory, ZonelabError
from zonelab.machine import (
    BLOCK,
    MAX_ORDER,
    MIB,
    PAGE,
    AsQuoted,
    ByMount,
    Corrected,
    Costs,
    EqualSplit,
    Event,
    FakeNuma,
    FirstTouch,
    LastTouch,
    Literal,
    Machine,
    PageOwnership,
    PerSet,
    Policy,
    Proportional,
    describe,
)

if TYPE_CHECKING:
    from zonelab.story import Ask, Choice, History, Scenario, Seed, Slider, Toggle, scenario, step
    from zonelab.view import Lab, storyboard

__version__ = "0.1.0"

_UPSTAIRS = {
    "Ask": "zonelab.story",
    "Choice": "zonelab.story",
    "History": "zonelab.story",
    "Scenario": "zonelab.story",
    "Seed": "zonelab.story",
    "Slider": "zonelab.story",
    "Toggle": "zonelab.story",
    "scenario": "zonelab.story",
    "step": "zonelab.story",
    "Lab": "zonelab.view",
    "storyboard": "zonelab.view",
}

__all__ = [
    "BLOCK",
    "MAX_ORDER",
    "MIB",
    "PAGE",
    "AsQuoted",
    "Ask",
    "BadFormat",
    "BadRequest",
    "BrokenInvariant",
    "ByMount",
    "Choice",
    "Corrected",
    "Costs",
    "EqualSplit",
    "Event",
    "FakeNuma",
    "FirstTouch",
    "History",
    "Lab",
    "LastTouch",
    "Literal",
    "Machine",
    "OutOfMemory",
    "PageOwnership",
    "PerSet",
    "Policy",
    "Proportional",
    "Scenario",
    "Seed",
    "Slider",
    "Toggle",
    "ZonelabError",
    "describe",
    "scenario",
    "step",
    "storyboard",
]


def __getattr__(name: str) -> Any:
    if name in _UPSTAIRS:
        return getattr(import_module(_UPSTAIRS[name]), name)
    raise AttributeError(f"module 'zonelab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
