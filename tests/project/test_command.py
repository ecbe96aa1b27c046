"""``python -m zonelab``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zonelab.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


def test_tour_tells_the_story(capsys):
    assert main(["tour"]) == 0
    out = capsys.readouterr().out
    assert " 1. " in out
    assert "node 0" in out
    assert "█" in out


def test_tour_has_the_scenarios_sliders_as_options(capsys):
    from zonelab.__main__ import controls_of
    from zonelab.story.tour import tour

    with pytest.raises(SystemExit) as left:
        main(["tour", "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert controls_of(tour)
    for name in controls_of(tour):
        assert "--" + name.replace("_", "-") in out


def test_an_option_changes_the_story(capsys):
    main(["tour"])
    plain = capsys.readouterr().out
    main(["tour", "--web-mib", "64"])
    assert capsys.readouterr().out != plain


def test_a_wrong_value_is_one_clear_line(capsys):
    assert main(["tour", "--web-mib", "-4"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("zonelab: ")
    assert "-4" in error
    assert error.count("\n") == 1


def test_tour_saves_pictures(tmp_path, capsys):
    assert main(["tour", "--save", str(tmp_path / "new")]) == 0
    pictures = sorted((tmp_path / "new").glob("*.png"))
    assert [path.name for path in pictures] == ["tour-dark.png", "tour-light.png"]
    assert all(path.stat().st_size > 5000 for path in pictures)
    (tmp_path / "file").write_text("")
    assert main(["tour", "--save", str(tmp_path / "file")]) == 2


def test_replay_of_nothing_is_refused(tmp_path, capsys):
    assert main(["replay", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert main(["replay", str(tmp_path)]) == 2


def test_replay_of_the_recordings_that_come_with_it(capsys):
    recordings = ROOT / "zonelab" / "kernel" / "recordings"
    assert main(["replay", str(recordings)]) == 0
    assert "exact" in capsys.readouterr().out


def test_no_command_is_an_error_with_the_list():
    run = subprocess.run([sys.executable, "-m", "zonelab"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "{tour,lab,replay,predict,own,grade,bench}" in run.stderr


def test_lab_serves_the_first_page(monkeypatch, capsys):
    monkeypatch.setenv("ZONELAB_CHECK", "1")
    assert main(["lab"]) == 0
    assert "JupyterLab serves 00-start-here.ipynb" in capsys.readouterr().out


def test_a_machine_like_another(tmp_path, capsys):
    from zonelab.kernel import buddyinfo, numactl
    from zonelab.machine import Machine

    machine = Machine(nodes=2, node_mib=64)
    machine.alloc_pages(machine.task(), 3)
    (tmp_path / "n").write_text(numactl.format(machine))
    (tmp_path / "b").write_text(buddyinfo.format(machine))
    assert main(["own", "--numactl", str(tmp_path / "n"), "--buddyinfo", str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert buddyinfo.format(machine) in out and "This is your machine: 2 nodes" in out
    assert main(["own", "--numactl", str(tmp_path / "none")]) == 2
    assert main(["own", "--buddyinfo", str(tmp_path / "b")]) == 2
    assert "needs --numactl" in capsys.readouterr().err


def test_predictions_of_a_recording(capsys):
    from zonelab.kernel import recorded

    one = str(recorded("numa4/e5z_zeropage"))
    assert main(["predict", one]) == 0
    out = capsys.readouterr().out
    assert "page faults: kernel 531, zonelab 530, difference +1, explained: faults on the worker's own program" in out
    assert out.splitlines()[-1].startswith("8 comparisons: 7 equal, 1 explained, 0 unexplained")
    assert main(["predict", one, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 8 and {
        "experiment",
        "step",
        "what",
        "kernel",
        "zonelab",
        "difference",
        "verdict",
        "why",
    } == set(rows[0])


def test_predictions_of_nothing_are_refused(tmp_path, capsys):
    assert main(["predict", str(tmp_path)]) == 2
    assert "no recording" in capsys.readouterr().err
