"""A quantity over alpha, a small panel for each method and layer: nothing lies on anything else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kd_analysis.accuracy.names import method_order, show_alpha, show_method
from kd_analysis.figures.style import (
    PURE_COLOUR,
    TEACHER_COLOUR,
    hover,
    keep_data_visible,
    legend_below,
    mark_cut_intervals,
    method_style,
    new_figure,
)
from kd_analysis.figures.sweeps import Sweep
from kd_analysis.stats.intervals import t_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Level:
    """A value that a layer's panels share: plain students, teachers with each other, what classes alone explain."""

    label: str
    value: float
    kind: str


LEVELS = {"floor": (PURE_COLOUR, "-"), "teachers": (TEACHER_COLOUR, (0, (5, 2))), "null": ("#9A9A9A", ":")}


def facets_figure(
    sweeps: Mapping[str, Mapping[str, Sweep]],
    levels: Mapping[str, Sequence[Level]],
    alphas: Sequence[float | None],
    ylabel: str,
) -> Figure:
    """One row a layer, one column a method: means over seeds with 95 % t intervals, and the layer's levels."""
    methods = sorted({method for by_method in sweeps.values() for method in by_method}, key=method_order)
    figure, axes = new_figure(len(sweeps), len(methods), height=1.25, sharex=True, sharey="row")
    for line, (layer, by_method) in zip(axes, sweeps.items(), strict=True):
        shown = [level.value for level in levels.get(layer, ()) if math.isfinite(level.value)]
        for ax, method in zip(line, methods, strict=True):
            _levels(ax, levels.get(layer, ()))
            shown += _sweep(ax, method, by_method.get(method, {}), alphas, methods)
            ax.set_xticks(range(len(alphas)), [show_alpha(alpha) for alpha in alphas])
            ax.set_xlim(-0.5, len(alphas) - 0.5)
            ax.tick_params(labelsize=6)
            ax.grid(axis="x", visible=False)
        keep_data_visible(line[0], shown, margin=0.15)
        for ax in line:
            mark_cut_intervals(ax)
        line[0].set_ylabel(f"{layer or 'logits'}", fontsize=7)
    for ax, method in zip(axes[0], methods, strict=True):
        ax.set_title(show_method(method))
    figure.supylabel(ylabel, fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel("alpha", fontsize=7)
    legend_below(figure, [axes.flat[0]], columns=3)
    return figure


def _levels(ax: Axes, levels: Sequence[Level]) -> None:
    for level in levels:
        if math.isfinite(level.value):
            colour, dashes = LEVELS[level.kind]
            ax.axhline(level.value, color=colour, linestyle=dashes, linewidth=0.9, label=level.label)


def _sweep(ax: Axes, method: str, sweep: Sweep, alphas: Sequence[float | None], methods: Sequence[str]) -> list[float]:
    style, places, means = method_style(method, methods), [], []
    for place, alpha in enumerate(alphas):
        values = list(sweep.get(alpha, ()))
        if not values:
            continue
        found = t_interval(values)
        places.append(place)
        means.append(found.estimate)
        if found.exists:
            ax.vlines(place, found.low, found.high, color=style["color"], linewidth=1.2)
        (dot,) = ax.plot([place], [found.estimate], markersize=3, linestyle="", **style)
        bounds = f" [{found.low:.3f}, {found.high:.3f}]" if found.exists else ""
        hover(dot, f"{show_method(method)} {show_alpha(alpha)}: {found.estimate:.3f}{bounds}, n={found.n}")
    ax.plot(places, means, color=style["color"], linewidth=0.8)
    return means
