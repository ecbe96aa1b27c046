"""The tables of the notional machine: they are those of the code, and of the recordings."""

from __future__ import annotations

from zonelab.course import numbers as module
from zonelab.course.numbers import checked, numbers


def table(real):
    return {row[0]: row[1] for row in real.rows}


def test_the_numbers_are_asked_and_not_written_down(monkeypatch):
    before = table(numbers())
    assert before["page"].startswith("4,096 bytes") and "1,024 pages, 4 MiB" in before.values()
    assert before["a touch at distance 10, at distance 20"] == "100 ns, 200 ns"
    monkeypatch.setattr(module, "CLUSTER", 7)
    assert table(numbers())["taken back at a time, at least"] == "7 pages"
    marks = [value for name, value in before.items() if name.startswith("watermarks")]
    assert len(marks) == 2 and marks[0] != marks[1]


def test_every_recording_was_replayed_and_one_stretch_differs():
    rows = {row[0]: row[1:] for row in checked().rows}
    assert rows["numa4"][1] == "67 of 67" and rows["fake"][1] == "21 of 22"
    for events, _, foreseen in rows.values():
        right, known = (int(word.replace(",", "")) for word in foreseen.split(" of "))
        assert right == known > 10_000 and int(events.replace(",", "")) > known
