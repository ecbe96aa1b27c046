"""Binder's own code reads binder/ as we mean it, and what it describes is built with pip and opens the first page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

import pytest
import yaml
from repo2docker.app import Repo2Docker

ROOT = Path(__file__).resolve().parents[2]
ON_PIP = {"matplotlib-base": "matplotlib"}


def copy_of_the_project(folder: Path) -> Path:
    """What a clone has."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "*.egg-info")
    return Path(shutil.copytree(ROOT, folder / "project", ignore=ignored))


@pytest.fixture
def pack(tmp_path, monkeypatch):
    """The way of building that repo2docker chooses for this project."""
    monkeypatch.chdir(copy_of_the_project(tmp_path))
    r2d = Repo2Docker()
    pack = next(pack for pack in (kind(r2d.base_image) for kind in r2d.buildpacks) if pack.detect())
    pack.platform = "linux/amd64"
    return pack


def test_repo2docker_takes_the_conda_environment_in_binder(pack):
    assert type(pack).__name__ == "CondaBuildPack"
    assert pack.binder_path("environment.yml") == "binder/environment.yml"
    assert pack.get_start_script() == "${REPO_DIR}/binder/start"
    assert pack.get_post_build_scripts() == ["binder/postBuild"]
    assert pack.python_version == "3.12"


def test_a_new_commit_does_not_rebuild_the_environment(pack):
    lines = pack.render({}).splitlines()

    def at(pattern: str) -> int:
        return next(n for n, line in enumerate(lines) if re.search(pattern, line))

    install, whole = at(r"env update .*binder/environment\.yml"), at(r"^COPY .* src/ \$\{REPO_DIR\}/$")
    assert at(r"^COPY .*src/binder/environment\.yml") < install < whole < at(r"^RUN \./binder/postBuild")
    assert at(r'^ENV R2D_ENTRYPOINT="\$\{REPO_DIR\}/binder/start"') > whole


def test_readme_says_where_binder_opens():
    [page] = re.findall(r"https://mybinder\.org/v2/\S*\?urlpath=lab/tree/([\w./-]+)", (ROOT / "README.md").read_text())
    assert (ROOT / page).is_file()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Binder's scripts are for Linux")
def test_what_binder_describes_is_built_and_runs_the_course(tmp_path):
    """With pip in place of conda, which gets the same packages under the same bounds from elsewhere."""
    project, prefix = copy_of_the_project(tmp_path), tmp_path / "env"
    venv.create(prefix, with_pip=True)
    needs = yaml.safe_load((project / "binder" / "environment.yml").read_text())["dependencies"]
    wanted = [re.sub(r"^[\w-]+", lambda name: ON_PIP.get(name[0], name[0]), need) for need in needs]
    wanted = [need for need in wanted if need != "pip" and not need.startswith("python=")]
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER", "MPL"))
    }
    environment |= {"PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted)
    run("binder/postBuild")
    assert list((home / ".cache" / "matplotlib").glob("fontlist-*.json")), "the list of fonts was not made"
    for page in sorted((project / "notebooks").glob("[0-9][0-9]-*.ipynb")):
        run("jupyter", "execute", "--timeout=120", str(page))
    port = 8000 + os.getpid() % 1000
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        ["binder/start", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=t"],
        cwd=project, env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}/lab/tree/notebooks/00-start-here.ipynb?token=t"
        for _ in range(300):
            try:
                assert "jupyter-config-data" in urllib.request.urlopen(address, timeout=10).read().decode()
                break
            except urllib.error.URLError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
        else:
            pytest.fail((tmp_path / "log").read_text())
        with Path(f"/proc/{server.pid}/environ").open("rb") as environ:
            assert b"OPENBLAS_NUM_THREADS=1" in environ.read()
    finally:
        server.terminate()
        server.wait(30)
    text = (tmp_path / "log").read_text()
    assert "zonelab.nodelay | extension was successfully loaded" in text, text
