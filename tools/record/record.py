"""Record a real Linux kernel on an emulated NUMA machine: python tools/record/record.py numa4 --seed 2 --out FOLDER

Boots an unmodified kernel in QEMU, runs small experiments about memory in it, and writes what its tracepoints and /proc said
in the form that zonelab replays. For Linux hosts; README.md beside this file says what a recording is, costs and cannot do.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # zonelab and this tool, from wherever it is called

from tools.record import experiments, facts, guest, host, machines, pack  # noqa: E402
from tools.record.machines import Machine  # noqa: E402
from tools.record.scripts import Script  # noqa: E402
from zonelab.errors import BadRequest, ZonelabError  # noqa: E402

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zonelab-record"


def record(machine: Machine, scripts: list[Script], arguments: argparse.Namespace) -> list[str]:
    """Prepare, boot, collect. Returns what went wrong in the experiments, a sentence each.

    Raises:
        BadRequest: the host lacks something, the output folder is not empty, or the guest did not finish.
        BadFormat: what the guest wrote is torn.
    """
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadRequest(f"--out {out} is there and not empty; a recording gets a folder of its own")
    lacks = host.missing()
    if lacks:
        raise BadRequest("this host cannot record yet:\n  " + "\n  ".join(lacks))
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {what}", flush=True)

    arguments.work.mkdir(parents=True, exist_ok=True)
    kernel = host.kernel(arguments.kernel, arguments.work)
    without = host.lacks(kernel, fake=bool(machine.fake))
    if without:
        raise BadRequest(f"the kernel {kernel.release} was built without {', '.join(without)}; give another: --kernel")
    tell(f"kernel {kernel.release}{f' from {kernel.package}' if kernel.package else ''}")
    work = Path(tempfile.mkdtemp(dir=arguments.work, prefix=f"{machine.name}-"))
    try:
        shared = work / "out"
        guest.share(shared, machine, scripts)
        words = guest.command(machine, kernel, guest.build(kernel, work), shared, arguments.accel)
        tell(f"booting {machine.name}: {machine.about}; {len(scripts)} experiments")
        guest.boot(words, shared, scripts, arguments.limit, tell)
        tell("packing")
        wrong = collect(shared, scripts, out)
        about = {
            "machine": machine.name, "about": machine.about, "seed": arguments.seed, "experiments": [s.name for s in scripts],
            "kernel": kernel.release, "package": kernel.package, "accelerator": arguments.accel,
            "qemu": host.run([words[0], "--version"]).split("\n")[0], "seconds": round(time.monotonic() - began),
        }  # fmt: skip
        (out / "recorded.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        tell(f"written to {out}")
    finally:
        if arguments.keep:
            print(f"the guest's own files are in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    return wrong


def collect(shared: Path, scripts: list[Script], out: Path) -> list[str]:
    """Write the recording of what the guest left."""
    out.mkdir(parents=True, exist_ok=True)
    wrong, found = [], {}
    for script in scripts:
        result = shared / "results" / script.name
        wrong += pack.pack(result, out / script.name)
        found[script.name] = facts.facts((result / "log.txt").read_text(errors="replace"), script.name)
    (out / "boot_numa.txt").write_text(pack.boot_text(shared), encoding="utf-8")
    with lzma.open(out / "facts.json.xz", "wt", preset=9) as file:
        json.dump(found, file, separators=(",", ":"))
    return wrong


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="record.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(machines.machines())
    parser.add_argument("machine", help=f"one of {names}; or the path of a .toml file like theirs")
    parser.add_argument("--seed", type=int, default=1, help="draws the sizes in the experiments (default: 1)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the recording goes; made, or empty")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="these experiments only")
    parser.add_argument("--list", action="store_true", help="print the scripts that would be run, and stop")
    parser.add_argument(
        "--kernel", type=Path, metavar="PATH",
        help="a Debian kernel package, or a folder with boot/ and lib/modules/ (default: the newest that apt-get has)",
    )  # fmt: skip
    parser.add_argument("--accel", default="tcg,thread=multi", help="QEMU's accelerator (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=1800, metavar="S", help="seconds for the guest (default: 1800)")
    parser.add_argument("--work", type=Path, default=CACHE, metavar="FOLDER", help="where the kernel is kept unpacked")
    parser.add_argument("--keep", action="store_true", help="keep the guest's own files too, for a closer look")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    arguments = parser.parse_args(argv)
    try:
        machine = machines.read(arguments.machine)
        scripts = experiments.write(machine, arguments.seed, tuple(arguments.only))
        if arguments.list:
            for script in scripts:
                print(f"# {script.name}\n{script.text()}")
            return 0
        if arguments.out is None:
            parser.error("--out FOLDER is missing")
        arguments.out, arguments.work = arguments.out.resolve(), arguments.work.resolve()
        wrong = record(machine, scripts, arguments)
    except ZonelabError as error:
        print(f"record: {error}", file=sys.stderr)
        return 2
    for sentence in wrong:
        print(f"note: {sentence}")
    replayed = subprocess.run([sys.executable, "-m", "zonelab", "replay", str(arguments.out)], cwd=ROOT).returncode
    return replayed or (1 if wrong else 0)


if __name__ == "__main__":
    sys.exit(main())
