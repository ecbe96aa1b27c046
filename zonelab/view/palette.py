"""The colours of the course: one for each container, wherever it is drawn.

Based on Okabe and Ito's set, which people with any of the common colour-blindnesses tell apart, and adjusted for a dark
page. Colour is never the only sign: zones carry their names, and pages in shared zones are hatched.
"""

from __future__ import annotations

from typing import Literal

Theme = Literal["light", "dark"]

PALETTE: dict[Theme, dict[str, str | list[str]]] = {
    "light": {
        "page": "#ffffff",
        "panel": "#f6f7f9",
        "ink": "#1f2430",
        "soft": "#586070",
        "line": "#d4d9e1",
        "free": "#e9edf2",
        "main": "#8f98a8",
        "hot": "#b07d00",
        "good": "#00795a",
        "shared": "#a8447f",
        "accounts": ["#0072b2", "#d55e00", "#009e73", "#7a52b3", "#a67c00", "#3fa7d6", "#8c4a2f", "#c2477f"],
    },
    "dark": {
        "page": "#111418",
        "panel": "#191d23",
        "ink": "#e6e9ee",
        "soft": "#a2acba",
        "line": "#39414e",
        "free": "#272d37",
        "main": "#7d8899",
        "hot": "#f2c230",
        "good": "#2fbf93",
        "shared": "#e295c0",
        "accounts": ["#3d9bdc", "#f0803c", "#2fbf93", "#b195e8", "#d9b23a", "#8ad0f2", "#c98a6b", "#ee8fbd"],
    },
}

NOBODY, ROOT = 0, 1
"""Account ids that are no container's: free pages, and pages of tasks outside of any container."""


def colour(account: int, theme: Theme = "light") -> str:
    """The colour of an account by its id; after the eighth container they come round again."""
    colours = PALETTE[theme]
    if account <= ROOT:
        return str(colours["free" if account == NOBODY else "main"])
    accounts = colours["accounts"]
    return accounts[(account - 2) % len(accounts)]
