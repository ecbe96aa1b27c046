"""The still picture: a panel a step, in both themes, and it differs where the story does."""

from __future__ import annotations

import io

import pytest

from zonelab.story.tour import LARGE, tour
from zonelab.view import storyboard


def png(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=40)
    return out.getvalue()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("given", [{}, {"computer": LARGE}], ids=["small", "large"])
def test_every_step_has_a_panel(theme, given):
    history = tour.play(**given)
    figure = storyboard(history, theme=theme, steps=[0, 1, 9, 13])
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    for number in (1, 2, 10, 14):
        assert any(text.startswith(f"{number}. ") for text in texts)
    assert "web.private" in texts or given
    assert len(png(figure)) > 2000


def test_another_story_is_another_picture():
    one, other = (storyboard(tour.play(web_mib=mib), steps=[1]) for mib in (8, 40))
    assert png(one) != png(other)
