"""The simulator: pure Python and numpy, no pictures, no notebooks, no clock, no unseeded randomness."""

from zonelab.machine.charge import EqualSplit, FirstTouch, LastTouch, PerSet, Proportional
from zonelab.machine.events import Event, describe
from zonelab.machine.linux import Linux
from zonelab.machine.machine import Costs, Machine
from zonelab.machine.pages import BLOCK, MAX_ORDER, MIB, PAGE
from zonelab.machine.policy import AsQuoted, ByMount, Corrected, FakeNuma, Literal, PageOwnership, Policy

__all__ = [
    "BLOCK",
    "MAX_ORDER",
    "MIB",
    "PAGE",
    "AsQuoted",
    "ByMount",
    "Corrected",
    "Costs",
    "EqualSplit",
    "Event",
    "FakeNuma",
    "FirstTouch",
    "LastTouch",
    "Linux",
    "Literal",
    "Machine",
    "PageOwnership",
    "PerSet",
    "Policy",
    "Proportional",
    "describe",
]
