"""Imports run one way, the machine needs numpy alone, and the README says what is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ["machine", "kernel", "story", "view", "course"]
DRAWING = {"matplotlib", "ipywidgets", "anywidget", "traitlets", "IPython"}


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import statement, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def sources(floor: str) -> list[Path]:
    return sorted((ROOT / "zonelab" / floor).rglob("*.py"))


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downwards_only(floor):
    allowed = {*FLOORS[: FLOORS.index(floor) + 1], "errors"}
    for path in sources(floor):
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "zonelab":
                assert len(parts) > 1, f"{path}: import from the floor, not from the top of zonelab"
                assert parts[1] in allowed, f"{path} imports {name}: {floor} may use {sorted(allowed)}"


@pytest.mark.parametrize("floor", ["machine", "kernel", "story"])
def test_only_the_view_draws(floor):
    for path in sources(floor):
        assert not {name.split(".")[0] for name in imported(path)} & DRAWING, path


def test_the_machine_needs_numpy_alone():
    for path in sources("machine"):
        outside = {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names
        assert outside <= {"numpy", "zonelab"}, path


@pytest.mark.parametrize("module", ["zonelab", "zonelab.machine", "zonelab.__main__"])
def test_import_loads_nothing_that_draws(module):
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert not DRAWING & set(loaded)


def test_every_name_that_zonelab_offers_is_there():
    import zonelab

    assert set(dir(zonelab)) == set(zonelab.__all__)
    for name in zonelab.__all__:
        assert getattr(zonelab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Machinery'"):
        zonelab.Machinery  # noqa: B018


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_has_the_two_commands():
    shell = re.findall(r"^```shell\n(.*?)^```$", README, re.M | re.S)
    assert [block.strip() for block in shell] == ["python start.py", "python start.py test"]


def test_readme_names_files_that_exist():
    for name in re.findall(
        r"`((?:zonelab|notebooks|tests|tools|binder|\.ci)/[\w./-]*|LICENSE[\w-]*|[\w-]+\.(?:py|yml|toml))`", README
    ):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([^)#]+)\)", README):
        assert name.startswith("https://") or (ROOT / name).exists(), name


def test_readme_python_runs():
    for block in re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S):
        subprocess.run([sys.executable, "-c", block], check=True, cwd=ROOT, capture_output=True)


def test_readme_commands_are_commands():
    from zonelab.__main__ import make_parser

    help_text = make_parser().format_help()
    for command in re.findall(r"`python -m zonelab (\w+)", README):
        assert command in help_text


def test_nothing_else_stands_at_the_top():
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if listed.returncode != 0:
        pytest.skip("not a git working copy")
    known = {
        ".ci", ".github", ".gitignore", "CITATION.cff", "CONTRIBUTING.md",
        "LICENSE", "LICENSE-COURSE", "README.md", "binder", "environment.yml", "notebooks",
        "pyproject.toml", "start.py", "teach", "tests", "tools", "zonelab",
    }  # fmt: skip
    assert {name.split("/")[0] for name in listed.stdout.splitlines()} <= known


def test_zonelab_does_without_the_tools():
    for path in sorted((ROOT / "zonelab").rglob("*.py")):
        assert not {name for name in imported(path) if name.split(".")[0] == "tools"}, path


def test_typed_and_packaged():
    assert (ROOT / "zonelab" / "py.typed").exists()
    for path in sorted((ROOT / "zonelab").rglob("*.py")):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is not a package"
