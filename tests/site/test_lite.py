"""The browser-only site: its list of packages is right, and Python starts in it and draws a lab, with nothing from elsewhere.

numpy and matplotlib for Pyodide are only at Pyodide's own address. Nothing here fetches them: every request to elsewhere is
refused and written down, so what a cell gets is the same on every machine. What is left out is said in ``LEFT_OUT``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jupyterlite_pyodide_kernel.constants import PYODIDE_CDN_URL
from nbformat.v4 import new_code_cell

from tests.site.conftest import COURSE, serve, write
from tools.site import lite, wheels
from zonelab import Lab
from zonelab.story import Answers
from zonelab.story.tour import tour

LEFT_OUT = {"contourpy", "kiwisolver", "matplotlib", "numpy", "pillow"}
"""Compiled packages: a reader's browser fetches them, and the simulator itself is not run in a browser by these tests."""

FIRST = "import zonelab"
WITHOUT_NUMPY = """
import importlib.util, lzma, sys, types
from pathlib import Path
here = Path(importlib.util.find_spec("zonelab").submodule_search_locations[0])
for name in ("zonelab", "zonelab.story"):  # the packages without what their first lines import
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [str(here.joinpath(*name.split(".")[1:]))]
from zonelab.story.answers import Answers
answers = Answers("zonelab-answers.json")
answers.record("tour/1", "web.private", False)
answers.record("tour/1", "db.private", True)
again = Answers("zonelab-answers.json")
print("kept", again.get("tour/1"), repr(answers.problem), repr(again.problem))
log = next(here.glob("kernel/recordings/numa4/e5z_zeropage/*.xz"))
print("unpacked", len(lzma.decompress(log.read_bytes())) > 10_000)
"""
SHOW = """
import base64, json
import anywidget, traitlets
state = json.loads({state!r})
class Shown(anywidget.AnyWidget):
    _esm = "\\n".join((here / "view" / name).read_text() for name in ("map.js", "lab.js"))
    _css = (here / "view" / "lab.css").read_text()
    tape = traitlets.Bytes(base64.b64decode(state.pop("tape"))).tag(sync=True)
    locals().update({{name: traitlets.Any(value).tag(sync=True) for name, value in state.items()}})
Shown()
"""


