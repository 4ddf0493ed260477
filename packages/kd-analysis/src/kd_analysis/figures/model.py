"""Is the model sound, and what would more seeds show? Residuals, and detectable effects over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kd_analysis.figures.style import (
    PALETTE,
    PURE_COLOUR,
    count_in_whole_numbers,
    hide_unused,
    hover,
    legend_below,
    method_style,
    new_figure,
)
from kd_analysis.stats.distributions import normal_quantile

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Residual:
    """One run's residual around its fitted accuracy, both in points."""

    method: str
    fitted: float
    residual: float
    name: str


def residuals_figure(residuals: Sequence[Residual]) -> Figure:
    """Residuals over fitted values, and against normal quantiles."""
    from kd_analysis.accuracy.names import method_order, show_method

    figure, axes = new_figure(1, 2, height=2.3)
    over, against = axes[0]
    methods = sorted({one.method for one in residuals}, key=method_order)
    for method in methods:
        mine = [one for one in residuals if one.method == method]
        style = {"color": PURE_COLOUR, "marker": "*"} if method.startswith("pure") else method_style(method, methods)
        for one in mine:
            (dot,) = over.plot([one.fitted], [one.residual], linestyle="", markersize=3.5, **style)
            hover(dot, f"{one.name}: {one.residual:+.2f} points")
        over.plot([], [], linestyle="", markersize=3.5, label=show_method(method), **style)
    over.axhline(0, color="#999999", linewidth=0.8)
    over.set_xlabel("fitted accuracy (%)")
    over.set_ylabel("residual (points)")
    values = np.sort([one.residual for one in residuals])
    places = np.array([normal_quantile((number + 0.5) / len(values)) for number in range(len(values))])
    against.plot(places, values, ".", color=PALETTE[0], markersize=4)
    against.plot(places, places * values.std(ddof=1), color="#999999", linewidth=0.8)
    against.set_xlabel("normal quantile")
    against.set_ylabel("residual (points)")
    legend_below(figure, [over])
    return figure


def design_figure(curves: Mapping[str, Sequence[tuple[int, float, float]]], smallest_effect: float) -> Figure:
    """Detectable difference of a cell, and detectable slope, over the number of seeds; one line a setting."""
    figure, axes = new_figure(1, 2, height=2.6)
    for number, (name, points) in enumerate(curves.items()):
        colour = PALETTE[number % len(PALETTE)]
        for ax, place in zip(axes[0], (1, 2), strict=True):
            known = [(point[0], point[place]) for point in points if np.isfinite(point[place])]
            if not known:
                continue
            (line,) = ax.plot(*np.transpose(known), marker=".", color=colour, label=name)
            hover(line, f"{name}: " + ", ".join(f"{n} seeds {effect:.2f}" for n, effect in known))
    axes[0, 0].axhline(smallest_effect, color="#999999", linestyle=":", label="smallest effect of interest")
    axes[0, 0].set_ylabel("one cell (points)")
    axes[0, 1].set_ylabel("slope (points per unit)")
    for ax in axes[0]:
        ax.set_xlabel("seeds")
        count_in_whole_numbers(ax.xaxis)
        ax.set_ylim(bottom=0)
    hide_unused(axes, 2 if axes[0, 1].lines else 1)
    legend_below(figure, list(axes.flat), columns=2)
    return figure
