"""Build the course's site into a folder for any web server: ``python tools/site/build.py OUT``.

    book     every page, executed, as plain HTML
    slides   the lecture part of every page
    lite     JupyterLite: the course live in the browser, without a server

Needs ``pip install ".[lab,site]"``. The book and the home page also work from disk; *lite* needs a web server (try it with
``python -m http.server --directory OUT``), and https on any other host than your own computer.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.site import book, lite, pages, slides  # noqa: E402

PARTS = ("book", "slides", "lite")


def build(out: Path, parts: set[str], notebooks: Path, wheels: Path | None = None) -> None:
    """Build these parts; what an earlier run has built of the others stays, and is linked to."""
    course = pages.read(notebooks)
    pages.refuse_solutions(course)
    out.mkdir(parents=True, exist_ok=True)
    all_parts = parts | {part for part in PARTS if (out / part).is_dir()}
    if parts & {"book", "slides"}:
        for page in course:
            began = time.monotonic()
            pages.execute(page)
            print(f"{page.path.name}: run in {time.monotonic() - began:.1f} s", flush=True)
    steps = {
        "book": lambda: book.build(out, course, all_parts),
        "slides": lambda: slides.build(out, course, all_parts),
        "lite": lambda: lite.build(out, notebooks, wheels),
    }
    for part in PARTS:
        if part in parts:
            began = time.monotonic()
            steps[part]()
            size = sum(path.stat().st_size for path in (out / part).rglob("*") if path.is_file())
            print(f"{part}: {size / 1e6:.1f} MB in {time.monotonic() - began:.1f} s", flush=True)
    book.home(out, course, all_parts)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to build into")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of them, with commas (default: %(default)s)")
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks", help="the course (default: %(default)s)")
    parser.add_argument("--wheels", type=Path, help="lite: a folder with Pyodide's own wheels, to serve them as well")
    options = parser.parse_args(arguments)
    parts = set(options.parts.split(","))
    if not parts <= set(PARTS):
        parser.error(f"no part {', '.join(sorted(parts - set(PARTS)))}; there are {', '.join(PARTS)}")
    build(options.out.resolve(), parts, options.notebooks.resolve(), options.wheels)


if __name__ == "__main__":
    main()
