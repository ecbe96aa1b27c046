"""The figures of the course, in matplotlib: each says in words what it shows, for whoever cannot see it.

All take plain numbers, so that a figure shows whatever a page has measured; nothing is computed here but the picture.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zonelab.story import History
from zonelab.view.palette import PALETTE, Theme, colour

STYLE = Path(__file__).with_name("zonelab.mplstyle")


class Picture:
    """A figure and its text alternative; shown in a notebook as an image that screen readers can read.

    Attributes:
        figure: the matplotlib figure, to be changed or saved.
        alt: what it shows, in words, with its numbers.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure, self.alt = figure, alt

    def png(self) -> bytes:
        out = io.BytesIO()
        self.figure.savefig(out, format="png", facecolor=self.figure.get_facecolor())
        return out.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        data = base64.b64encode(self.png()).decode()
        image = f'<img alt="{html.escape(self.alt, quote=True)}" src="data:image/png;base64,{data}" style="max-width: 100%">'
        return {"text/html": image, "text/plain": self.alt}

    def __repr__(self) -> str:
        return f"<picture: {self.alt}>"


def _drawn(draw: Callable[[Axes], str], theme: Theme, **size: Any) -> Picture:
    colours = PALETTE[theme]
    ink, soft = str(colours["ink"]), str(colours["soft"])
    look = {
        "figure.facecolor": colours["page"], "axes.facecolor": colours["page"], "text.color": ink, "axes.labelcolor": ink,
        "axes.edgecolor": soft, "xtick.color": soft, "ytick.color": soft, "grid.color": colours["line"],
    }  # fmt: skip
    with matplotlib.style.context([STYLE, look]):
        figure = Figure(**size)
        axes = figure.subplots()
        alt = draw(axes)
    return Picture(figure, alt)


def _listed(pairs: Sequence[tuple[str, Any]]) -> str:
    return "; ".join(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}" for name, value in pairs)


def fragmentation(counts: Mapping[str, Sequence[int]], theme: Theme = "light") -> Picture:
    """Free blocks by order, side by side for several moments or zones: name → count per order, as ``/proc/buddyinfo``."""

    def draw(axes: Axes) -> str:
        orders = np.arange(11)
        width = 0.8 / len(counts)
        for at, (name, row) in enumerate(counts.items()):
            pages = [n << order for order, n in enumerate(row)]
            axes.bar(
                orders + (at - (len(counts) - 1) / 2) * width, pages, width, label=name, color=colour(at + 2, theme)
            )
        axes.set(
            xticks=orders,
            xlabel="order",
            ylabel="free pages in blocks of this order",
            title="Free memory by block size",
        )
        axes.legend()
        return "Free blocks of order 0 to 10. " + _listed(
            [(name, " ".join(map(str, row))) for name, row in counts.items()]
        )

    return _drawn(draw, theme)


def fill(history: History, theme: Theme = "light") -> Picture:
    """How full each zone is, step by step."""

    def draw(axes: Axes) -> str:
        steps = np.arange(1, len(history) + 1)
        names: dict[str, list[float]] = {}
        for number in range(len(history)):
            for zone in history.frame(number).zones:
                name = f"{zone.name}, node {zone.node}" if zone.role == "main" else zone.name
                names.setdefault(name, [float("nan")] * number).append(100 * (1 - zone.free / zone.pages))
            for values in names.values():
                values.extend([float("nan")] * (number + 1 - len(values)))
        for at, (name, values) in enumerate(names.items()):
            main = name.startswith("Normal")
            line = colour(1 if main else at + 1, theme)
            axes.step(steps, values, where="mid", label=name, color=line, linestyle=(0, (4, 2)) if main else "-")
        axes.set(xlabel="step", ylabel="used, % of the zone", ylim=(-3, 103), title="Fill of the zones")
        axes.legend(fontsize=8, ncols=2)
        ends = {name: next((v for v in reversed(values) if v == v), 0.0) for name, values in names.items()}
        return "Fill of each zone at the end, in percent. " + _listed(
            [(name, f"{value:.0f}") for name, value in ends.items()]
        )

    return _drawn(draw, theme)


