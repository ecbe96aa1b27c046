"""Pictures: the lab, the quiz, still figures. The only floor that imports ipywidgets, anywidget and matplotlib."""

from zonelab.view.lab import Lab
from zonelab.view.quiz import Quiz
from zonelab.view.storyboard import storyboard

__all__ = ["Lab", "Quiz", "storyboard"]
