"""Alignment with the teacher over alpha: one panel a layer, one line a method, floor and ceiling as bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.figures.style import (
    PURE_COLOUR,
    band,
    keep_data_visible,
    legend_below,
    mark_cut_intervals,
    method_style,
    new_figure,
)
from kd_analysis.figures.sweeps import Band, Sweep
from kd_analysis.stats.intervals import t_interval


def layers_figure(
    sweeps: Mapping[str, Mapping[str, Sweep]],
    bands: Mapping[str, tuple[Band, Band]],
    alphas: Sequence[float | None],
    ylabel: str,
) -> Figure:
    """One panel a layer."""
    return measures_figure({ylabel: (sweeps, bands)}, alphas, height=2.6)


Row = tuple[Mapping[str, Mapping[str, Sweep]], Mapping[str, tuple[Band, Band]]]


def measures_figure(rows: Mapping[str, Row], alphas: Sequence[float | None], *, height: float = 1.9) -> Figure:
    """One row a quantity (its y label), one panel a layer. Methods stand side by side, so that intervals do not
    overlap."""
    columns = max(len(sweeps) for sweeps, _ in rows.values())
    figure, axes = new_figure(len(rows), columns, height=height)
    for line, (ylabel, (sweeps, bands)) in zip(axes, rows.items(), strict=True):
        _row(line, sweeps, bands, alphas)
        line[0].set_ylabel(ylabel)
    for ax in axes[-1]:
        ax.set_xlabel("alpha")
    legend_below(figure, list(axes.flat), columns=3)
    return figure


def _row(
    axes: Sequence[Axes],
    sweeps: Mapping[str, Mapping[str, Sweep]],
    bands: Mapping[str, tuple[Band, Band]],
    alphas: Sequence[float | None],
) -> None:
    methods = list(dict.fromkeys(method for by_method in sweeps.values() for method in by_method))
    for ax, (layer, by_method) in zip(axes, sweeps.items(), strict=True):
        _bands(ax, bands.get(layer, ()))
        shown = [value for one in bands.get(layer, ()) for value in one.values]
        for place, method in enumerate(methods):
            shift = (place - (len(methods) - 1) / 2) * 0.7 / max(len(methods), 1)
            shown += _method(ax, method, by_method.get(method, {}), alphas, shift, methods)
        if not bands:
            ax.axhline(0, color=PURE_COLOUR, linewidth=0.8)
            shown.append(0.0)
        keep_data_visible(ax, shown, margin=0.15)
        mark_cut_intervals(ax)
        ax.set_title(layer or "logits")
        ax.set_xticks(range(len(alphas)), [show_alpha(alpha) for alpha in alphas])
        ax.set_xlim(-0.5, len(alphas) - 0.5)
        ax.grid(axis="x", visible=False)


def _bands(ax: Axes, bands: Sequence[Band]) -> None:
    for one in bands:
        found = t_interval(one.values)
        label = f"{one.label} (n={found.n})"
        band(ax, (found.estimate, found.low, found.high), label, is_teacher=one.is_teacher)


def _method(
    ax: Axes, method: str, sweep: Sweep, alphas: Sequence[float | None], shift: float, methods: Sequence[str]
) -> list[float]:
    style = method_style(method, methods)
    places, means = [], []
    for place, alpha in enumerate(alphas):
        values = list(sweep.get(alpha, ()))
        if values:
            found = t_interval(values)
            places.append(place + shift)
            means.append(found.estimate)
            if found.exists:
                ax.vlines(place + shift, found.low, found.high, color=style["color"], linewidth=1)
    counts = {len(values) for values in sweep.values()}
    n = f"n={min(counts)}" if len(counts) == 1 else f"n={min(counts)} to {max(counts)}" if counts else "n=0"
    ax.plot(places, means, **style, linewidth=0.8, label=f"{show_method(method)} ({n})")
    return means
