"""The router's table against one that was worked out by hand, from the rules and not from the machine."""

from __future__ import annotations

import pytest

from zonelab.course.router import ALONE, CACHED, CASES, FORKED, NEW, READINGS, Case, came_from, router_table
from zonelab.errors import BadRequest

OWN, SET, DISK = "web.private", "pair.shared", "disk.mount"
BY_HAND = {
    ("anonymous", False, False, NEW): [],
    ("anonymous", False, True, NEW): [OWN],
    ("anonymous", False, True, FORKED): [OWN],
    ("anonymous", False, True, ALONE): [],
    ("anonymous", True, False, NEW): [SET],
    ("anonymous", True, True, NEW): [SET],
    ("file", False, False, NEW): [SET],
    ("file", False, False, CACHED): [],
    ("file", False, True, NEW): [SET, OWN],
    ("file", False, True, CACHED): [OWN],
    ("file", True, False, NEW): [SET],
    ("file", True, True, NEW): [SET],
    ("file", True, True, CACHED): [],
    ("no mapping", True, False, NEW): [SET],
    ("no mapping", True, True, NEW): [SET],
}
"""Pages of the corrected reading; the others follow from it, see below."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_line_is_right_under_every_reading(case):
    corrected = BY_HAND[case.what, case.shared, case.write, case.before]
    assert came_from(case) == corrected
    assert came_from(case, "as quoted") == [SET for _ in corrected], "all in one zone"
    flag = SET if case.shared and case.what != "no mapping" else OWN
    assert came_from(case, "literal") == [flag for _ in corrected], "the flag decides, whatever the page is"
    of_a_file = case.what in ("file", "no mapping")
    assert came_from(case, "by mount") == [DISK if of_a_file and zone == SET else zone for zone in corrected]


def test_the_table_has_all_of_it():
    table = router_table()
    assert len(table.rows) == len(CASES) == len(BY_HAND)
    assert all(len(row) == len(table.columns) + len(READINGS) for row in table.rows)
    assert {row[3] for row in table.rows} == {"0", "1", "2"}
    shown = table._repr_html_()
    assert shown.count("<tr>") == 1 + len(CASES) and "pair.shared + web.private" in shown
    assert repr(table).splitlines()[1].startswith("anonymous, private")


def test_an_unknown_reading_is_refused():
    with pytest.raises(BadRequest, match="no reading 'backwards'; there are as quoted, literal"):
        came_from(Case("anonymous", False, True), "backwards")
