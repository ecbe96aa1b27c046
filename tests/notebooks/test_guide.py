"""The teacher's guide says what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from zonelab.course.guide import marking_key
from zonelab.course.unit import NUMBERS, exercises

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "\n".join(
    cell.source for cell in nbformat.read(ROOT / "notebooks" / "teachers-guide.ipynb", as_version=4).cells
)
ROWS = {row[1:3]: row for row in re.findall(r"^\| (\[\d\d\].*)$", GUIDE, re.M)}


@pytest.mark.parametrize("number", NUMBERS)
def test_minutes_and_what_to_hand_in(number):
    page = next((ROOT / "teach" / "units").glob(f"{number}-*.md")).read_text(encoding="utf-8")
    minutes = re.search(r"\*\*Time:\*\* about (\d+) minutes", page)
    assert minutes is not None
    cells = [cell.strip() for cell in ROWS[number].strip(" |").split("|")]
    assert cells[1] == minutes[1]
    named = {name for name in re.split(r"[, ]+", cells[-1]) if name in exercises(number)}
    assert named == set(exercises(number))
    assert f"({next((ROOT / 'notebooks').glob(f'{number}-*.ipynb')).name})" in cells[0]


def test_the_marking_key_has_every_exercise():
    key = marking_key()
    assert len(key.rows) == 1 + sum(len(exercises(number)) for number in NUMBERS)
    assert "the next block" in repr(key)


def test_the_commands_of_the_guide_exist():
    for command in re.findall(r"python (?:-m zonelab (\w+)|(tools/[\w/.]+|teach/[\w/.]+|start\.py))", GUIDE):
        if command[0]:
            assert f'add_parser(\n        "{command[0]}"' in (ROOT / "zonelab" / "__main__.py").read_text() or (
                f'add_parser("{command[0]}"' in (ROOT / "zonelab" / "__main__.py").read_text()
            )
        else:
            assert (ROOT / command[1]).exists()
