"""The glossary: in order, each term with its unit; and every link from a page to a term leads to one."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from zonelab.course.unit import NUMBERS

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PAGES = sorted(NOTEBOOKS.glob("*.ipynb"))


def prose(path):
    return "\n\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")


def entries():
    """Term → what is said of it."""
    found = re.findall(r"^### (.+)\n\n(.+)$", prose(NOTEBOOKS / "glossary.ipynb"), re.M)
    assert len({term for term, _ in found}) == len(found), "a term twice"
    return dict(found)


def anchor(term):
    """What a notebook makes of a heading."""
    return term.replace(" ", "-")


def test_terms_stand_in_order_under_their_letter():
    terms = list(entries())
    assert terms == sorted(terms, key=str.casefold)
    letters = re.findall(r"^## (.)$", prose(NOTEBOOKS / "glossary.ipynb"), re.M)
    assert letters == sorted({term[0].upper() for term in terms})
    assert re.findall(r"^### (.+)$", prose(NOTEBOOKS / "glossary.ipynb"), re.M) == terms, "a term without a word on it"


@pytest.mark.parametrize("term", entries())
def test_each_term_has_linux_name_and_its_unit(term):
    said = entries()[term]
    units = re.findall(r"\[unit (\d\d)\]\((\d\d)-[a-z-]+\.ipynb\)", said)
    assert units and all(one == other and one in NUMBERS for one, other in units)
    own, rest = said.split("In Linux: ")
    assert 4 <= len(own.split()) <= 50
    assert "`" in rest or "no counterpart" in rest or "namespaces" in rest


@pytest.mark.parametrize("path", PAGES, ids=[path.stem for path in PAGES])
def test_linked_terms_are_in_the_glossary(path):
    known = {anchor(term) for term in entries()}
    linked = re.findall(r"\]\(glossary\.ipynb#([^)\s]*)\)", prose(path))
    assert set(linked) <= known, f"not in the glossary: {set(linked) - known}"


def test_some_terms_are_linked():
    """Else the test above could not fail."""
    assert "glossary.ipynb#orphan)" in prose(NOTEBOOKS / "09-orphaned-zones.ipynb")
    assert prose(NOTEBOOKS / "notional-machine.ipynb").count("glossary.ipynb#") > 10