def beside(
    groups: Sequence[str], values: Mapping[str, Sequence[float]], title: str, unit: str, theme: Theme = "light"
) -> Picture:
    """Bars side by side: for each of the groups one bar of each name, as *Linux* and *zonelab*."""

    def draw(axes: Axes) -> str:
        places = np.arange(len(groups))
        width = 0.8 / len(values)
        hatches = ["", "//", "..", "xx"]
        for at, (name, row) in enumerate(values.items()):
            x = places + (at - (len(values) - 1) / 2) * width
            axes.bar(x, row, width, label=name, color=colour(at + 2, theme), hatch=hatches[at % 4])
        axes.set_xticks(places, list(groups))
        axes.set(title=title, ylabel=unit)
        axes.legend()
        listed = (
            "; ".join(f"{group} {value:,}" for group, value in zip(groups, row, strict=True)) for row in values.values()
        )
        return (
            f"{title}, in {unit}. "
            + ". ".join(f"{name}: {text}" for name, text in zip(values, listed, strict=True))
            + "."
        )

    return _drawn(draw, theme, figsize=(6.4, 3.2))


def interference(
    matrix: Mapping[tuple[str, str], int] | Mapping[str, int], theme: Theme = "light", names: Sequence[str] = ()
) -> Picture:
    """Who lost pages to whom.

    Args:
        matrix: (victim, cause) → pages, as ``machine.interference``, or "victim ← cause" → pages, as a frame has it.
        names: accounts that have a row and a column even if they neither lost nor caused anything.
    """
    lost_to: dict[tuple[str, ...], int] = {
        key if isinstance(key, tuple) else tuple(key.split(" ← ")): pages for key, pages in matrix.items()
    }

    def draw(axes: Axes) -> str:
        known = sorted({name for pair in lost_to for name in pair} | set(names)) or ["nobody"]
        table = np.array([[lost_to.get((victim, cause), 0) for cause in known] for victim in known])
        axes.imshow(
            table, cmap="Oranges" if theme == "light" else "inferno", vmin=0, vmax=max(1, table.max()), aspect="auto"
        )
        axes.grid(False)
        axes.set(xticks=range(len(known)), yticks=range(len(known)), xticklabels=known, yticklabels=known)
        axes.set(xlabel="… because this one needed memory", ylabel="pages lost by …", title="Interference")
        middle = table.max() / 2
        for row, column in np.ndindex(table.shape):
            pages = int(table[row, column])
            dark = (pages > middle) == (theme == "light")
            axes.text(column, row, f"{pages:,}", ha="center", va="center", color="#ffffff" if dark else "#1f2430")
        lost = [(f"{victim} lost to {cause}", int(n)) for (victim, cause), n in sorted(lost_to.items()) if n]
        return "Pages lost to reclaim. " + (_listed(lost) or "Nobody lost any.")

    return _drawn(draw, theme, figsize=(5.2, 3.4))


def charges(bills: Mapping[str, Mapping[str, float]], theme: Theme = "light") -> Picture:
    """Who pays how much under each charging rule: rule → account → pages."""

    def draw(axes: Axes) -> str:
        names = list(dict.fromkeys(name for bill in bills.values() for name in bill))
        left = np.zeros(len(bills))
        for at, name in enumerate(names):
            pages = np.array([float(bill.get(name, 0)) for bill in bills.values()])
            axes.barh(list(bills), pages, left=left, label=name, color=colour(at + 2 if name != "root" else 1, theme))
            left += pages
        axes.invert_yaxis()
        axes.grid(True, axis="x")
        axes.set(xlabel="pages charged", title="Who pays?")
        axes.legend(ncols=4, fontsize=8)
        return "Pages charged. " + "; ".join(
            f"{rule}: " + ", ".join(f"{name} {float(pages):,.0f}" for name, pages in bill.items())
            for rule, bill in bills.items()
        )

    return _drawn(draw, theme)


def break_even(copy_ns: float, near_ns: float, far_ns: float, rounds: int = 60, theme: Theme = "light") -> Picture:
    """Moving against staying, for one page: the copy at once and near access after it, or far access for ever.

    Args:
        copy_ns: to move a page; near_ns, far_ns: to touch it from the new node, before and after.
    """

    def draw(axes: Axes) -> str:
        n = np.arange(rounds + 1)
        axes.plot(n, n * far_ns / 1000, label="stay: every touch is remote", color=colour(3, theme))
        axes.plot(n, (copy_ns + n * near_ns) / 1000, label="move: copy once, then local", color=colour(2, theme))
        axes.set(
            xlabel="touches of the page",
            ylabel="µs in all",
            title="When does a move pay?",
            xlim=(0, rounds),
            ylim=(0, None),
        )
        if far_ns <= near_ns:
            axes.legend()
            return "The other node is no nearer, so a move never pays."
        meet = copy_ns / (far_ns - near_ns)
        if meet <= rounds:
            axes.axvline(meet, color=str(PALETTE[theme]["hot"]), linestyle=":")
            axes.annotate(
                f"{meet:.0f} touches", (meet, 0), (5, 6), textcoords="offset points", color=str(PALETTE[theme]["hot"])
            )
        axes.legend()
        return (
            f"A move of {copy_ns:,.0f} ns a page pays after {meet:.0f} touches, which cost {far_ns:,.0f} ns each before and "
            f"{near_ns:,.0f} ns after it."
        )

    return _drawn(draw, theme)


