"""One command to open the course, one to run its tests. Needs Python 3.11 or newer, and nothing else.

    python start.py              sets up and opens the course in JupyterLab
    python start.py test         sets up and runs every check; what follows "test" goes to pytest

Everything is installed into the folder .venv beside this file; delete that folder to undo it. A second run is quick:
pip is only called when pyproject.toml or Python has changed. Written with the standard library alone, and in words
that an old Python can read as well, so that it can say what is wrong.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
STAMP = VENV / "zonelab-setup.json"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
OLDEST = (3, 11)


def stop(message: str) -> None:
    """Say what is missing and what would help, and leave."""
    sys.exit("\nzonelab: " + message.strip())


def environment() -> "dict[str, str]":
    """This process's environment, without settings that would lead pip or Python out of .venv."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PIP_TARGET", "PIP_PREFIX")}
    env.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", VIRTUAL_ENV=str(VENV))
    env["PATH"] = str(PYTHON.parent) + os.pathsep + env.get("PATH", os.defpath)
    return env


def run(*command: "str | Path", quiet: bool = False) -> int:
    """Run a command from the project's folder; its exit code."""
    out = subprocess.DEVNULL if quiet else None
    return subprocess.call([str(part) for part in command], cwd=str(HERE), env=environment(), stdout=out, stderr=out)


def need_new_enough_python() -> None:
    """Go on with a newer Python if this one is too old and another is at hand."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(19, OLDEST[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other and run(other, "-c", "import sys", quiet=True) == 0:
            sys.exit(subprocess.call([other, str(Path(__file__).resolve()), *sys.argv[1:]]))
    have = ".".join(str(part) for part in sys.version_info[:3])
    stop(
        f"this is Python {have}, and the course needs {OLDEST[0]}.{OLDEST[1]} or newer.\n"
        "Install one from https://www.python.org/downloads/ or with your system's package manager,\n"
        "and run this again with it."
    )


def venv_works() -> bool:
    return PYTHON.exists() and run(PYTHON, "-m", "pip", "--version", quiet=True) == 0


def make_venv() -> None:
    """Make .venv with pip in it, by the first way that works on this system."""
    if VENV.exists():
        if not (VENV / "pyvenv.cfg").exists() and any(VENV.iterdir()):
            stop(f"{VENV} exists and is not a virtual environment: please move it away and run this again.")
        shutil.rmtree(str(VENV))
    print(f"zonelab: making {VENV}", flush=True)
    has = {name: importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip", "pip", "virtualenv")}
    python, uv = sys.executable, shutil.which("uv")
    ways = []  # type: list[list[list[str]]]
    if has["venv"] and has["ensurepip"]:
        ways.append([[python, "-m", "venv", str(VENV)]])
    if has["virtualenv"]:
        ways.append([[python, "-m", "virtualenv", "--quiet", str(VENV)]])
    if has["venv"] and has["pip"]:  # Debian without python3-venv: pip can install a pip elsewhere
        bare = [python, "-m", "venv", "--without-pip", str(VENV)]
        ways.append([bare, [python, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"]])
    if uv:
        ways.append([[uv, "venv", "--quiet", "--seed", "--python", python, str(VENV)]])
    for way in ways:
        if all(run(*command) == 0 for command in way) and venv_works():
            return
        shutil.rmtree(str(VENV), ignore_errors=True)
    stop(
        "this Python cannot make a virtual environment"
        + ("" if has["ensurepip"] else ": its module 'ensurepip' is missing")
        + ".\nOn Debian and Ubuntu that is a package of its own: sudo apt install python3-venv"
        + "\nElsewhere, use Python from https://www.python.org/downloads/, or install virtualenv or uv."
        + "\nThen run this again."
    )


def set_up(*extras: str) -> None:
    """Have .venv with the project and these extras in it; nothing to do when the stamp says so."""
    key = hashlib.sha256((HERE / "pyproject.toml").read_bytes() + sys.version.encode() + str(HERE).encode()).hexdigest()
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stamp = {}
    done = set(stamp.get("extras", [])) if stamp.get("key") == key else set()  # type: set[str]
    if done.issuperset(extras) and PYTHON.exists():
        return
    if stamp.get("python") != sys.version or not venv_works():
        make_venv()
    wanted = ",".join(sorted(done.union(extras)))
    print(f"zonelab: installing the course ({wanted}), a minute or so the first time", flush=True)
    if run(PYTHON, "-m", "pip", "install", "--quiet", "--editable", f".[{wanted}]") != 0:
        stop(
            "pip could not install what the course needs; its own words are above.\n"
            "The first time needs the internet. Behind a proxy, set HTTPS_PROXY; then run this again."
        )
    stamp = {"key": key, "python": sys.version, "extras": sorted(done.union(extras))}
    STAMP.write_text(json.dumps(stamp), encoding="utf-8")


def test(arguments: "list[str]") -> int:
    """Every check of the project; all of them run, even when an early one fails."""
    cores = [] if any(one.startswith(("-n", "--numprocesses")) for one in arguments) else ["-n", "auto"]
    notebooks = [str(path.relative_to(HERE)) for path in sorted((HERE / "notebooks").rglob("*.ipynb"))]
    checks = [
        ("lint", ["ruff", "check", "."]),
        ("format", ["ruff", "format", "--check", "."]),
        ("types", ["mypy"]),
        ("no outputs in notebooks", ["nbstripout", "--verify", "--keep-id", *notebooks]),
        ("tests", ["pytest", *cores, *arguments]),
    ]
    failed = []
    for name, (module, *options) in checks:
        print(f"\nzonelab: {name}: {' '.join([module, *options])}", flush=True)
        if run(PYTHON, "-m", module, *options) != 0:
            failed.append(name)
    print("\nzonelab: " + (f"failed: {', '.join(failed)}" if failed else "all checks passed"), flush=True)
    return 1 if failed else 0


def main(arguments: "list[str]") -> int:
    if arguments and arguments[0] not in ("test", "lab"):
        print((__doc__ or "").strip())
        return 0 if arguments[0] in ("-h", "--help", "help") else 2
    need_new_enough_python()
    if arguments and arguments[0] == "test":
        set_up("lab", "site", "test")
        return test(arguments[1:])
    set_up("lab")
    return run(PYTHON, "-m", "zonelab", "lab", *arguments[1:])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
