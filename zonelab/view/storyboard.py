"""A story as a still picture: one panel a step, for printed pages and for places without a kernel."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from zonelab.machine import BLOCK
from zonelab.story import History
from zonelab.story.history import ZoneView
from zonelab.view.palette import PALETTE, Theme, colour

ACROSS = 3
"""Panels beside each other."""
LINES, COLUMNS = 5, 62
"""Room for the sentence under a panel; what is longer ends with … and is whole in ``History.text``."""


def storyboard(history: History, theme: Theme = "light", steps: list[int] | None = None) -> Figure:
    """All steps of a story, or those with the given numbers (from 0), as one figure."""
    numbers = list(range(len(history))) if steps is None else steps
    colours = PALETTE[theme]
    down = math.ceil(len(numbers) / ACROSS)
    figure = Figure(figsize=(12, 0.6 + 2.05 * down), facecolor=str(colours["page"]), layout="constrained")
    figure.suptitle(history.title, color=str(colours["ink"]), fontsize=13, x=0.01, ha="left", weight="bold")
    axes = figure.subplots(down, ACROSS, squeeze=False)
    for at, panel in enumerate(axes.flat):
        panel.axis("off")
        if at < len(numbers):
            _panel(panel, history, numbers[at], theme)
    return figure


def _panel(panel: Axes, history: History, number: int, theme: Theme) -> None:
    machine = history.machine
    assert machine is not None
    frame, blocks = history.frame(number), history.blocks(number)
    colours = PALETTE[theme]
    most = max(node.pages // BLOCK for node in machine.nodes)
    columns = max(
        4, 1 << math.ceil(math.log2(max(1.0, math.sqrt(1.6 * most * len(machine.nodes)) / len(machine.nodes))))
    )
    rows = math.ceil(most / columns)
    gap = max(1.0, columns / 8)
    for i, node in enumerate(machine.nodes):
        first, count = node.start_pfn // BLOCK, node.pages // BLOCK
        left = i * (columns + gap)
        image = _image(blocks[first : first + count], columns, rows, theme)
        panel.imshow(image, extent=(left, left + columns, rows, 0), interpolation="nearest", aspect="equal")
        for zone in frame.zones:
            if zone.node == node.id and zone.role != "main":
                _outline(
                    panel, blocks[first : first + count]["zone"] == zone.id, columns, left, zone, frame.accounts, theme
                )
        panel.text(left, -0.04 * rows, f"node {node.id}", color=str(colours["soft"]), fontsize=7.5, va="bottom")
    if rows <= 64:
        for x in (i * (columns + gap) + k for i in range(len(machine.nodes)) for k in range(columns + 1)):
            panel.plot([x, x], [0, rows], color=str(colours["page"]), linewidth=24 / columns / 2, zorder=1.5)
        panel.hlines(range(rows + 1), 0, panel.get_xlim()[1], color=str(colours["page"]), linewidth=1, zorder=1.5)
    panel.set_xlim(-0.5, len(machine.nodes) * (columns + gap))
    panel.set_ylim(rows + 0.2, -0.12 * rows - 0.2)
    words = textwrap.shorten(f"{number + 1}. {frame.text}", LINES * COLUMNS - 20, placeholder=" …")
    lines = "\n".join(textwrap.wrap(words, COLUMNS))
    mark = str(colours["hot"] if frame.problem else colours["ink"])
    panel.text(
        0.0, -0.03, lines, transform=panel.transAxes, va="top", fontsize=8, color=mark, linespacing=1.35, clip_on=False
    )


def _image(blocks: npt.NDArray[np.void], columns: int, rows: int, theme: Theme) -> npt.NDArray[np.float64]:
    """RGB of a node's blocks, in rows: free is light, a full block has its owner's colour."""
    image = np.full((rows * columns, 3), to_rgb(str(PALETTE[theme]["page"])))
    free = np.array(to_rgb(colour(0, theme)))
    accounts = np.array([to_rgb(colour(a, theme)) for a in range(int(blocks["owner"].max(initial=0)) + 1)])
    share = np.where(blocks["used"] > 0, 0.35 + 0.65 * blocks["used"] / BLOCK, 0.0)[:, None]
    image[: len(blocks)] = free + (accounts[blocks["owner"]] - free) * share
    return image.reshape(rows, columns, 3)


def _outline(
    panel: Axes,
    mine: npt.NDArray[np.bool_],
    columns: int,
    left: float,
    zone: ZoneView,
    accounts: tuple[str, ...],
    theme: Theme,
) -> None:
    """A frame around each row of a zone's blocks, and its name at the first; zones that are shared are hatched."""
    shared = zone.role in ("shared", "mount")
    edge = colour(accounts.index(zone.owner), theme) if zone.owner in accounts else str(PALETTE[theme]["shared"])
    named = False
    for row in range(math.ceil(len(mine) / columns)):
        part = np.flatnonzero(mine[row * columns : (row + 1) * columns])
        for run in np.split(part, np.flatnonzero(np.diff(part) > 1) + 1):
            if len(run):
                x, width = left + int(run[0]), len(run)
                hatch = "////" if shared else None
                panel.add_patch(
                    Rectangle((x, row), width, 1, fill=False, edgecolor=edge, linewidth=1.2, hatch=hatch, zorder=3)
                )
                if not named and columns <= 32:
                    panel.text(
                        x + 0.1,
                        row + 0.5,
                        zone.name,
                        color=str(PALETTE[theme]["ink"]),
                        fontsize=5.5,
                        va="center",
                        zorder=4,
                    )
                named = True
