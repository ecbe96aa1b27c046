"""pyproject.toml says what is needed; environment.yml, binder/ and the oldest-versions step must say the same."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ON_CONDA = {"matplotlib": "matplotlib-base"}  # the same library without a desktop toolkit
COURSE = [Requirement(line) for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lab"]]]
EXTRAS = PROJECT["optional-dependencies"]
EVERYTHING = [*COURSE, *map(Requirement, [*EXTRAS["test"], *EXTRAS["site"]])]
FILES = ["environment.yml", "binder/environment.yml"]


def environment(name: str) -> dict[str, SpecifierSet]:
    """Package → versions; conda's ``=3.12`` means any 3.12."""
    packages = {}
    for line in yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["dependencies"]:
        if isinstance(line, str):
            package = line.split("=")[0].rstrip("<>!~ ")
            bounds = line[len(package) :]
            is_series = bounds.startswith("=") and not bounds.startswith("==")
            packages[package] = SpecifierSet(f"={bounds}.*" if is_series else bounds)
    return packages


@pytest.mark.parametrize("name", FILES)
def test_conda_environments_have_the_bounds_of_pyproject(name):
    packages = environment(name)
    python = packages.pop("python")
    del packages["pip"]
    assert packages == {ON_CONDA.get(need.name, need.name): need.specifier for need in COURSE}
    allowed = SpecifierSet(PROJECT["requires-python"])
    offered = [minor for minor in range(20) if python.contains(f"3.{minor}.5")]
    assert offered, f"{name} allows no Python at all"
    assert all(allowed.contains(f"3.{minor}.5") for minor in offered)


def test_environment_installs_the_project_but_binder_does_so_later():
    """In Binder's environment.yml the project itself would rebuild the whole environment at every commit."""
    assert {"pip": ["--editable ."]} in yaml.safe_load((ROOT / FILES[0]).read_text())["dependencies"]
    assert all(isinstance(line, str) for line in yaml.safe_load((ROOT / FILES[1]).read_text())["dependencies"])


def test_binder_files_are_real_files():
    for name in ("environment.yml", "postBuild", "start"):
        assert (ROOT / "binder" / name).is_file()
        assert not (ROOT / "binder" / name).is_symlink()
    build = (ROOT / "binder" / "postBuild").read_text()
    assert build.startswith("#!/bin/bash\n")
    assert "pip install --no-deps" in build
    assert "zonelab/nodelay/jupyter_server_config.d" in build
    if os.name == "posix":
        assert all(os.access(ROOT / "binder" / name, os.X_OK) for name in ("postBuild", "start"))


@pytest.mark.parametrize("need", EVERYTHING, ids=lambda need: need.name)
def test_every_dependency_has_a_lower_bound_and_a_reason(need):
    assert [spec for spec in need.specifier if spec.operator == ">="], f"{need} has no lower bound"
    names = (f'"{need.name}>', f'"{need.name}[')
    lines = [x for x in (ROOT / "pyproject.toml").read_text().splitlines() if x.strip().startswith(names)]
    assert lines and all("#" in line for line in lines), f"{need.name}: say in a comment what it is for"
    assert need.specifier.contains(version(need.name), prereleases=True), "this very run is outside of the bounds"


def test_oldest_versions_are_the_lower_bounds():
    command = [sys.executable, str(ROOT / ".ci" / "oldest.py"), str(ROOT / "pyproject.toml")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(EVERYTHING)
    for line, need in zip(lines, EVERYTHING, strict=True):
        name, oldest = line.split("==")
        assert name == need.name
        assert need.specifier.contains(oldest)
        assert f">={oldest}" in str(need.specifier)


def test_version_is_said_once_the_same():
    import zonelab

    assert zonelab.__version__ == PROJECT["version"]


def test_licences():
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")
    assert "creativecommons.org/licenses/by/4.0" in (ROOT / "LICENSE-COURSE").read_text()
    assert set(PROJECT["license-files"]) == {"LICENSE", "LICENSE-COURSE"}
