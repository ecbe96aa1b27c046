"""The Python packages of the browser-only site, and the list by which Pyodide finds them at the first ``import zonelab``.

Pyodide's kernel looks up what a cell imports in ``pyodide-lock.json`` and loads it, with all that it depends on. So that
list gets an entry for zonelab, and the notebooks stay as they are. What is pure Python is served by the site itself.
What is compiled (numpy, and what matplotlib needs) exists for Pyodide only at its own address, and is fetched from
there by the reader's browser, unless a folder with these wheels is given.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tools.site.pages import ROOT

KERNEL = ("ipython", "jedi", "micropip", "comm")
"""What the kernel itself loads when it starts."""
IN_THE_PAGE = {"widgetsnbextension", "jupyterlab-widgets"}
"""Packages that only carry JavaScript, which the site has anyway."""
PYTHON = "3.14"


def course_wheel(folder: Path) -> Path:
    """Build zonelab's wheel into a folder, from a copy, so that nothing is left behind in the source."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-COURSE"):
            shutil.copy2(ROOT / name, copy)
        shutil.copytree(ROOT / "zonelab", Path(copy, "zonelab"), ignore=shutil.ignore_patterns("__pycache__"))
        _pip("wheel", "--no-deps", "--wheel-dir", str(folder), copy)
    [wheel] = folder.glob("zonelab-*.whl")
    return wheel


def lock(runtime: Path, pypi: Path, cdn: str, given: Path | None = None) -> dict[str, str]:
    """Rewrite ``runtime/pyodide-lock.json``, and put the wheels that the site serves into ``pypi``.

    Args:
        runtime: Pyodide's own files, with its list as it comes.
        pypi: a folder beside the one that `runtime` is in; zonelab's wheel is in it.
        cdn: where Pyodide's own wheels are.
        given: a folder with some of them, to be served by the site.

    Returns:
        What is needed and not served by the site: package → file.

    Raises:
        ValueError: Pyodide has a version of a package that zonelab does not work with.
    """
    path = runtime / "pyodide-lock.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    packages: dict[str, Any] = {canonicalize_name(name): entry for name, entry in whole["packages"].items()}
    needs = [Requirement(line) for line in requires_of_course()]
    for need in needs:
        known = packages.get(canonicalize_name(need.name))
        if known is not None and not need.specifier.contains(known["version"]):
            raise ValueError(f"zonelab needs {need}, and this Pyodide has {need.name} {known['version']}")
    [mine] = pypi.glob("zonelab-*.whl")
    packages["zonelab"] = _entry("zonelab", mine.name.split("-")[1], needs)
    outside: dict[str, str] = {}
    pure: dict[str, str] = {}
    wanted, seen = ["zonelab", *KERNEL], set(IN_THE_PAGE)
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in seen:
            continue
        seen.add(name)
        if name not in packages:  # the version whose JavaScript side is installed here and goes into the site
            found = [Requirement(line) for line in requires(name) or []]
            packages[name] = _entry(name, version(name), [need for need in found if _applies(need)])
        entry = packages[name]
        entry["depends"] = [one for one in map(canonicalize_name, entry["depends"]) if one not in IN_THE_PAGE]
        wanted += entry["depends"]
        file = entry["file_name"]
        if name == "zonelab":
            _serve(entry, mine)
        elif not file or file.endswith("-none-any.whl"):
            pure[name] = entry["version"]
        elif given is not None and (given / file).is_file():
            _serve(entry, Path(shutil.copy2(given / file, pypi)))
        else:
            outside[name] = file
    for one, wheel in fetch(pure, pypi).items():
        _serve(packages[one], wheel)
    for entry in packages.values():
        if not entry["file_name"].startswith(".."):
            entry["file_name"] = f"{cdn}/{entry['file_name']}"
    whole["packages"] = packages
    path.write_text(json.dumps(whole), encoding="utf-8")
    return outside


def requires_of_course() -> list[str]:
    """The dependencies in pyproject.toml, without the extras."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def fetch(versions: dict[str, str], folder: Path) -> dict[str, Path]:
    """The wheels of packages that are pure Python, in these versions."""
    with tempfile.TemporaryDirectory() as fresh:
        any_python = [
            "--only-binary",
            ":all:",
            "--platform",
            "any",
            "--python-version",
            PYTHON,
            "--implementation",
            "py",
        ]
        wanted = [f"{name}=={number}" for name, number in versions.items()]
        _pip("download", "--no-deps", *any_python, "--abi", "none", "--dest", fresh, *wanted)
        wheels = {parse_wheel_filename(wheel.name)[0]: wheel for wheel in Path(fresh).glob("*.whl")}
        return {name: Path(shutil.copy2(wheels[canonicalize_name(name)], folder)) for name in versions}


def _applies(need: Requirement) -> bool:
    there = {"python_version": PYTHON, "sys_platform": "emscripten", "extra": ""}
    return need.marker is None or need.marker.evaluate(there)


def _entry(name: str, number: str, needs: list[Requirement]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "version": number, "depends": [need.name for need in needs], "file_name": ""}
    entry |= {"imports": [name.replace("-", "_")], "install_dir": "site", "package_type": "package"}
    return entry | {"unvendored_tests": False}


def _serve(entry: dict[str, Any], wheel: Path) -> None:
    """Let the list point to a wheel of the site; its path is seen from ``static/pyodide``."""
    entry["file_name"] = f"../../pypi/{wheel.name}"
    entry["sha256"] = hashlib.sha256(wheel.read_bytes()).hexdigest()


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