def lab_state() -> str:
    """All that a lab sends to the browser."""
    lab = Lab(tour, predict=False, answers=Answers())
    state = {
        name: getattr(lab, name)
        for name in ("controls", "values", "step", "show", "palette", "answers", "code", "predict", "block")
    }
    return json.dumps(state | {"tape": base64.b64encode(lab.tape).decode()})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The live site of the real course, and a page more that tries what can be tried without numpy."""
    course = tmp_path_factory.mktemp("course") / "notebooks"
    shutil.copytree(COURSE, course)
    (course / "zonelab-answers.json").write_text("{}")
    (course / "teacher").mkdir()
    write(course / "teacher" / "key.ipynb", [new_code_cell("42")])
    cells = [FIRST, WITHOUT_NUMPY, SHOW.format(state=lab_state())]
    write(course / "99-try.ipynb", [new_code_cell(source) for source in cells])
    out = tmp_path_factory.mktemp("site")
    outside = lite.build(out, course)
    settings = out / "lite" / "jupyter-lite.json"  # only so that the test can run all cells
    whole = json.loads(settings.read_text())
    whole["jupyter-config-data"]["exposeAppInBrowser"] = True
    settings.write_text(json.dumps(whole))
    return out / "lite", outside


@pytest.mark.slow
def test_the_folder_is_whole(site):
    folder, outside = site
    assert set(outside) == LEFT_OUT
    runtime = folder / "static" / "pyodide"
    assert {path.name for path in runtime.iterdir()} == set(lite.RUNTIME)
    packages = json.loads((runtime / "pyodide-lock.json").read_text())["packages"]
    assert packages["zonelab"]["imports"] == ["zonelab"]
    assert set(packages["zonelab"]["depends"]) == {"numpy", "matplotlib", "ipywidgets", "anywidget", "joblib", "tqdm"}
    served, todo = set(), ["zonelab", *wheels.KERNEL]
    while todo:
        entry = packages[todo.pop()]
        if entry["file_name"].startswith(PYODIDE_CDN_URL):
            assert entry["name"].lower() in outside
        elif entry["file_name"] not in served:
            wheel = runtime / entry["file_name"]
            assert hashlib.sha256(wheel.read_bytes()).hexdigest() == entry["sha256"]
            served.add(entry["file_name"])
        todo += entry["depends"]
    assert len(served) == len(list((folder / "pypi").glob("*.whl"))) > 20
    contents = json.loads((folder / "api" / "contents" / "all.json").read_text())["content"]
    names = {entry["name"] for entry in contents}
    assert {path.name for path in COURSE.glob("*.ipynb")} < names
    assert not names & {"zonelab-answers.json", "teacher"}
    settings = json.loads((folder / "jupyter-lite.json").read_text())["jupyter-config-data"]
    assert {extension["name"] for extension in settings["federated_extensions"]} == set(lite.EXTENSIONS)


@pytest.mark.slow
@pytest.mark.browser
def test_in_a_browser_that_reaches_nothing_else(browser, site):
    folder, outside = site
    refused: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    with serve(folder) as address:

        def refuse(route: Any) -> None:
            refused.append(route.request.url)
            route.abort()

        context.route(lambda url: not url.startswith((address, "data:", "blob:")), refuse)
        page = context.new_page()
        page.goto(f"{address}lab/index.html?path=99-try.ipynb")
        kernel = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        page.wait_for_function(kernel, timeout=60_000)
        assert refused == [], "Python starts with what the site has"

        outputs = page.locator(".jp-OutputArea-output")
        for cell in range(3):
            page.evaluate("n => { jupyterapp.shell.currentWidget.content.activeCellIndex = n }", cell)
            page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell') }")
            page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea-output").first.wait_for(timeout=60_000)
            if cell == 0:
                page.wait_for_function(kernel)
        assert {url.removeprefix(PYODIDE_CDN_URL + "/") for url in refused} == set(outside.values())
        assert "No module named 'numpy'" in outputs.nth(0).inner_text()
        said = outputs.nth(1).inner_text()
        assert "'given': 'db.private', 'right': True, 'tries': 2, 'first': False} '' ''" in said, said
        assert "unpacked True" in said

        lab = page.locator(".zonelab")
        lab.locator(".zl-say p").first.wait_for(timeout=60_000)
        lab.scroll_into_view_if_needed()
        where, canvas = lab.locator(".zl-where"), lab.locator("canvas")
        assert where.inner_text() == "step 1 of 14"
        before = canvas.evaluate("canvas => canvas.toDataURL()")
        lab.locator(".zl-say").focus()
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.querySelector('.zonelab .zl-where').textContent === 'step 7 of 14'")
        page.wait_for_timeout(300)
        assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    context.close()


def test_a_folder_with_pyodides_wheels_makes_a_site_that_needs_nothing_else(tmp_path, monkeypatch):
    """The same list, with files of these names at hand."""
    runtime, pypi, given = tmp_path / "static" / "pyodide", tmp_path / "pypi", tmp_path / "given"
    for folder in (runtime, pypi, given):
        folder.mkdir(parents=True)

    def entry(name: str, version: str, file: str, *depends: str) -> dict[str, Any]:
        return {
            "name": name,
            "version": version,
            "file_name": file,
            "depends": list(depends),
            "imports": [name],
            "sha256": "",
        }

    compiled = {name: f"{name}-9.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl" for name in ("numpy", "matplotlib")}
    packages = {name: entry(name, "9.0", file) for name, file in compiled.items()}
    packages |= {
        name: entry(name, "9.0", f"{name}-9.0-py3-none-any.whl")
        for name in ("ipython", "jedi", "micropip", "traitlets")
    }
    packages["typing-extensions"] = entry("typing-extensions", "9.0", "typing_extensions-9.0-py3-none-any.whl")
    packages["scipy"] = entry("scipy", "9.0", "scipy-9.0-cp314.whl")
    (runtime / "pyodide-lock.json").write_text(json.dumps({"packages": packages}))
    (pypi / "zonelab-0.1.0-py3-none-any.whl").write_bytes(b"the course")
    (given / compiled["numpy"]).write_bytes(b"numpy")
    asked = {}

    def fetch(versions: dict[str, str], folder: Path) -> dict[str, Path]:
        asked.update(versions)
        for name in versions:
            (folder / f"{name}.whl").write_bytes(name.encode())
        return {name: folder / f"{name}.whl" for name in versions}

    monkeypatch.setattr(wheels, "fetch", fetch)
    assert wheels.lock(runtime, pypi, "https://cdn", given) == {"matplotlib": compiled["matplotlib"]}
    after = json.loads((runtime / "pyodide-lock.json").read_text())["packages"]
    assert after["numpy"]["file_name"] == f"../../pypi/{compiled['numpy']}"
    assert after["numpy"]["sha256"] == hashlib.sha256(b"numpy").hexdigest()
    assert after["matplotlib"]["file_name"] == f"https://cdn/{compiled['matplotlib']}"
    assert after["scipy"]["file_name"] == "https://cdn/scipy-9.0-cp314.whl", (
        "not needed, and still there to be imported"
    )
    assert {"ipywidgets", "anywidget", "psygnal", "comm", "ipython"} <= set(asked)
    assert asked["ipython"] == "9.0" and "widgetsnbextension" not in asked
    assert "widgetsnbextension" not in after["ipywidgets"]["depends"]

    packages["numpy"]["version"] = "1.26"
    (runtime / "pyodide-lock.json").write_text(json.dumps({"packages": packages}))
    with pytest.raises(ValueError, match=r"zonelab needs numpy>=\S+, and this Pyodide has numpy 1\.26"):
        wheels.lock(runtime, pypi, "https://cdn", given)
