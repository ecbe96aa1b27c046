"""``python -m zonelab``: the tour in a terminal, the course in JupyterLab, a replay of a real kernel, the benchmark."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zonelab import __version__
from zonelab.errors import BadRequest, ZonelabError

START = "00-start-here.ipynb"


# -- tour


def add_controls(parser: argparse.ArgumentParser, scenario: Any) -> None:
    """One option for each control of a scenario: ``--web-mib 48``, ``--overcommit``, ``--policy corrected``."""
    for name, control in controls_of(scenario).items():
        option = "--" + name.replace("_", "-")
        label = getattr(control, "label", None) or name.replace("_", " ")
        value = control.value
        if isinstance(value, bool):
            shown = "on" if value else "off"
            parser.add_argument(
                option, action=argparse.BooleanOptionalAction, default=value, help=f"{label} (default: {shown})"
            )
        elif hasattr(control, "options"):
            choices = [str(choice) for choice in control.options]
            parser.add_argument(option, choices=choices, default=str(value), help=f"{label} (default: {value})")
        else:
            unit = f" {control.unit}" if getattr(control, "unit", "") else ""
            reach = f"{control.min} to {control.max}{unit} in steps of {control.step}, default {value}"
            parser.add_argument(option, type=type(value), default=value, metavar="N", help=f"{label}: {reach}")


def controls_of(scenario: Any) -> dict[str, Any]:
    """Name → control of a scenario, in the order of its signature."""
    if hasattr(scenario, "controls"):
        return dict(scenario.controls)
    parameters = inspect.signature(scenario).parameters.values()
    return {p.name: p.default for p in parameters if hasattr(p.default, "value")}


def given(arguments: argparse.Namespace, scenario: Any) -> dict[str, Any]:
    """The values of a scenario's controls, from the options."""
    values = {}
    for name, control in controls_of(scenario).items():
        value = getattr(arguments, name)
        if hasattr(control, "options"):
            value = next(choice for choice in control.options if str(choice) == value)
        values[name] = value
    return values


def first_story() -> Any:
    from zonelab.story.tour import tour as scenario

    return scenario


def tour(arguments: argparse.Namespace) -> int:
    scenario = first_story()
    history = scenario.play(**given(arguments, scenario))
    for line in terminal(history, events=arguments.events):
        print(line)
    if arguments.save is not None:
        from zonelab.view import storyboard

        folder = Path(arguments.save)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for theme in ("light", "dark"):
                path = folder / f"tour-{theme}.png"
                storyboard(history, theme=theme).savefig(path)
                print(f"saved {path}")
        except OSError as error:
            raise BadRequest(f"cannot write pictures to {folder}: {error.strerror}; choose another folder") from error
    return 0


