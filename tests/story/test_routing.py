"""The story of unit 05 with every control: how many pages a fault takes, who copies after a fork, and where libc ends up."""

from __future__ import annotations

import re

import pytest

from zonelab.story.routing import LITERAL, MAPPINGS, MOUNT, READ, READINGS, WRITE, routing


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("access", [READ, WRITE])
@pytest.mark.parametrize("first", ["web", "db"])
def test_every_setting_is_told_to_the_end(reading, mapping, access, first):
    history = routing.play(reading=reading, mapping=mapping, access=access, libc_first=first)
    assert 9 <= len(history) <= 14 and not any(frame.problem for frame in history.frames)
    nothing, taken, libc = (frame.ask for frame in history.frames if frame.ask)
    assert nothing.answer == 0 and history.frames[1].used == 0
    expected = {"anonymous, private": 0 if access == READ else 1, "a file, private": 1 if access == READ else 2}
    assert taken.answer == expected.get(mapping, 1) == history.frames[2].used
    where = (
        "disk.mount"
        if reading == MOUNT
        else f"{first}.private"
        if reading == LITERAL and first == "web"
        else "pair.shared"
    )
    assert libc.answer == where


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("access", [READ, WRITE])
def test_after_a_fork_the_writer_copies_and_the_last_owner_does_not(mapping, access):
    frames = routing.play(mapping=mapping, access=access).frames
    at = next(number for number, frame in enumerate(frames) if "forks" in frame.text)
    assert frames[at].used == frames[at - 1].used, "a fork takes no page"
    if "shared" in mapping:
        assert frames[at + 1].used == frames[at].used
        return
    assert frames[at + 1].used == frames[at].used + 1
    # What the server had was its own only if it had written; else it maps what all have, and has to copy, too.
    assert frames[at + 2].used == frames[at + 1].used + (access == READ)


def test_a_change_of_the_rule_moves_nothing():
    frames = routing.play(reading=LITERAL, libc_first="web").frames
    assert "libc stays in web.private" in frames[-1].text and "64 private pages, from pair.shared" in frames[-1].text
    before, after = ({zone.name: zone.free for zone in frame.zones} for frame in frames[-2:])
    assert {name: before[name] - after[name] for name in before if before[name] != after[name]} == {"pair.shared": 64}


def test_the_question_about_libc_has_a_word_on_every_zone():
    for reading in READINGS:
        frames = routing.play(reading=reading).frames
        ask, zones = next((f.ask, f.zones) for f in frames if f.ask and f.ask.kind == "zone")
        names = {zone.name for zone in zones if zone.role != "main"}
        assert names - {ask.answer} <= set(ask.feedback)
        assert not any(re.search("…", said) for said in ask.feedback.values())
