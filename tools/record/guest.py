"""The guest: an initial RAM disk with the recorder in it, two disks, and QEMU."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tools.record.experiments import FILE_PAGES
from tools.record.host import Kernel, find, run
from tools.record.machines import Machine
from tools.record.scripts import Script, trace_kib
from zonelab.errors import BadRequest

SOURCES = Path(__file__).resolve().parent / "guest"
MODULES = ["virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "crc32c_generic", "ext4"]
"""Modules that the guest needs, if its kernel has them as modules; those that they depend on come by themselves."""
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
SWAP_MIB = 96
DISK_MIB = 32
BOOT = [
    "console=ttyS0",
    "loglevel=4",
    "panic=-1",
    # one run like another, as far as it goes
    "nokaslr",
    "norandmaps",
    "random.trust_cpu=on",
    # nothing that moves or takes pages by itself
    "numa_balancing=disable",
    "transparent_hugepage=madvise",
    "kfence.sample_interval=0",
    "audit=0",
    "psi=0",
    "mitigations=off",
]


def build(kernel: Kernel, work: Path) -> tuple[Path, Path, Path]:
    """The initial RAM disk, the disk with four files, and the swap disk, made anew in the work folder."""
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "modules", "proc", "sys", "dev", "out", "tmp"):
        (root / name).mkdir(parents=True)
    sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    try:
        run(["gcc", "-O2", "-static", "-Wall", "-Wextra", "-o", str(root / "bin" / "lab"), *sources])
    except BadRequest as error:
        raise BadRequest(
            f"{error}; a static C library is needed (libc6-dev on Debian, glibc-static elsewhere)"
        ) from None
    shutil.copy(find("busybox") or "busybox", root / "bin" / "busybox")
    shutil.copy(SOURCES / "init", root / "init")
    (root / "init").chmod(0o755)
    order = []
    for name, content in modules(kernel):
        (root / "modules" / f"{name}.ko").write_bytes(content)
        order.append(name)
    (root / "modules" / "order").write_text("\n".join(order) + "\n")
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*"))) + "\n"
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(), capture_output=True
    )
    if archive.returncode != 0:
        raise BadRequest(f"cpio failed: {archive.stderr.decode(errors='replace').strip()}")
    initrd, disk, swap = work / "initrd.gz", work / "disk.img", work / "swap.img"
    initrd.write_bytes(gzip.compress(archive.stdout, 6))
    _disk(disk, work / "files")
    swap.unlink(missing_ok=True)
    with swap.open("wb") as file:
        file.truncate(SWAP_MIB << 20)
    return initrd, disk, swap


def modules(kernel: Kernel) -> list[tuple[str, bytes]]:
    """The modules that the guest loads, unpacked, each after those that it depends on."""
    paths = {_name(path): path for path in kernel.modules.rglob("*.ko*")}
    out: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in out or name not in paths:  # not there: built into the kernel
            return
        content = _unpack(paths[name])
        found = DEPENDS.search(content)
        for other in found[1].decode().split(",") if found else []:
            add(other.replace("-", "_"))
        out[name] = content

    for name in MODULES:
        add(name)
    return list(out.items())


def _name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")


def _unpack(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name.endswith(".ko"):
        return content
    if path.name.endswith(".ko.xz"):
        return lzma.decompress(content)
    if path.name.endswith(".ko.gz"):
        return gzip.decompress(content)
    raise BadRequest(f"{path} is packed in a way that is not known here; .ko, .ko.xz and .ko.gz are")


def _disk(image: Path, folder: Path) -> None:
    """An ext2 image with files of random bytes; the same ones always."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, pages in FILE_PAGES.items():
        (folder / f"f{number}").write_bytes(Random(number).randbytes(pages * 4096))
    image.unlink(missing_ok=True)
    mke2fs = find("mke2fs") or "mke2fs"
    run([mke2fs, "-q", "-t", "ext2", "-b", "4096", "-d", str(folder), str(image), f"{DISK_MIB}M"])


def share(folder: Path, machine: Machine, scripts: list[Script]) -> None:
    """Fill the folder that the guest shares: scripts, what comes before and after them, settings."""
    for name in ("scripts", "before", "after", "results"):
        (folder / name).mkdir(parents=True)
    for script in scripts:
        (folder / "scripts" / script.name).write_text(script.text())
        for when, text in (("before", script.before), ("after", script.after)):
            if text:
                (folder / when / script.name).write_text(text + "\n")
    cpus = sorted({machine.cpu(0), machine.cpu(1)})
    words = [f"TRACE_KIB={trace_kib(scripts)}", f'TRACE_CPUS="{" ".join(str(cpu) for cpu in cpus)}"']
    (folder / "settings").write_text("\n".join(words) + "\n")


def command(machine: Machine, kernel: Kernel, images: tuple[Path, Path, Path], out: Path, accel: str) -> list[str]:
    """How QEMU is called."""
    initrd, disk, swap = images
    return [
        "qemu-system-x86_64", "-accel", accel, "-cpu", "max", *machine.qemu(),
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{out / 'console.txt'}",
        "-kernel", str(kernel.image), "-initrd", str(initrd), "-append", " ".join(BOOT + machine.boot_words()),
        "-virtfs", f"local,path={out},mount_tag=out,security_model=none,id=out",
        "-drive", f"if=virtio,format=raw,readonly=on,file={disk}", "-drive", f"if=virtio,format=raw,file={swap}",
    ]  # fmt: skip


def boot(words: list[str], out: Path, scripts: list[Script], limit: float, tell: Callable[[str], None]) -> None:
    """Run the guest until it powers off, telling of each experiment as it ends.

    Raises:
        BadRequest: it took longer than `limit` seconds, or did not run every script; with its console's last lines.
    """
    began, told = time.monotonic(), set[str]()
    words_of_qemu = out / "qemu.txt"
    with (
        words_of_qemu.open("w") as file,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT) as guest,
    ):
        try:
            while guest.poll() is None:
                time.sleep(0.5)
                for path in sorted((out / "results").glob("*/rc")):
                    if path.parent.name not in told:
                        told.add(path.parent.name)
                        tell(f"{path.parent.name} ({time.monotonic() - began:.0f} s)")
                if time.monotonic() - began > limit:
                    raise BadRequest(f"the guest still ran after {limit:.0f} s; see --limit\n{_console(out)}")
        finally:
            guest.kill()
    for script in scripts:
        rc = out / "results" / script.name / "rc"
        if not rc.is_file() or rc.read_text().strip() != "0":
            raise BadRequest(f"the guest did not finish {script.name}\n{words_of_qemu.read_text()}{_console(out)}")


def _console(out: Path) -> str:
    """The last lines of the guest's console."""
    path = out / "console.txt"
    return "\n".join(path.read_text(errors="replace").splitlines()[-12:]) if path.is_file() else "(no console)"
