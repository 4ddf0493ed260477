"""Method by alpha, many quantities at once: one row of panels a quantity, one column a layer, a colour bar a row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm

from kd_analysis.accuracy.names import fixed, show_alpha, show_method
from kd_analysis.figures.style import hide_unused, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Cells = Mapping[tuple[str, float | None], float]


@dataclass(frozen=True)
class HeatRow:
    """A quantity's means by layer, method and alpha; `diverging` around zero or a plain scale."""

    label: str
    layers: Mapping[str, Cells]
    digits: int = 2
    diverging: bool = False
    options: Mapping[str, object] = field(default_factory=dict)


def heatmaps_figure(rows: Sequence[HeatRow], methods: Sequence[str], alphas: Sequence[float | None]) -> Figure:
    """Values are printed in each square; a missing one is hatched."""
    columns = max(len(row.layers) for row in rows)
    figure, axes = new_figure(len(rows), columns, height=0.5 + 0.19 * len(methods), sharex=True, sharey=True)
    for line, row in zip(axes, rows, strict=True):
        norm, colours = _scale(row)
        for ax, (layer, cells) in zip(line, row.layers.items(), strict=False):
            _panel(ax, cells, methods, alphas, row, norm, colours)
            ax.set_title(layer or "logits")
        for ax in line[len(row.layers) :]:
            ax.set_visible(False)
        scale = mpl.cm.ScalarMappable(norm, mpl.colormaps[colours])
        bar = figure.colorbar(scale, ax=list(line), aspect=14, pad=0.015)
        bar.set_label(row.label, fontsize=6.5)
        bar.ax.tick_params(labelsize=6)
    for ax in axes[-1]:
        ax.set_xlabel("alpha")
    hide_unused(axes, axes.size)
    return figure


def _scale(row: HeatRow) -> tuple[Normalize, str]:
    found = [value for cells in row.layers.values() for value in cells.values() if math.isfinite(value)] or [0.0]
    if row.diverging:
        limit = max(map(abs, found)) or 1.0
        return TwoSlopeNorm(0.0, -limit, limit), "PuOr_r"
    low, high = min(found), max(found)
    return Normalize(low, high if high > low else low + 1.0), "cividis"


def _panel(
    ax: Axes,
    cells: Cells,
    methods: Sequence[str],
    alphas: Sequence[float | None],
    row: HeatRow,
    norm: Normalize,
    colours: str,
) -> None:
    matrix = np.array([[cells.get((method, alpha), math.nan) for alpha in alphas] for method in methods])
    ax.pcolormesh(np.ma.masked_invalid(matrix), norm=norm, cmap=colours, edgecolors="white", linewidth=0.5)
    for (y, x), value in np.ndenumerate(matrix):
        if math.isfinite(value):
            red, green, blue, _ = mpl.colormaps[colours](norm(value))
            light = 0.299 * red + 0.587 * green + 0.114 * blue
            text = fixed(value, row.digits, signed=row.diverging)
            ax.text(
                x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=5, color="black" if light > 0.5 else "white"
            )
        else:
            ax.fill_between([x, x + 1], y, y + 1, facecolor="none", edgecolor="#AAAAAA", hatch="////", linewidth=0)
    ax.set_xticks(np.arange(len(alphas)) + 0.5, [show_alpha(alpha) for alpha in alphas])
    ax.set_yticks(np.arange(len(methods)) + 0.5, [show_method(method) for method in methods])
    ax.set_ylim(len(methods), 0)
    ax.set_xlim(0, len(alphas))
    ax.tick_params(length=0, labelsize=6)
    ax.grid(visible=False)