def terminal(history: Any, events: bool = False) -> list[str]:
    """A history as text: for each step its sentence, and each zone as a bar."""
    lines = [f"{history.title}", ""]
    for number in range(len(history)):
        frame = history.frame(number)
        lines.append(f"{number + 1:>2}. {frame.text}")
        if events:
            lines += [f"      · {event}" for event in frame.events]
        for zone in frame.zones:
            width = 32
            used = zone.pages - zone.free
            full = -(-used * width // zone.pages) if used else 0
            bar = "█" * full + "·" * (width - full)
            lines.append(f"      node {zone.node}  {zone.name:<14} {bar} {used:>7,} of {zone.pages:>7,} pages used")
        lines.append("")
    return lines


# -- grade


def grade(arguments: argparse.Namespace) -> int:
    from zonelab.course.grade import as_csv
    from zonelab.course.grade import grade as mark_all

    marks = mark_all(arguments.paths)
    table = as_csv(marks)
    if arguments.out is None:
        print(table, end="")
        return 0
    try:
        Path(arguments.out).write_text(table, encoding="utf-8", newline="")
    except OSError as error:
        raise BadRequest(f"cannot write {arguments.out}: {error.strerror}; choose another file") from error
    noted = sum(bool(one.notes) for one in marks)
    print(f"{len(marks)} files marked, {noted} of them with a note; the table is in {arguments.out}")
    return 0


# -- lab


def notebook_folder() -> Path:
    """Where the course is: beside the package, or in the current folder."""
    for folder in (Path(__file__).resolve().parent.parent / "notebooks", Path.cwd() / "notebooks"):
        if (folder / START).is_file():
            return folder
    raise BadRequest(
        f"{START} is neither beside the installed package nor in {Path.cwd() / 'notebooks'}; "
        "start this from the project's folder"
    )


def lab_command(folder: Path, port: int | None, browser: bool) -> list[str]:
    command = [sys.executable, "-m", "jupyterlab", str(folder / START), f"--ServerApp.root_dir={folder}"]
    if port is not None:
        command.append(f"--ServerApp.port={port}")
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def lab_environment() -> dict[str, str]:
    """The environment for JupyterLab: one more place for configuration, which sets TCP_NODELAY."""
    from zonelab.nodelay import CONFIG_DIR

    paths = [str(CONFIG_DIR), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return os.environ | {"JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}


def lab(arguments: argparse.Namespace) -> int:
    import importlib.util

    folder = notebook_folder()
    if importlib.util.find_spec("jupyterlab") is None:
        raise BadRequest("JupyterLab is not installed in this Python; run: python start.py")
    check = bool(os.environ.get("ZONELAB_CHECK"))
    if check:
        return check_lab(folder)
    try:
        return subprocess.call(lab_command(folder, arguments.port, arguments.browser), env=lab_environment())
    except KeyboardInterrupt:
        return 0


def check_lab(folder: Path, patience: float = 90) -> int:
    """Open JupyterLab as ``lab`` does but without a browser, wait until it serves the first page, and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = "zonelab-check"
    command = [*lab_command(folder, port, browser=False), f"--IdentityProvider.token={token}"]
    server = subprocess.Popen([*command, "--ServerApp.port_retries=0"], env=lab_environment())
    start = time.monotonic()
    try:
        while time.monotonic() - start < patience and server.poll() is None:
            try:
                for place in (f"lab/tree/{START}", f"api/contents/{START}"):
                    request = urllib.request.Request(
                        f"http://127.0.0.1:{port}/{place}", headers={"Authorization": f"token {token}"}
                    )
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        answer.read()
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
                continue
            print(f"zonelab: JupyterLab serves {START} after {time.monotonic() - start:.1f} s", flush=True)
            return 0
        print(f"zonelab: JupyterLab did not serve {START} within {patience:.0f} s", file=sys.stderr)
        return 1
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


# -- replay


def replay(arguments: argparse.Namespace) -> int:
    """Both levels: free blocks from snapshot to snapshot, and which block is taken next."""
    from zonelab.kernel import Heads, predict, recordings_in, summary
    from zonelab.kernel import replay as stretches_of

    stretches, heads = [], Heads()
    for path in arguments.path:
        for recording in recordings_in(path):
            for stretch in stretches_of(recording):
                print(stretch, flush=True)
                stretches.append(stretch)
            found = predict(recording)
            heads += found
            wrong = f" ({found.first})" if found.wrong else ""
            print(
                f"{recording.name}: which block next: {found.known - found.wrong:,} of {found.known:,} known heads right{wrong}",
                flush=True,
            )
    print(summary(stretches))
    print(heads)
    return 0 if all(stretch.explained for stretch in stretches) and not heads.wrong and not heads.larger else 1


# -- predict


def predict(arguments: argparse.Namespace) -> int:
    """What the whole model says of each experiment, beside what the kernel did."""
    from importlib.resources import files

    from zonelab.kernel.predictions import Row, summary, table

    every: list[Row] = []
    for path in arguments.path or [Path(str(files("zonelab.kernel"))) / "recordings"]:
        for name, rows in table(path):
            every += rows
            if arguments.json:
                continue
            shown = [row for row in rows if arguments.all or row.verdict != "equal"]
            for text in dict.fromkeys(map(str, shown)):  # the same number is often read several times
                print(text)
            print(f"{name}: {summary(rows)}", flush=True)
    if arguments.json:
        print(json.dumps([row.as_dict() for row in every], indent=2, ensure_ascii=False))
    else:
        print(summary(every))
    return 1 if summary(every).unexplained else 0


# -- own


def own(arguments: argparse.Namespace) -> int:
    """A machine like yours, in the terminal."""
    from zonelab.kernel import buddyinfo, numactl
    from zonelab.kernel.own import machine_like, this_computer
    from zonelab.story.own import own_machine

    if arguments.buddyinfo and not arguments.numactl:
        raise BadRequest("--buddyinfo needs --numactl of the same machine beside it")
    try:
        if arguments.numactl:
            hardware = Path(arguments.numactl).read_text(encoding="utf-8")
            buddies = Path(arguments.buddyinfo).read_text(encoding="utf-8") if arguments.buddyinfo else ""
        else:
            hardware, buddies = this_computer()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read it: {error}") from error
    machine = machine_like(hardware, buddies)
    print(numactl.format(machine))
    print(buddyinfo.format(machine))
    for line in terminal(own_machine(hardware, buddies).play()):
        print(line)
    return 0


# -- bench


def bench(arguments: argparse.Namespace) -> int:
    from zonelab import bench as benchmark

    rows = []
    if not arguments.json:
        print(benchmark.environment())
    for row in benchmark.rows(in_browser=arguments.browser):
        rows.append(row)
        if not arguments.json:
            print(row, flush=True)
    if arguments.json:
        print(json.dumps([row.as_dict() for row in rows], indent=2, ensure_ascii=False))
    return 1 if any(row.holds is False for row in rows) else 0


def make_parser(scenario: Any = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m zonelab", description=__doc__)
    parser.add_argument("--version", action="version", version=f"zonelab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{tour,lab,replay,predict,own,grade,bench}")

    one = commands.add_parser("tour", help="the story of the first notebook, here in the terminal")
    if scenario is not None:
        add_controls(one, scenario)
    one.add_argument("--events", action="store_true", help="say why: every decision of the machine, step by step")
    one.add_argument("--save", metavar="DIR", help="write the story's pictures into this folder")
    one.set_defaults(run=tour)

    one = commands.add_parser("lab", help="open the course in JupyterLab")
    one.add_argument("--port", type=int, help="the port to serve at")
    one.add_argument("--no-browser", dest="browser", action="store_false", help="only serve; print the address")
    one.set_defaults(run=lab)

    one = commands.add_parser(
        "replay", help="replay a recording of a real kernel: free blocks, and which is taken next"
    )
    one.add_argument("path", nargs="+", metavar="PATH", help="a recording's folder, or one that holds several")
    one.set_defaults(run=replay)

    one = commands.add_parser("predict", help="carry recorded experiments out on a simulated machine, and compare")
    one.add_argument(
        "path", nargs="*", metavar="PATH", help="a recording's folder, or one that holds several; ours by default"
    )
    one.add_argument("--all", action="store_true", help="rows that are equal, too")
    one.add_argument("--json", action="store_true", help="every row as JSON")
    one.set_defaults(run=predict)

    one = commands.add_parser("own", help="a simulated machine like this computer, or like one whose texts you have")
    one.add_argument("--numactl", metavar="FILE", help="what numactl --hardware printed there")
    one.add_argument("--buddyinfo", metavar="FILE", help="what /proc/buddyinfo held there")
    one.set_defaults(run=own)

    one = commands.add_parser("grade", help="a table of points from the answers that students handed in")
    one.add_argument("paths", nargs="+", metavar="PATH", help="answers files, texts with codes, or folders of them")
    one.add_argument("--out", metavar="FILE", help="write the table (CSV) into this file instead of printing it")
    one.set_defaults(run=grade)

    one = commands.add_parser("bench", help="how fast it is here, against the targets")
    one.add_argument("--json", action="store_true", help="the table as JSON")
    one.add_argument(
        "--browser", action="store_true", help="how fast a lab follows keys and sliders, in a real JupyterLab"
    )
    one.set_defaults(run=bench)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = make_parser(first_story() if argv[:1] == ["tour"] else None).parse_args(argv)
    for stream in (sys.stdout, sys.stderr):  # a Windows console may not know █ and ·
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        run: int = arguments.run(arguments)
        return run
    except ZonelabError as error:
        print(f"zonelab: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
