"""The story of unit 05 with every control: how many pages a fault takes, and where libc ends up."""

from __future__ import annotations

import pytest

from zonelab.story.routing import LITERAL, MAPPINGS, MOUNT, READ, READINGS, WRITE, routing


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("access", [READ, WRITE])
@pytest.mark.parametrize("first", ["web", "db"])
def test_every_setting_is_told_to_the_end(reading, mapping, access, first):
    history = routing.play(reading=reading, mapping=mapping, access=access, libc_first=first)
    assert not any(frame.problem for frame in history.frames)
    nothing, taken, libc = (frame.ask for frame in history.frames if frame.ask)
    assert nothing.answer == 0
    expected = {"anonymous, private": 0 if access == READ else 1, "a file, private": 1 if access == READ else 2}
    assert taken.answer == expected.get(mapping, 1)
    where = (
        "disk.mount"
        if reading == MOUNT
        else f"{first}.private"
        if reading == LITERAL and first == "web"
        else "pair.shared"
    )
    assert libc.answer == where


def test_a_change_of_the_rule_moves_nothing():
    history = routing.play(reading=LITERAL, libc_first="web")
    assert (
        "libc stays in web.private" in history.frames[-1].text
        and "64 private pages, from pair.shared" in history.frames[-1].text
    )
