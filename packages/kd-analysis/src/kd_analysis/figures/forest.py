"""Effects with their intervals, a row a method: the picture of the declared comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kd_analysis.accuracy.names import method_order, show_alpha, show_method
from kd_analysis.figures.style import MARKERS, PURE_COLOUR, hide_unused, hover, label_outer, new_figure, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORDS: Mapping[str, tuple[str, float]] = {
    "supported": ("#00694D", 1.6),
    "contradicted": ("#B04A00", 1.6),
    "equivalent": ("#0072B2", 1.6),
    "suggestive": ("#555555", 1.1),
    "inconclusive": ("#9A9A9A", 0.9),
}
"""Colour and line width of an interval by its conclusion."""


@dataclass(frozen=True)
class ForestRow:
    """One effect with its interval, NaN where there is none; `mark` tells apart those of one method."""

    method: str
    mark: str
    estimate: float
    low: float
    high: float
    n: int
    conclusion: str


def forest_figure(
    groups: Mapping[str, Sequence[ForestRow]],
    xlabel: str,
    smallest_effect: float,
    mark: str = "alpha",
    *,
    called: Mapping[str, str] | None = None,
) -> Figure:
    """One panel a data set, one row a method, within it one interval a mark; effects too small to matter shaded.

    `called` are other words for conclusions, where the claim is not one of accuracy.
    """
    methods = sorted({row.method for rows in groups.values() for row in rows}, key=method_order)
    marks = list(dict.fromkeys(row.mark for rows in groups.values() for row in rows))
    rows, columns = panels(len(groups), 2)
    height = 0.75 + len(methods) * max(0.17, 0.1 * len(marks)) + 0.6 / rows
    figure, axes = new_figure(rows, columns, height=height, sharey=True, sharex=False)
    for ax, (name, found) in zip(axes.flat, groups.items(), strict=False):
        _panel(ax, found, methods, marks, smallest_effect)
        ax.set_title(name)
    hide_unused(axes, len(groups))
    label_outer(axes, len(groups), xlabel, "")
    _legend(figure, groups, marks, mark, smallest_effect, called or {})
    return figure


def _panel(
    ax: Axes, rows: Sequence[ForestRow], methods: Sequence[str], marks: Sequence[str], smallest_effect: float
) -> None:
    if smallest_effect > 0:
        ax.axvspan(-smallest_effect, smallest_effect, facecolor="#E8EDF2", linewidth=0, zorder=0)
    ax.axvline(0, color=PURE_COLOUR, linewidth=0.8)
    low, high = _limits(rows, smallest_effect)
    ax.set_xlim(low, high)
    for row in rows:
        y = methods.index(row.method) + _shift(marks.index(row.mark), len(marks))
        _interval(ax, row, y, MARKERS[marks.index(row.mark) % len(MARKERS)], low, high)
    ax.set_yticks(range(len(methods)), [show_method(method) for method in methods])
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    for y in range(1, len(methods)):
        ax.axhline(y - 0.5, color="#E3E3E3", linewidth=0.5)


def _shift(place: int, of: int) -> float:
    return (place - (of - 1) / 2) * 0.72 / max(of, 1)


def _interval(ax: Axes, row: ForestRow, y: float, marker: str, low: float, high: float) -> None:
    colour, width = WORDS.get(row.conclusion, WORDS["inconclusive"])
    if math.isfinite(row.low) and math.isfinite(row.high):
        ax.plot([max(row.low, low), min(row.high, high)], [y, y], color=colour, linewidth=width, solid_capstyle="butt")
        for beyond, x, arrow in ((row.low < low, low, 8), (row.high > high, high, 9)):
            if beyond:
                ax.plot([x], [y], marker=arrow, color=colour, markersize=4, clip_on=False)
    (dot,) = ax.plot(
        [min(max(row.estimate, low), high)], [y], marker=marker, color=colour, markersize=3.6, clip_on=False
    )
    interval = f" [{row.low:+.2f}, {row.high:+.2f}]" if math.isfinite(row.low) else ""
    name = f"{show_method(row.method)} {row.mark}".strip()
    hover(dot, f"{name}: {row.estimate:+.2f}{interval}, n={row.n}, {row.conclusion}")


def _limits(rows: Sequence[ForestRow], smallest_effect: float) -> tuple[float, float]:
    """All estimates, and the intervals unless they are more than three times as long as the estimates are far."""
    estimates = np.array([row.estimate for row in rows] or [0.0])
    bounds = np.array([bound for row in rows for bound in (row.low, row.high) if math.isfinite(bound)])
    reach = max(float(np.abs(estimates).max()), 1.2 * smallest_effect, 1e-6)
    low = max(float(bounds.min()), -3 * reach) if bounds.size else -1.3 * reach
    high = min(float(bounds.max()), 3 * reach) if bounds.size else 1.3 * reach
    low, high = min(low, float(estimates.min()), -smallest_effect), max(high, float(estimates.max()), smallest_effect)
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _legend(
    figure: Figure,
    groups: Mapping[str, Sequence[ForestRow]],
    marks: Sequence[str],
    mark: str,
    smallest: float,
    called: Mapping[str, str],
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = {row.conclusion for rows in groups.values() for row in rows}
    handles: list[Line2D | Patch] = [
        Line2D(
            [],
            [],
            color="black",
            linestyle="",
            marker=MARKERS[place % len(MARKERS)],
            markersize=4,
            label=f"{mark} {name}",
        )
        for place, name in enumerate(marks)
        if name
    ]
    handles += [
        Line2D([], [], color=colour, linewidth=width, label=called.get(word, word))
        for word, (colour, width) in WORDS.items()
        if word in present
    ]
    if smallest > 0:
        handles.append(Patch(facecolor="#E8EDF2", label=f"within ±{smallest:g}: of no interest"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)


def alpha_mark(alpha: float | None) -> str:
    return show_alpha(alpha)
