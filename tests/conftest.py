"""Settings for all tests: no test fails because the machine was busy. And the one browser of a test run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("zonelab", deadline=None)
settings.load_profile("zonelab")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium: one for all tests of a process, since Playwright cannot be started twice in it."""
    from playwright.sync_api import sync_playwright

    from zonelab.browser import FLAGS, chromium

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        except Exception as error:
            pytest.fail(f"no Chromium to test with; install it, or run: python -m playwright install chromium\n{error}")
        yield browser
        browser.close()
