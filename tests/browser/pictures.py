"""Write the course's screenshots anew: ``python -m tests.browser.pictures``. Both themes, three zoom levels, a large machine.

They are looked at by people, so this is no test; run it when the lab's looks have changed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import Lab, Opened
from zonelab.browser import COURSE, FLAGS, Jupyter, chromium

CELL = "from zonelab import Lab\nfrom zonelab.story.tour import LARGE, tour\nLab(tour, predict={predict}, step={step}{more})"
CROWD = """
from zonelab import Lab, Machine, scenario, step
@scenario("A crowded machine")
def crowd():
    machine = Machine(nodes=8, node_mib=128)
    for n in range(36):
        c = machine.container(f"c{n}", node=n % 8, private_mib=4 * (1 + n % 5), borrow=(machine.nodes[n % 8].main,))
        machine.touch(machine.mmap(machine.task(c), pages=300 + 137 * (n % 7)), 0, 300 + 137 * (n % 7))
    yield step(machine, "Thirty-six containers on eight nodes.")
Lab(crowd)
"""


def main() -> None:
    out = COURSE / "images"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        server = Jupyter(Path(folder))

        def opened(name: str, source: str) -> tuple[Opened, Lab]:
            context = browser.new_context(viewport={"width": 1480, "height": 1100})
            page = Opened(context.new_page(), server, server.write(f"{name}.ipynb", source))
            lab = page.lab()
            lab.settle()
            return page, lab

        def shoot(page: Opened, lab: Lab, name: str) -> None:
            for theme in ("Light", "Dark"):
                page.command("apputils:change-theme", theme=f"JupyterLab {theme}")
                lab.until(lambda theme=theme: lab.root.get_attribute("data-theme") == theme.lower())  # type: ignore[misc]
                page.page.wait_for_timeout(400)
                lab.root.screenshot(path=out / f"{name}-{theme.lower()}.png")

        try:
            shoot(*opened("lab", CELL.format(predict=False, step=10, more="")), "lab")
            shoot(*opened("large", CELL.format(predict=False, step=11, more=", computer=LARGE")), "lab-large")
            page, lab = opened("block", CELL.format(predict=False, step=7, more=""))
            canvas = lab.root.locator("canvas")
            canvas.focus()
            canvas.press("ArrowRight")
            canvas.press("Enter")
            lab.settle()
            shoot(page, lab, "lab-block")
            canvas.focus()
            for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowDown", "ArrowRight", "Enter"):
                canvas.press(key)
            lab.until(lambda: lab.root.locator(".zl-facts").is_visible())
            shoot(page, lab, "lab-page")
            page, lab = opened("predict", CELL.format(predict=True, step=6, more=""))
            lab.root.get_by_role("button", name="One step forward").click()
            shoot(page, lab, "lab-predict")
            shoot(*opened("crowd", CROWD), "lab-crowd")
        finally:
            server.close()
            browser.close()


if __name__ == "__main__":
    main()
