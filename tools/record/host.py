"""What the host must have: programs, and a kernel to boot."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from zonelab.errors import BadRequest

PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "gcc": "gcc libc6-dev",
    "mke2fs": "e2fsprogs",
    "cpio": "cpio",
    "busybox": "busybox-static",
}
"""Program → the Debian packages that bring it."""
SBIN = ["/usr/sbin", "/sbin", "/usr/local/sbin"]
META = "linux-image-amd64"
CONFIG = ["NUMA", "CPUSETS", "MEMCG", "SWAP", "EVENT_TRACING", "PROC_PAGE_MONITOR", "TRANSPARENT_HUGEPAGE", "HUGETLBFS"]
CONFIG += ["COMPACTION", "MIGRATION", "PACKET", "NET_9P_VIRTIO", "VIRTIO_BLK", "EXT4_FS", "TMPFS", "DEVTMPFS"]
FAKE_CONFIG = ["NUMA_EMU"]


@dataclass(frozen=True)
class Kernel:
    """A kernel to boot: its release, its image, its modules, and what it was configured with, as far as that is known."""

    release: str
    image: Path
    modules: Path
    config: frozenset[str]
    package: str


def find(program: str) -> str | None:
    """The path of a program; administrators' folders are looked at too, as mke2fs is there."""
    return shutil.which(program) or shutil.which(program, path=":".join(SBIN))


def missing() -> list[str]:
    """What this host lacks, one sentence each."""
    out = []
    for program, package in PROGRAMS.items():
        path = find(program)
        if path is None:
            out.append(f"{program} is missing: apt-get install {package}")
        elif program == "busybox" and b"/ld-linux" in Path(path).read_bytes():
            out.append(f"{path} needs shared libraries, which the guest does not have: apt-get install {package}")
    return out


def run(command: list[str], folder: Path | None = None) -> str:
    """What a command prints.

    Raises:
        BadRequest: it failed; with its last words.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise BadRequest(f"{' '.join(command[:3])} ... failed ({done.returncode}): {' | '.join(words[-3:])}")
    return done.stdout


def kernel(given: Path | None, work: Path) -> Kernel:
    """The kernel to boot, unpacked in the work folder if it is a package.

    Args:
        given: a Debian package (.deb), or a folder with boot/ and lib/modules/, such as / itself. None: the newest package that
            apt knows of, which is downloaded once.

    Raises:
        BadRequest: there is none, or it is not a kernel.
    """
    if given is None:
        given = _download(work / "packages")
    if not given.is_dir():
        if not given.is_file():
            raise BadRequest(f"--kernel {given}: no such file")
        folder = work / "kernels" / given.stem
        if not folder.exists():
            half = folder.with_name(folder.name + ".half")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
            run(["dpkg-deb", "--extract", str(given), str(half)])
            half.rename(folder)
        return in_folder(folder, given.stem)
    return in_folder(given, "")


def in_folder(folder: Path, package: str) -> Kernel:
    """The newest kernel below a folder.

    Raises:
        BadRequest: there is none with both an image and modules.
    """
    for base in (folder / "lib" / "modules", folder / "usr" / "lib" / "modules"):
        for modules in sorted(base.glob("*"), key=lambda path: _numbers(path.name), reverse=True):
            for image in (folder / "boot" / f"vmlinuz-{modules.name}", modules / "vmlinuz"):
                if image.is_file() and (modules / "kernel").is_dir():
                    return Kernel(modules.name, image, modules, _config(folder, modules), package)
    raise BadRequest(f"{folder} has no kernel: boot/vmlinuz-RELEASE with lib/modules/RELEASE is needed")


def lacks(kernel: Kernel, fake: bool) -> list[str]:
    """Options that the kernel should have been configured with; none if its configuration is not known."""
    wanted = CONFIG + FAKE_CONFIG * fake
    return [f"CONFIG_{name}" for name in wanted if kernel.config and name not in kernel.config]


def _config(folder: Path, modules: Path) -> frozenset[str]:
    for path in (folder / "boot" / f"config-{modules.name}", modules / "config"):
        if path.is_file():
            return frozenset(re.findall(r"^CONFIG_(\w+)=[ym]$", path.read_text(errors="replace"), re.M))
    return frozenset()


def _download(folder: Path) -> Path:
    """The package of Debian's usual kernel, by apt."""
    hint = "give a kernel with --kernel, as a Debian package or a folder with boot/ and lib/modules/"
    if not shutil.which("apt-get") or not shutil.which("apt-cache"):
        raise BadRequest(f"no apt-get here to fetch a kernel with; {hint}")
    found = re.search(r"Depends: (linux-image-\d\S*)", run(["apt-cache", "depends", META]))
    if found is None:
        raise BadRequest(f"apt knows of no {META}: run apt-get update, or {hint}")
    version = re.search(r"^Version: (\S+)$", run(["apt-cache", "show", "--no-all-versions", found[1]]), re.M)
    release = version[1].replace(":", "%3a") if version else "*"
    if not any(folder.glob(f"{found[1]}_{release}_*.deb")):
        folder.mkdir(parents=True, exist_ok=True)
        run(["apt-get", "download", found[1]], folder)
    packages = sorted(folder.glob(f"{found[1]}_*.deb"), key=lambda path: path.stat().st_mtime)
    if not packages:
        raise BadRequest(f"apt-get download {found[1]} left no package; {hint}")
    return packages[-1]


def _numbers(release: str) -> list[int]:
    return [int(word) for word in re.findall(r"\d+", release)]
