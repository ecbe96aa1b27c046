"""Stories: generators that drive a machine step by step, and the frames they leave."""

from zonelab.story.answers import Answers
from zonelab.story.ask import Ask
from zonelab.story.controls import Choice, Control, Seed, Slider, Toggle
from zonelab.story.history import Frame, History
from zonelab.story.scenario import Scenario, Step, scenario, step

__all__ = [
    "Answers",
    "Ask",
    "Choice",
    "Control",
    "Frame",
    "History",
    "Scenario",
    "Seed",
    "Slider",
    "Step",
    "Toggle",
    "scenario",
    "step",
]
