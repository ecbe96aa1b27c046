"""A figure that follows a lab: it is drawn anew whenever a slider of that lab moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipywidgets import HTML

from zonelab.story import Scenario
from zonelab.view.figures import Picture
from zonelab.view.lab import Lab


class Live(HTML):  # type: ignore[misc]  # ipywidgets has no types
    """The picture that ``draw(**values)`` makes of a story's values, as the newest lab of that story on the page has them.

    Args:
        story: whose lab is followed; the story's own values if there is no such lab.
        draw: from the story's values, by name, to a Picture.

    Attributes:
        picture: as it is now.
    """

    def __init__(self, story: Scenario, draw: Callable[..., Picture]) -> None:
        self.draw = draw
        self.lab = Lab.on_page.get(story.__name__)  # held, so that it stays the one that is followed
        self.picture = draw(**(story.values({}) if self.lab is None else self.lab.values))
        super().__init__(value=self._shown())
        if self.lab is not None:
            self.lab.observe(self._moved, "tape")  # sent when the story was played with its new values

    def _shown(self) -> str:
        return str(self.picture._repr_mimebundle_()["text/html"])

    def _moved(self, _: Any) -> None:
        assert self.lab is not None
        self.picture = self.draw(**self.lab.values)
        self.value = self._shown()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Beside the widget the picture and its words, for places where widgets cannot run."""
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"], data["text/html"] = self.picture.alt, self.value
        return bundle
