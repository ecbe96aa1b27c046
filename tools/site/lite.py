"""JupyterLite: the course live in the browser, as a folder of files that any web server can serve."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_core.paths import jupyter_path
from jupyterlite_pyodide_kernel.constants import PYODIDE_CDN_URL, PYODIDE_VERSION

from tools.site import npm, wheels

RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
EXTENSIONS = ("anywidget", "@jupyter-widgets/jupyterlab-manager", "@jupyterlite/pyodide-kernel-extension")
"""The parts of JupyterLab's page that the course needs; others that may be installed here stay out."""
NOT_FOR_READERS = ("zonelab-answers*.json", ".*", "__pycache__")


def build(out: Path, notebooks: Path, given: Path | None = None) -> dict[str, str]:
    """Write ``out/lite``, and say which files a reader's browser will fetch from elsewhere: package → file.

    Args:
        out: the site's folder.
        notebooks: the course, which becomes the contents of the live site.
        given: a folder with wheels of Pyodide's own, for a site that needs nothing from elsewhere.

    Raises:
        RuntimeError: pip or jupyter lite has failed; their words are in the message.
    """
    target = out / "lite"
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        runtime, pypi = work / "static" / "pyodide", work / "pypi"
        runtime.mkdir(parents=True)
        pypi.mkdir()
        with npm.package("pyodide", PYODIDE_VERSION) as files:
            for name in RUNTIME:
                shutil.copyfile(files / name, runtime / name)
        wheels.course_wheel(pypi)
        outside = wheels.lock(runtime, pypi, PYODIDE_CDN_URL, given)
        shutil.copytree(notebooks, work / "course", ignore=_not_for_readers)
        for page in (work / "course").glob("*.ipynb"):
            _for_this_kernel(page)
        _configure(work)
        command = [sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", folder, "--output-dir", str(target)]
        command += ["--contents", str(work / "course"), "--apps", "lab", "--no-libarchive", "--no-sourcemaps"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    for name, file in sorted(outside.items()):
        print(f"lite: {name} comes from {PYODIDE_CDN_URL}/{file}")
    return outside


def _not_for_readers(folder: str, names: list[str]) -> set[str]:
    """What stays out: somebody's answers, and folders of other notebooks, which may be a teacher's."""
    other = {name for name in names if any(Path(folder, name).glob("**/*.ipynb"))}
    return other | shutil.ignore_patterns(*NOT_FOR_READERS)(folder, names)


def _for_this_kernel(page: Path) -> None:
    """Name the one kernel that there is: JupyterLite asks the reader which one to take if a notebook names another."""
    notebook = nbformat.read(page, as_version=4)
    notebook.metadata["kernelspec"] = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, page)


def _configure(work: Path) -> None:
    """JupyterLite's two settings files: what the page says, and what goes into it."""
    page = {"jupyter-lite-schema-version": 0, "jupyter-config-data": {"appName": "zonelab"}}
    (work / "jupyter-lite.json").write_text(json.dumps(page), encoding="utf-8")
    extensions = [str(_extension(name)) for name in EXTENSIONS]
    build_config = {"LiteBuildConfig": {"ignore_sys_prefix": True, "federated_extensions": extensions}}
    (work / "jupyter_lite_config.json").write_text(json.dumps(build_config), encoding="utf-8")


def _extension(name: str) -> Path:
    """Where a part of JupyterLab's page is installed.

    Raises:
        FileNotFoundError: it is not.
    """
    for folder in jupyter_path("labextensions"):
        if (Path(folder) / name / "package.json").is_file():
            return Path(folder) / name
    raise FileNotFoundError(
        f'JupyterLab\'s extension {name} is not installed here; pip install ".[lab,site]" brings it'
    )
