"""The course as a whole: thirteen units, links that lead somewhere, each claim met where the table says."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from zonelab.course.claims import CLAIMS
from zonelab.course.unit import NUMBERS

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))}
ALL = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path):
    return nbformat.read(path, as_version=4).cells


def test_thirteen_units():
    assert tuple(PAGES) == NUMBERS


@pytest.mark.parametrize("path", ALL, ids=[path.stem for path in ALL])
def test_links_lead_somewhere(path):
    for cell in cells(path):
        if cell.cell_type != "markdown":
            continue
        for target in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#[^)]*)?\)", cell.source):
            assert not target or (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_is_met_where_the_table_says(claim):
    for number in CLAIMS[claim].units:
        assert number in PAGES, f"{claim} is to be met in unit {number}"
        tagged = [
            cell for cell in cells(PAGES[number]) if claim in cell.metadata.get("tags", []) and cell.cell_type == "code"
        ]
        assert tagged, f"unit {number} has no cell for {claim}"
