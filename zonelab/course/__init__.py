"""The course: units with their questions and exercises, and what a page of it calls.

A page begins with ``unit = Unit("01")``; then ``unit.recall()``, ``unit.check("buddy", buddy)``, ``unit.quiz()`` …
"""

from zonelab.course.exercise import Exercise, Feedback
from zonelab.course.page import observed, source, this_run
from zonelab.course.real import in_a_real_kernel
from zonelab.course.unit import Unit, hand_in, i_am

__all__ = ["Exercise", "Feedback", "Unit", "hand_in", "i_am", "in_a_real_kernel", "observed", "source", "this_run"]
