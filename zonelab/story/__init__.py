"""Stories: generators that drive a machine step by step, and the frames they leave."""

from zonelab.story.controls import Choice, Control, Slider, Toggle
from zonelab.story.history import Frame, History
from zonelab.story.scenario import Scenario, Step, scenario, step

__all__ = ["Choice", "Control", "Frame", "History", "Scenario", "Slider", "Step", "Toggle", "scenario", "step"]
