"""Which block the kernel takes next is predicted right, on every recording; and the check fails when a rule is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from zonelab.kernel import Heads, Recording, predict, recorded, recordings
from zonelab.kernel.lists import UNKNOWN, _Zone


@pytest.mark.parametrize("folder", recordings(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_every_known_head_is_the_block_that_was_taken(folder):
    heads = predict(Recording(folder))
    assert heads.wrong == 0, heads.first
    assert heads.larger == 0, "a smaller block was there, and the kernel did not take it"
    assert heads.taken == heads.known + heads.tail + heads.old + heads.lost
    assert heads.known > 0


def test_nearly_all_heads_are_known():
    every = sum((predict(Recording(folder)) for folder in recordings()), Heads())
    assert every.known > 200_000 and every.known / every.taken > 0.98
    assert "wrong 0 times" in str(every)
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"right {every.known:,} times out of {every.known:,}" in readme


@pytest.mark.parametrize("name", ["fake/e1a_sizes", "numa4/e1a_sizes"])
def test_without_the_tail_rule_heads_are_wrong(name):
    """So the check has power: it is the real kernel's rule, and nothing weaker, that is confirmed."""
    heads = predict(Recording(recorded(name)), tail_rule=False)
    assert heads.wrong > 50 and "not 0x" in heads.first


def test_a_head_is_doubtful_once_a_block_of_unknown_type_was_freed():
    """As after `ring` and `unring` in a page block that no event has named: that block may lie before the known head."""
    known, nameless = 0x6420, 0x6360

    def zone() -> _Zone:
        zone = _Zone(0, tail_rule=True)
        zone.insert(0x6800, 5, 0)
        zone.insert(known, 5, 0)
        zone.give(nameless, 5, UNKNOWN)
        return zone

    for taken, counts in ((nameless, (0, 0, 1)), (known, (0, 0, 1)), (0x6800, (1, 1, 0))):
        heads = Heads()
        zone().take(taken, 5, 0, heads, "here")
        assert (heads.known, heads.wrong, heads.old) == counts, hex(taken)

    later = zone()
    later.give(0x6A00, 5, 0)  # this one is before them both
    heads = Heads()
    later.take(0x6A00, 5, 0, heads, "here")
    assert (heads.known, heads.wrong) == (1, 0)
    later.take(nameless, 5, 0, heads, "here")  # it has gone: the known head is the head again
    later.take(known, 5, 0, heads, "here")
    assert (heads.known, heads.wrong, heads.old) == (2, 0, 1)
