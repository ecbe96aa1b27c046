"""A real JupyterLab in a real Chromium: how long it takes from a key to new pixels. Needs playwright.

The clock starts with the key's event in the page and stops in the first animation frame in which the canvas has other
pixels, so it counts in frames of the screen (16.7 ms), and includes the kernel and all that lies between.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from zonelab.errors import BadRequest
from zonelab.nodelay import CONFIG_DIR

COURSE = Path(__file__).resolve().parent.parent / "notebooks"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
MOVES = 50


def chromium() -> str | None:
    """Where the system's Chromium is; None leaves it to Playwright's own."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Jupyter:
    """A JupyterLab server of its own, on a copy of the course or an empty folder; it reads nobody's settings."""

    def __init__(self, folder: Path, course: Path | None = None) -> None:
        self.folder = folder / "notebooks"
        if course is not None:
            shutil.copytree(course, self.folder)
        else:
            self.folder.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (folder / "config").mkdir()
        settings = {"LabApp": {"labextensions_path": [_extensions(folder)]}}
        (folder / "config" / "jupyter_lab_config.json").write_text(json.dumps(settings), encoding="utf-8")
        private = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        environment = os.environ | private | {
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_CONFIG_PATH": str(CONFIG_DIR),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(COURSE.parent), os.environ.get("PYTHONPATH")])),
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

    def address(self, name: str) -> str:
        """Where a notebook opens, in a fresh workspace."""
        return f"http://127.0.0.1:{self.port}/lab/workspaces/w{time.monotonic_ns()}/tree/{name}?token=test&reset"

    def write(self, name: str, *sources: str) -> str:
        """A notebook of these code cells, in the server's folder; returns its name."""
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
        cells: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": f"cell-{n}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for n, source in enumerate(sources)
        ]
        notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
        (self.folder / name).write_text(json.dumps(notebook), encoding="utf-8")
        return name

    def close(self) -> None:
        self.server.terminate()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
        self.log.close()


def _extensions(folder: Path) -> str:
    """What a reader's JupyterLab has, and nothing that tests and tools have installed beside it: a folder of extensions."""
    from jupyter_core.paths import jupyter_path

    own = folder / "labextensions"
    own.mkdir()
    for name in ("@jupyter-widgets", "anywidget", "jupyterlab_pygments"):
        found = next((path for root in jupyter_path("labextensions") if (path := Path(root) / name).is_dir()), None)
        if found is not None:
            shutil.copytree(found, own / name)
    return str(own)


BARE = """
import anywidget, traitlets
class Bare(anywidget.AnyWidget):
    _esm = '''
    export default { render({ model, el }) {
      const canvas = document.createElement("canvas"); canvas.width = canvas.height = 64;
      const input = document.createElement("input"); input.type = "range"; input.max = 64; input.value = 8;
      input.addEventListener("keydown", (event) => event.stopPropagation());
      input.addEventListener("input", () => { model.set("value", +input.value); model.save_changes(); });
      const draw = () => {
        const ctx = canvas.getContext("2d"), image = ctx.createImageData(64, 64), frame = model.get("frame");
        for (let i = 0; i < 4096; i++) { image.data[4 * i] = frame.getUint8(i); image.data[4 * i + 3] = 255; }
        ctx.putImageData(image, 0, 0);
      };
      model.on("change:frame", draw); draw(); el.className = "zonelab"; el.append(canvas, input);
    } };'''
    value = traitlets.Int(8).tag(sync=True)
    frame = traitlets.Bytes(bytes(4096)).tag(sync=True)
    @traitlets.observe("value")
    def _moved(self, change):
        self.frame = bytes([change["new"]]) * 4096
Bare()
"""

LAB = """
from zonelab import Lab
from zonelab.story.tour import LARGE, SMALL, tour
Lab(tour, predict=False, step=2, computer={computer})
"""

# Waits in the page for the next frame in which the canvas differs from what it was at the key.
WATCH = """
([root, selector]) => {
  const canvas = document.querySelectorAll(".zonelab")[root].querySelector("canvas");
  const input = document.querySelectorAll(".zonelab")[root].querySelector(selector);
  const pixels = () => new Uint32Array(canvas.getContext("2d", { willReadFrequently: true })
    .getImageData(0, 0, Math.min(canvas.width, 320), Math.min(canvas.height, 160)).data.buffer);
  window.zonelabTimes = [];
  const key = () => {
    const start = performance.now(), before = pixels();
    const look = () => {
      const now = pixels();
      let same = now.length === before.length;
      for (let i = 0; same && i < now.length; i++) same = now[i] === before[i];
      if (!same) window.zonelabTimes.push(performance.now() - start);
      else if (performance.now() - start < 5000) requestAnimationFrame(look);
      else window.zonelabTimes.push(NaN);
    };
    requestAnimationFrame(look);
  };
  input.addEventListener("keydown", key, { capture: true });
  input.focus();
}
"""


def _times(page: Any, root: int, selector: str, keys: list[str]) -> list[float]:
    """Milliseconds from each key to new pixels, one after the other; the first three are for warming up."""
    page.evaluate(WATCH, [root, selector])
    for done, key in enumerate(keys, 1):
        page.keyboard.press(key)
        page.wait_for_function("n => window.zonelabTimes.length >= n", arg=done, timeout=10_000)
    return list(page.evaluate("() => window.zonelabTimes"))[3:]


def latencies() -> Iterator[tuple[str, float, float]]:
    """``(what, median, p95)`` in milliseconds: a bare canvas, then the lab on a small and on a large machine.

    Raises:
        BadRequest: playwright, JupyterLab or a browser is missing.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise BadRequest("the browser benchmark needs playwright; run it after: python start.py test") from None
    there_and_back = ["ArrowRight", "ArrowLeft"] * 2 + ["ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft"]
    keys = (there_and_back * MOVES)[: MOVES + 3]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        except Error as error:
            raise BadRequest(
                f"no Chromium to measure in; install it, or run: python -m playwright install chromium ({error})"
            ) from None
        server = Jupyter(Path(folder))
        try:
            for what, source in [
                ("bare canvas", BARE),
                ("64 MiB", LAB.format(computer="SMALL")),
                ("64 GiB", LAB.format(computer="LARGE")),
            ]:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(server.address(server.write("bench.ipynb", source)))
                idle = (
                    "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
                )
                page.wait_for_function(idle, timeout=60_000)
                page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
                page.wait_for_selector(".zonelab canvas", timeout=60_000)
                page.wait_for_timeout(1500)
                slider = "input[type=range]:not(.zl-scrub)"
                rows = [(f"size slider to new pixels, {what}", slider)]
                if what != "bare canvas":
                    rows.append((f"step to new pixels, {what}", ".zl-scrub"))
                for name, selector in rows:
                    times = _times(page, 0, selector, keys)
                    yield name, median(times), quantiles(times, n=20)[-1]
                page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
                page.close()
        finally:
            server.close()
            browser.close()
