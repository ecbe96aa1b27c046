"""A scenario: a generator that drives a machine, and yields a step whenever there is something to look at.

::

    @scenario("A first zone")
    def first_zone(private_mib=Slider(4, 64, 4, 16)):
        machine = Machine(nodes=1, node_mib=128)
        yield step(machine, "One node boots.")
        web = machine.container("web", private_mib=private_mib)
        yield step(machine, f"{web.private} is carved out of it.")

Its parameters become controls. The same object runs in a lab, in a test, in the terminal and as a still storyboard.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from zonelab.errors import BadRequest, OutOfMemory
from zonelab.machine import Machine
from zonelab.story.ask import Ask
from zonelab.story.controls import Control
from zonelab.story.history import History


@dataclass(frozen=True, slots=True)
class Step:
    """Something to look at: the machine as it is now, and one sentence that says what happened and why."""

    machine: Machine
    text: str
    ask: Ask | None = None


def step(machine: Machine, text: str, ask: Ask | None = None) -> Step:
    """What a scenario yields. With `ask`, the step is opened when the question is answered."""
    return Step(machine, text, ask)


class Scenario:
    """A story with its title and its controls.

    Attributes:
        title, story: as given; ``story`` is the generator function.
        controls: name → Slider, Toggle, Choice or Seed, in the order of the signature.
    """

    def __init__(self, title: str, story: Callable[..., Generator[Step, None, None]]) -> None:
        self.title, self.story = title, story
        self.__doc__ = story.__doc__
        self.__name__ = story.__name__
        self.controls: dict[str, Control] = {}
        for name, parameter in inspect.signature(story).parameters.items():
            if not isinstance(parameter.default, Control):
                raise BadRequest(
                    f"parameter {name} of {story.__name__} needs a Slider, a Toggle, a Choice or a Seed as its default"
                )
            self.controls[name] = parameter.default

    def __repr__(self) -> str:
        return f"<scenario {self.title!r}: {', '.join(self.controls) or 'no controls'}>"

    def values(self, given: dict[str, Any]) -> dict[str, Any]:
        """All controls with the given values, and their own where none is given.

        Raises:
            BadRequest: an unknown control, or a value that it cannot have.
        """
        unknown = given.keys() - self.controls.keys()
        if unknown:
            raise BadRequest(
                f"{self.title!r} has no control {', '.join(sorted(unknown))}; it has {', '.join(self.controls)}"
            )
        return {name: control.check(name, given.get(name, control.value)) for name, control in self.controls.items()}

    def play(self, **given: Any) -> History:
        """Run the story to its end. Where the machine refuses or runs out of memory, that is the last step and says why."""
        values = self.values(given)
        history = History(self.title)
        steps = self.story(**values)
        now: Step | None = None
        while True:
            try:
                now = next(steps)
            except StopIteration:
                return history
            except (BadRequest, OutOfMemory) as problem:
                if now is None:
                    raise
                history.add(now.machine, f"Here the story ends: {problem}.", problem=True)
                return history
            ask = now.ask
            if ask is not None and not ask.key:
                ask = replace(ask, key=f"{self.__name__}/{len(history) + 1}")
            history.add(now.machine, now.text, ask=ask)

    @contextmanager
    def at(self, number: int, **given: Any) -> Iterator[Machine]:
        """``with tour.at(4) as machine``: the machine as it is at a step (from 0), the story waiting there.

        A context, because a story that is dropped half way calls off what it was about to do, a move for one.

        Raises:
            BadRequest: the story has no such step with these values.
        """
        steps = self.story(**self.values(given))
        now: Step | None = None
        reached = -1
        try:
            for reached, now in enumerate(steps):  # noqa: B007
                if reached == number:
                    break
        except (BadRequest, OutOfMemory):
            reached += 1  # the step that says why the story ends
        if now is None or reached != number:
            raise BadRequest(f"{self.title!r} has no step {number}; with these values its steps are 0 to {reached}")
        try:
            yield now.machine
        finally:
            steps.close()


def scenario(title: str) -> Callable[[Callable[..., Generator[Step, None, None]]], Scenario]:
    """Make a scenario of a generator function."""
    return lambda story: Scenario(title, story)
