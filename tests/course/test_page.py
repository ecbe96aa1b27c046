"""What pages show beside labs: source code, predictions beside outcomes, a real kernel's numbers."""

from __future__ import annotations

import pytest

from zonelab.course import in_a_real_kernel, observed, source, this_run
from zonelab.errors import BadRequest
from zonelab.machine.buddy import FreeArea
from zonelab.story import Answers
from zonelab.story.buddies import buddies
from zonelab.view import Lab


def test_source_is_the_file_as_it_stands():
    shown = source(FreeArea.alloc)
    assert repr(shown).startswith("# zonelab/machine/buddy.py, line ") and "\ndef alloc(self" in repr(shown)
    assert "<pre>" in shown._repr_html_() and "popitem" in shown._repr_html_()
    with pytest.raises(BadRequest, match="has no source"):
        source(42)


def test_predictions_stand_beside_outcomes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = Answers(None)
    lab = Lab(buddies, answers=kept)
    before = observed(buddies)
    assert all(given == "not yet" for _, _, given, _, _ in before.rows)
    assert "it stays a block of its order" not in repr(before), "nothing is given away"
    key = next(frame.ask.key for frame in lab.history.frames if frame.ask)
    lab.answer(key, 1024)
    (first, *_) = observed(buddies).rows
    assert first[2:] == ("1024", "8", False)
    lab.order = 0
    assert "order = 0" in repr(observed(buddies)) and this_run(buddies) is lab.history
    assert "✗" in observed(buddies)._repr_html_()


def test_without_a_lab_it_is_the_storys_own_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Lab.on_page.clear()
    assert this_run(buddies).text() == buddies.play().text()


def test_a_real_kernel_beside_the_model():
    real = in_a_real_kernel("e1c")
    assert "numa4/e1c_holes" in real.heading and all("same" in row[2] for row in real.rows[:-1])
    assert "<table>" in real._repr_html_() and "alt=" in real._repr_html_()
    with pytest.raises(BadRequest, match="names 4 recordings"):
        in_a_real_kernel("e1")
    with pytest.raises(BadRequest, match="names 0"):
        in_a_real_kernel("e9")
