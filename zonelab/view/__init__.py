"""Pictures: the lab in the browser, and still figures. The only floor that imports ipywidgets, anywidget and matplotlib."""

from zonelab.view.lab import Lab
from zonelab.view.storyboard import storyboard

__all__ = ["Lab", "storyboard"]
