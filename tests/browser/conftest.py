"""A real JupyterLab in a real Chromium, for tests that press its keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page

from zonelab.browser import COURSE, Jupyter


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: Any) -> Iterator[Jupyter]:
    server = Jupyter(tmp_path_factory.mktemp("jupyter"), COURSE)
    yield server
    server.close()


class Opened:
    """A notebook that is open in the browser, all cells run."""

    def __init__(self, page: Page, jupyter: Jupyter, name: str) -> None:
        self.page, self.errors = page, []  # type: Page, list[str]
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(jupyter.address(name))
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
