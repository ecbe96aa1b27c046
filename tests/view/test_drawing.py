"""Schematic pictures: words for whoever cannot see them, nothing that breaks out of the markup."""

from __future__ import annotations

from xml.etree import ElementTree

from zonelab.view.drawing import Drawing


def test_a_drawing_is_well_formed_and_has_words():
    drawing = Drawing(100, 50, 'a box "web" & an arrow')
    drawing.box(0, 0, 40, 20, "web <1>\ntwo", "web").arrow(40, 10, 80, 10, "to").line(0, 40, 9, 40, dashed=True).text(
        5, 45, "end", "start"
    )
    root = ElementTree.fromstring(drawing._repr_html_())
    assert root.attrib["aria-label"] == 'a box "web" & an arrow' and root.attrib["role"] == "img"
    assert [text.text for text in root.iter("text")] == ["web <1>", "two", "to", "end"]
    assert repr(drawing) == '<drawing: a box "web" & an arrow>'
