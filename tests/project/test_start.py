"""start.py says clearly what is missing, and does nothing twice."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start(tmp_path, monkeypatch) -> ModuleType:
    """start.py as a module, in a folder of its own, where it cannot touch the real .venv."""
    (tmp_path / "start.py").write_text((ROOT / "start.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    spec = importlib.util.spec_from_file_location("start_under_test", tmp_path / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_standard_library_only():
    import ast

    tree = ast.parse((ROOT / "start.py").read_text(encoding="utf-8"), feature_version=(3, 7))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_help_and_unknown_words():
    for word, code in (("--help", 0), ("tset", 2)):
        run = subprocess.run([sys.executable, "start.py", word], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == code
        assert "python start.py test" in run.stdout


def test_old_python_is_told_what_to_do(start, monkeypatch):
    monkeypatch.setattr(start.sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(start.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"this is Python 3\.9\.2, and the course needs 3\.11 or newer"):
        start.need_new_enough_python()


def test_python_without_ensurepip_is_told_which_package(start, monkeypatch):
    monkeypatch.setattr(start.importlib.util, "find_spec", lambda name: object() if name == "venv" else None)
    monkeypatch.setattr(start.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"'ensurepip' is missing[\s\S]*apt install python3-venv"):
        start.make_venv()


def test_a_folder_that_is_no_environment_is_left_alone(start):
    start.VENV.mkdir()
    (start.VENV / "thesis.txt").write_text("mine")
    with pytest.raises(SystemExit, match="is not a virtual environment"):
        start.make_venv()
    assert (start.VENV / "thesis.txt").exists()


def test_pip_is_called_once_for_each_change(start, monkeypatch):
    calls = []

    def run(*command, quiet=False):
        calls.append([str(part) for part in command])
        if "venv" in command:
            start.PYTHON.parent.mkdir(parents=True)
            start.PYTHON.touch()
        return 0

    def installs() -> list[str]:
        return [call[-1] for call in calls if "--editable" in call]

    monkeypatch.setattr(start, "run", run)
    start.set_up("lab")
    start.set_up("lab")
    assert installs() == [".[lab]"]
    start.set_up("lab", "test")
    start.set_up("lab")
    assert installs() == [".[lab]", ".[lab,test]"]
    (start.HERE / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    start.set_up("lab", "test")
    assert installs()[2:] == [".[lab,test]"]
    assert sum("venv" in call for call in calls) == 1
    assert json.loads(start.STAMP.read_text())["extras"] == ["lab", "test"]


def test_failed_installation_leaves_no_stamp(start, monkeypatch):
    monkeypatch.setattr(start, "make_venv", lambda: start.VENV.mkdir())
    monkeypatch.setattr(start, "run", lambda *command, quiet=False: 1)
    with pytest.raises(SystemExit, match="pip could not install"):
        start.set_up("lab")
    assert not start.STAMP.exists()


def test_every_check_runs_even_when_one_fails(start, monkeypatch, capsys):
    ran = []

    def run(*command: str, quiet: bool = False) -> int:
        ran.append(command[2])
        return int(command[2] == "mypy")

    monkeypatch.setattr(start, "run", run)
    assert start.test(["-k", "claims"]) == 1
    assert ran == ["ruff", "ruff", "mypy", "nbstripout", "pytest"]
    assert "zonelab: failed: types" in capsys.readouterr().out
