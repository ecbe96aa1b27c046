"""Small schematic pictures: boxes, arrows, words. Inline SVG, so that they follow the page's theme and stay sharp.

Lengths are in the picture's own units; it is shown as wide as the page allows, at most at 1.2 times its size.
"""

from __future__ import annotations

import html
from typing import Literal

Kind = Literal["free", "main", "web", "db", "shared", "hot", "plain"]

# Half transparent fills, which work on light and on dark pages. Kinds differ in their outline, too, not only in colour.
_LOOK: dict[Kind, str] = {
    "free": 'fill="#8aa0b4" fill-opacity="0.12" stroke="currentColor" stroke-opacity="0.45"',
    "main": 'fill="#808890" fill-opacity="0.35" stroke="currentColor" stroke-opacity="0.6"',
    "web": 'fill="#0072b2" fill-opacity="0.40" stroke="#0072b2" stroke-width="2"',
    "db": 'fill="#e69f00" fill-opacity="0.40" stroke="#c58600" stroke-width="2"',
    "shared": 'fill="#009e73" fill-opacity="0.35" stroke="#009e73" stroke-width="2" stroke-dasharray="6 3"',
    "hot": 'fill="#d55e00" fill-opacity="0.30" stroke="#d55e00" stroke-width="2.5"',
    "plain": 'fill="none" stroke="currentColor" stroke-opacity="0.6"',
}


class Drawing:
    """A schematic picture with a text alternative; add to it, then let it be the last line of a cell.

    Args:
        width, height: in units of the picture; text is 13 units high.
        alt: what it shows, in words.
    """

    def __init__(self, width: int, height: int, alt: str) -> None:
        self.width, self.height, self.alt = width, height, alt
        self.parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, text: str = "", kind: Kind = "free") -> Drawing:
        """A box with a text in its middle; a line break in the text begins a new line."""
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" {_LOOK[kind]}/>')
        if text:
            lines = text.count("\n") + 1
            self.text(x + width / 2, y + height / 2 + 4.5 - (lines - 1) * 8, text)
        return self

    def text(
        self, x: float, y: float, text: str, at: Literal["start", "middle", "end"] = "middle", size: float = 13
    ) -> Drawing:
        """Words; `y` is the base line of the first line."""
        for number, line in enumerate(text.split("\n")):
            self.parts.append(
                f'<text x="{x}" y="{y + number * 16}" text-anchor="{at}" font-size="{size}" fill="currentColor">{html.escape(line)}</text>'
            )
        return self

    def arrow(self, x1: float, y1: float, x2: float, y2: float, text: str = "", dashed: bool = False) -> Drawing:
        """An arrow from one point to another, with words beside its middle."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="currentColor" stroke-width="1.5" marker-end="url(#zl-head)"{dash}/>'
        )
        if text:
            self.text((x1 + x2) / 2 + 6, (y1 + y2) / 2 - 5, text, "start", 12)
        return self

    def line(self, x1: float, y1: float, x2: float, y2: float, dashed: bool = False) -> Drawing:
        """A line without a head."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="currentColor" stroke-opacity="0.6" stroke-width="1.5"{dash}/>'
        )
        return self

    def svg(self) -> str:
        head = (
            '<defs><marker id="zl-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs>'
        )
        return (
            f'<svg role="img" aria-label="{html.escape(self.alt, quote=True)}" viewBox="0 0 {self.width} {self.height}" '
            f'style="width: 100%; max-width: {self.width * 1.2:g}px; height: auto; color: var(--jp-content-font-color1, inherit); '
            f'font-family: var(--jp-content-font-family, sans-serif)">{head}{"".join(self.parts)}</svg>'
        )

    def _repr_html_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<drawing: {self.alt}>"
