"""The whole campaign at a glance: progress grid, accuracy overview, and method x alpha heatmaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import TwoSlopeNorm

from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.figures.style import count_label, hide_unused, new_figure, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATES: Mapping[str, tuple[str, str, str]] = {
    "ok": ("#009E73", "✓", "finished"),
    "noted": ("#7FC8B0", "✓", "finished, with a remark"),
    "unfinished": ("#E6C200", "…", "not finished"),
    "failed": ("#D55E00", "✗", "failed"),
    "flagged": ("#CC79A7", "!", "quarantined"),
    "missing": ("none", "", "no folder yet"),
}


@dataclass(frozen=True)
class ProgressGrid:
    """Verdicts by (row, column), row and column in the order given; what is not in `verdicts` is not planned."""

    rows: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    verdicts: Mapping[tuple[str, tuple[str, str]], str]


def progress_figure(grid: ProgressGrid) -> Figure:
    """One square a run: rows are methods and alphas, columns seeds within data sets."""
    figure, axes = new_figure(1, 1, height=max(1.6, 0.19 * len(grid.rows) + 1.1))
    ax = axes[0, 0]
    for y, row in enumerate(grid.rows):
        for x, column in enumerate(grid.columns):
            if (verdict := grid.verdicts.get((row, column))) is not None:
                _square(ax, x, y, verdict)
    datasets = list(dict.fromkeys(dataset for dataset, _ in grid.columns))
    ax.set_xlim(-0.6, len(grid.columns) - 0.4)
    ax.set_ylim(len(grid.rows) - 0.4, -0.6)
    ax.set_yticks(range(len(grid.rows)), list(grid.rows))
    ax.set_xticks(range(len(grid.columns)), [seed for _, seed in grid.columns])
    ax.set_xlabel("seed")
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for name in datasets:
        places = [x for x, (dataset, _) in enumerate(grid.columns) if dataset == name]
        narrow = len(places) < 2
        ax.text(
            float(np.mean(places)), -0.7, name, ha="left" if narrow else "center", va="bottom", rotation=20 * narrow
        )
        if places[0]:
            ax.axvline(places[0] - 0.5, color="#888888", linewidth=0.6)
    _legend(figure, set(grid.verdicts.values()))
    return figure


def _square(ax: Axes, x: int, y: int, verdict: str) -> None:
    from matplotlib.patches import Rectangle

    colour, sign, _ = STATES[verdict]
    hatched = verdict == "missing"
    edge = "#AAAAAA" if hatched else "white"
    ax.add_patch(
        Rectangle(
            (x - 0.46, y - 0.46),
            0.92,
            0.92,
            facecolor=colour,
            edgecolor=edge,
            hatch="////" if hatched else None,
            linewidth=0.3,
        )
    )
    ax.text(x, y, sign, ha="center", va="center", fontsize=6, color="black")


def _legend(figure: Figure, present: set[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=colour,
            edgecolor="#AAAAAA",
            hatch="////" if name == "missing" else None,
            label=f"{sign} {words}".strip(),
        )
        for name, (colour, sign, words) in STATES.items()
        if name in present
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=3)


@dataclass(frozen=True)
class OverviewRow:
    """Accuracies in percent of one row of the overview: counted runs, and quarantined ones apart."""

    label: str
    values: tuple[float, ...]
    flagged: tuple[float, ...] = ()


def accuracy_overview_figure(groups: Mapping[str, Sequence[OverviewRow]]) -> Figure:
    """One panel a data set, one row a cell, one dot a run; quarantined runs as crosses at the panel's edge if far
    off."""
    rows, columns = panels(len(groups), 2)
    tallest = max((len(group) for group in groups.values()), default=1)
    figure, axes = new_figure(rows, columns, height=max(1.4, 0.15 * tallest + 0.7))
    for ax, (name, group) in zip(axes.flat, groups.items(), strict=False):
        _overview_panel(ax, name, group)
    hide_unused(axes, len(groups))
    return figure


def _overview_panel(ax: Axes, name: str, group: Sequence[OverviewRow]) -> None:
    counted = [value for row in group for value in row.values]
    low, high = (min(counted), max(counted)) if counted else (0.0, 100.0)
    span = max(high - low, 1.0)
    left, right = low - 0.12 * span, high + 0.08 * span
    for y, row in enumerate(group):
        ax.plot(row.values, [y] * len(row.values), "o", color="#0072B2", markersize=3, alpha=0.8)
        if row.values:
            ax.plot([sum(row.values) / len(row.values)], [y], "|", color="black", markersize=7)
        if row.flagged:
            places = [min(max(value, left), right) if math.isfinite(value) else left for value in row.flagged]
            ax.plot(places, [y] * len(places), "x", color="#D55E00", markersize=4, clip_on=False)
            values = ", ".join(f"{value:.1f}" for value in row.flagged)
            ax.annotate(f"   {values} %, quarantined", (max(places), y), fontsize=6, va="center", color="#B04A00")
    labels = [f"{row.label} (n={len(row.values)})" for row in group]
    ax.set_yticks(range(len(group)), labels)
    ax.set_ylim(len(group) - 0.5, -0.5)
    ax.set_xlim(left, right)
    ax.set_title(name)
    ax.set_xlabel("test accuracy, last epoch (%)")


@dataclass(frozen=True)
class HeatCell:
    """A mean and the number of seeds behind it; `tied` where all of them agree."""

    value: float
    n: int
    tied: bool = False


Heat = Mapping[tuple[str, float | None], HeatCell]


def heatmap_figure(
    groups: Mapping[str, Heat], methods: Sequence[str], alphas: Sequence[float | None], label: str
) -> Figure:
    """Method x alpha, one panel a setting, one colour scale; each square prints its mean and n, empty ones are
    hatched."""
    rows, columns = panels(len(groups), 2)
    figure, axes = new_figure(rows, columns, height=0.34 * len(methods) + 0.9, sharey=True)
    found = [abs(cell.value) for heat in groups.values() for cell in heat.values() if math.isfinite(cell.value)]
    limit = max(found, default=1.0) or 1.0
    norm = TwoSlopeNorm(0.0, -limit, limit)
    for ax, (name, heat) in zip(axes.flat, groups.items(), strict=False):
        for y, method in enumerate(methods):
            for x, alpha in enumerate(alphas):
                cell = heat.get((method, alpha), HeatCell(math.nan, 0))
                _heat_square(ax, x, y, cell, norm, "  " if len(alphas) < 4 else "\n")
        ax.set_xticks(range(len(alphas)), [show_alpha(alpha) for alpha in alphas])
        ax.set_yticks(range(len(methods)), [show_method(method) for method in methods])
        ax.set_xlim(-0.5, len(alphas) - 0.5)
        ax.set_ylim(len(methods) - 0.5, -0.5)
        ax.set_title(name)
        ax.set_xlabel("alpha")
        ax.grid(visible=False)
        ax.tick_params(length=0)
    hide_unused(axes, len(groups))
    scale = mpl.cm.ScalarMappable(norm, mpl.colormaps["PuOr_r"])
    figure.colorbar(scale, ax=list(axes.flat[: len(groups)]), label=label, shrink=0.8, aspect=25)
    return figure


def _heat_square(ax: Axes, x: int, y: int, cell: HeatCell, norm: TwoSlopeNorm, gap: str) -> None:
    from matplotlib.patches import Rectangle

    known = math.isfinite(cell.value)
    colour = mpl.colormaps["PuOr_r"](norm(cell.value)) if known else "none"
    square = Rectangle(
        (x - 0.5, y - 0.5),
        1,
        1,
        facecolor=colour,
        edgecolor="white" if known else "#AAAAAA",
        hatch=None if known else "////",
    )
    ax.add_patch(square)
    dark = known and abs(float(norm(cell.value)) - 0.5) > 0.36
    n = count_label(cell.n, tied=cell.tied)
    text = f"{cell.value:+.2f}{gap}{n}" if known else n
    box = None if known else {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    ax.text(x, y, text, ha="center", va="center", fontsize=6, color="white" if dark else "black", bbox=box)