def lookup_cost(cost: Mapping[str, Mapping[int, float]], unit: str, theme: Theme = "light") -> Picture:
    """From a page to its zone: way of looking → number of zones → cost of one look, in `unit`."""

    def draw(axes: Axes) -> str:
        markers: list[Literal["o", "s", "^", "D"]] = ["o", "s", "^", "D"]
        for at, (name, by_zones) in enumerate(cost.items()):
            axes.plot(
                list(by_zones), list(by_zones.values()), marker=markers[at % 4], label=name, color=colour(at + 2, theme)
            )
        axes.set(
            xscale="log", xlabel="zones on the machine", ylabel=unit, title="From a page to its zone", ylim=(0, None)
        )
        axes.legend()
        return f"Cost of one look in {unit}. " + "; ".join(
            f"{name}: " + ", ".join(f"{value:.3g} with {zones:,} zones" for zones, value in row.items())
            for name, row in cost.items()
        )

    return _drawn(draw, theme)


_HATCHES = ("", "//", "..", "xx", "--")


def reclaim_order(rows: Mapping[str, Sequence[str]], theme: Theme = "light") -> Picture:
    """Whose pages reclaim comes to, and in which order: moment → account of each page, the one that goes first at the beginning."""
    names = sorted({name for row in rows.values() for name in row}, reverse=True)
    told = []

    def draw(axes: Axes) -> str:
        for line, (moment, row) in enumerate(rows.items()):
            at, runs = 0, [(name, len(list(run))) for name, run in itertools.groupby(row)]
            for name, pages in runs:
                look = names.index(name)
                axes.barh(
                    [line], [pages], left=at, height=0.7, color=colour(look + 2, theme), hatch=_HATCHES[look % 5],
                    edgecolor=str(PALETTE[theme]["page"]), linewidth=0,
                )  # fmt: skip
                if pages > 0.05 * max(map(len, rows.values())):
                    axes.text(
                        at + pages / 2, line, f"{name} {pages:,}", ha="center", va="center", fontsize=9,
                        bbox={"facecolor": str(PALETTE[theme]["page"]), "edgecolor": "none", "pad": 1.5},
                    )  # fmt: skip
                at += pages
            told.append(f"{moment}: " + (", then ".join(f"{pages:,} of {name}" for name, pages in runs) or "none"))
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(False)
        axes.set(xlabel="← goes first        pages in the order in which reclaim comes to them        goes last →")
        axes.set(title="Who is next?")
        return "Pages in the order in which reclaim comes to them. " + "; ".join(told)

    return _drawn(draw, theme, figsize=(7.6, 0.55 * len(rows) + 1.1))


def stacked(
    columns: Sequence[Mapping[str, int]], title: str, across: str, upwards: str, theme: Theme = "light"
) -> Picture:
    """One column for each of a row of things, made of parts: part → how many. The first part stands at the bottom."""

    def draw(axes: Axes) -> str:
        names = list(dict.fromkeys(name for column in columns for name in column))
        places = np.arange(1, len(columns) + 1)
        height = np.zeros(len(columns))
        for at, name in enumerate(names):
            part = np.array([column.get(name, 0) for column in columns])
            axes.bar(
                places, part, bottom=height, label=name, width=0.8, linewidth=0, color=colour(at + 2, theme),
                hatch=_HATCHES[at % 5], alpha=1 if at == 0 else 0.45,
            )  # fmt: skip
            height += part
        axes.set(title=title, xlabel=across, ylabel=upwards, ylim=(0, max(1.0, float(height.max(initial=0))) * 1.22))
        axes.legend(ncols=len(names), loc="upper right", fontsize=8)
        return f"{title}. " + "; ".join(
            f"{name}: " + " ".join(str(column.get(name, 0)) for column in columns) for name in names
        )

    return _drawn(draw, theme)
