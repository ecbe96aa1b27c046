"""The Python packages of the browser-only site, and the list by which Pyodide finds them at the first ``import zonelab``.

Pyodide's kernel looks up what a cell imports in ``pyodide-lock.json`` and loads it, with all that it depends on. So that
list gets an entry for zonelab, and the notebooks stay as they are. What is pure Python is served by the site itself.
What is compiled (numpy, and what matplotlib needs) exists for Pyodide only at its own address, and is fetched from
there by the reader's browser, unless a folder with these wheels is given.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    [mine] = pypi.glob("zonelab-*.whl")
    needs = [Requirement(line) for line in requires_of_course()]
    packages["zonelab"] = _entry("zonelab", mine, mine.name.split("-")[1], [need.name for need in needs])
    outside: dict[str, str] = {}
    wanted, seen = ["zonelab", *KERNEL], set()
    for need in needs:
        known = packages.get(canonicalize_name(need.name))
        if known is not None and not need.specifier.contains(known["version"]):
            raise ValueError(f"zonelab needs {need}, and this Pyodide has {need.name} {known['version']}")
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in seen or name in IN_THE_PAGE:
            continue
        seen.add(name)
        if name not in packages:  # the version whose JavaScript side is installed here and goes into the site
            depends = [need for need in map(Requirement, requires(name) or []) if not need.marker or _applies(need)]
            wheel = _pure(name, version(name), pypi)
            packages[name] = _entry(name, wheel, version(name), [need.name for need in depends])
        elif name != "zonelab":
            entry = packages[name]
            if re.search(r"-py3?[\w.]*-none-any\.whl$", entry["file_name"]):
                _serve(entry, _pure(name, entry["version"], pypi))
            elif given is not None and (given / entry["file_name"]).is_file():
                _serve(entry, Path(shutil.copy2(given / entry["file_name"], pypi)))
            else:
                outside[name] = entry["file_name"]
        packages[name]["depends"] = [
            n for n in map(canonicalize_name, packages[name]["depends"]) if n not in IN_THE_PAGE
        ]
        wanted += packages[name]["depends"]
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


def _applies(need: Requirement) -> bool:
    assert need.marker is not None
    return need.marker.evaluate({"python_version": PYTHON, "sys_platform": "emscripten", "extra": ""})


def _pure(name: str, number: str, folder: Path) -> Path:
    """Fetch the wheel of a package that is pure Python."""
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
        _pip("download", "--no-deps", *any_python, "--abi", "none", "--dest", fresh, f"{name}=={number}")
        [wheel] = Path(fresh).glob("*.whl")
        return Path(shutil.copy2(wheel, folder))


def _entry(name: str, wheel: Path, number: str, depends: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "version": number, "depends": depends, "imports": [name.replace("-", "_")]}
    entry |= {"install_dir": "site", "package_type": "package", "unvendored_tests": False}
    _serve(entry, wheel)
    return entry


def _serve(entry: dict[str, Any], wheel: Path) -> None:
    """Let the list point to a wheel of the site; its path is seen from ``static/pyodide``."""
    entry["file_name"] = f"../../pypi/{wheel.name}"
    entry["sha256"] = hashlib.sha256(wheel.read_bytes()).hexdigest()


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
