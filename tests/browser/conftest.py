"""A real JupyterLab in a real Chromium, for tests that press its keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def chromium() -> str | None:
    """Where the system's Chromium is; None leaves it to Playwright's own."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        except Exception as error:
            pytest.fail(f"no Chromium to test with; install it, or run: python -m playwright install chromium\n{error}")
        yield browser
        browser.close()


class Jupyter:
    """A JupyterLab server on a copy of the course."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "notebooks"
        shutil.copytree(ROOT / "notebooks", self.folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        private = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        environment = os.environ | private | {
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_CONFIG_PATH": str(ROOT / "zonelab" / "nodelay"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }  # fmt: skip
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={self.port}",
                   "--ServerApp.port_retries=0", "--IdentityProvider.token=test", f"--ServerApp.root_dir={self.folder}",
                   "--LabApp.expose_app_in_browser=True",
                   "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]  # fmt: skip
        self.log = (folder / "server.log").open("w")
        self.server = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 90
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise TimeoutError((folder / "server.log").read_text())

    def write(self, name: str, *sources: str) -> str:
        """A notebook of these code cells, in the server's folder; returns its name."""
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
        notebook = nbformat.v4.new_notebook(
            metadata=kernel, cells=[nbformat.v4.new_code_cell(source) for source in sources]
        )
        nbformat.write(notebook, self.folder / name)
        return name

    def close(self) -> None:
        self.server.terminate()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
        self.log.close()


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: Any) -> Iterator[Jupyter]:
    server = Jupyter(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.close()


class Opened:
    """A notebook that is open in the browser, all cells run."""

    def __init__(self, page: Page, jupyter: Jupyter, name: str) -> None:
        self.page, self.errors = page, []  # type: Page, list[str]
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{jupyter.port}/lab/workspaces/w{time.monotonic_ns()}/tree/{name}?token=test&reset")
        self.run_all()

    def command(self, name: str, **options: Any) -> None:
        """One of JupyterLab's own commands, as its menus call them."""
        self.page.evaluate("([name, options]) => jupyterapp.commands.execute(name, options)", [name, options])

    def run_all(self) -> None:
        kernel = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        self.page.wait_for_function(kernel, timeout=60_000)
        self.command("notebook:run-all-cells")  # resolves when all cells have run
        self.page.wait_for_selector(".zonelab .zl-say p", state="attached", timeout=60_000)

    def lab(self, number: int = 0) -> Lab:
        labs = self.page.locator(".zonelab")
        labs.nth(number).wait_for(state="attached")
        return Lab(labs.nth(number))


class Lab:
    """One lab on the page."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        root.scroll_into_view_if_needed()

    def input(self, label: str) -> Locator:
        return self.root.get_by_label(label, exact=True)

    @property
    def text(self) -> str:
        return self.root.locator(".zl-say").inner_text()

    @property
    def where(self) -> str:
        return self.root.locator(".zl-where").inner_text()

    def picture(self) -> str:
        """The pixels of the map."""
        return str(self.root.locator("canvas").evaluate("canvas => canvas.toDataURL()"))

    def settle(self) -> None:
        """Wait until the kernel has nothing more to say and two frames are drawn."""
        page = self.root.page
        page.wait_for_timeout(150)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def until(self, what: Any, seconds: float = 15) -> None:
        """Wait until `what()` holds."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, f"after {seconds} s: step text {self.text!r}"
            self.root.page.wait_for_timeout(30)


@pytest.fixture
def opened(browser: Browser, jupyter: Jupyter) -> Iterator[Any]:
    """``opened(name)`` opens a notebook and runs it; afterwards nothing must stand in the console."""
    pages: list[Opened] = []

    def make(name: str, width: int = 1280, **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        pages.append(Opened(context.new_page(), jupyter, name))
        return pages[-1]

    yield make
    for one in pages:
        one.page.context.close()
        assert not one.errors, one.errors
