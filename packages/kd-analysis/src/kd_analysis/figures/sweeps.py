"""A quantity over alpha: one panel a method, seeds as dots, mean with t interval, reference bands across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.figures.style import (
    band,
    count_label,
    hide_unused,
    keep_data_visible,
    label_outer,
    legend_below,
    mark_cut_intervals,
    method_style,
    new_figure,
    panels,
)
from kd_analysis.stats.intervals import t_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Band:
    """A reference drawn across all alphas: its values by seed."""

    label: str
    values: tuple[float, ...]
    is_teacher: bool = False


Sweep = Mapping[float | None, Sequence[float]]
"""Values by alpha, one a seed."""


def sweep_figure(
    sweeps: Mapping[str, Sweep], bands: Sequence[Band], alphas: Sequence[float | None], ylabel: str
) -> Figure:
    """One panel a method, all on one scale. Alphas without a value are hatched and say n=0."""
    rows, columns = panels(len(sweeps))
    figure, axes = new_figure(rows, columns, height=2.1, sharey=True)
    for ax, (method, sweep) in zip(axes.flat, sweeps.items(), strict=False):
        _panel(ax, sweep, bands, alphas, method_style(method, list(sweeps)))
        ax.set_title(show_method(method), pad=9)
    shown = [v for sweep in sweeps.values() for values in sweep.values() for v in values]
    keep_data_visible(axes.flat[0], shown + [v for one in bands for v in one.values])
    for ax in axes.flat[: len(sweeps)]:
        mark_cut_intervals(ax)
    hide_unused(axes, len(sweeps))
    label_outer(axes, len(sweeps), "alpha", ylabel)
    legend_below(figure, [axes.flat[0]], columns=2)
    return figure


def _panel(
    ax: Axes, sweep: Sweep, bands: Sequence[Band], alphas: Sequence[float | None], style: Mapping[str, Any]
) -> None:
    for one in bands:
        found = t_interval(one.values)
        label = f"{one.label}, {count_label(found.n, tied=found.tied)}" if found.n else f"{one.label}: none"
        band(ax, (found.estimate, found.low, found.high), label, is_teacher=one.is_teacher)
    places, means, labels = [], [], []
    for place, alpha in enumerate(alphas):
        values = list(sweep.get(alpha, ()))
        found = t_interval(values)
        labels.append(f"{show_alpha(alpha)}\n{count_label(found.n, tied=found.tied)}")
        if not values:
            ax.axvspan(place - 0.35, place + 0.35, facecolor="none", edgecolor="#999999", hatch="////", linewidth=0)
            continue
        places.append(place)
        means.append(found.estimate)
        if len(values) > 1:
            ax.plot([place + 0.12] * len(values), values, ".", color=style["color"], alpha=0.6, markersize=4)
        if found.exists:
            ax.vlines(place, found.low, found.high, color=style["color"], linewidth=1.4)
    ax.plot(places, means, **style, linewidth=1)
    ax.set_xticks(range(len(alphas)), labels)
    ax.set_xlim(-0.5, len(alphas) - 0.5)
    ax.grid(axis="x", visible=False)
