"""Pictures of representations: spectra, cross-layer similarity, principal components, accuracy against alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from kd_analysis.accuracy.names import show_method
from kd_analysis.figures.style import (
    MARKERS,
    PALETTE,
    PURE_COLOUR,
    TEACHER_COLOUR,
    hide_unused,
    legend_below,
    method_style,
    new_figure,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = dict[str, dict[str, dict[int, list[float]]]]
"""Values of runs by layer, network and place in a series."""


def series_figure(
    curves: Curves, xlabel: str, ylabel: str, levels: Sequence[float] = (), *, logarithmic: bool = False
) -> Figure:
    """One panel a layer, one line a kind of network: mean over its runs, shaded from the least to the largest."""
    from matplotlib.ticker import FormatStrFormatter

    figure, axes = new_figure(1, max(len(curves), 1), height=2.4, sharey=True)
    names = list(dict.fromkeys(name for by_name in curves.values() for name in by_name))
    for ax, (layer, by_name) in zip(axes.flat, curves.items(), strict=False):
        for name, series in by_name.items():
            places, style = sorted(series), _line(name, names)
            found = [series[place] for place in places]
            means = [sum(each) / len(each) for each in found]
            ax.plot(places, means, label=show_method(name), linewidth=1, **style)
            ax.fill_between(places, list(map(min, found)), list(map(max, found)), color=style["color"], alpha=0.1)
        for level in levels:
            ax.axhline(level, color="#999999", linewidth=0.6, linestyle=":")
        if logarithmic:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(FormatStrFormatter("%d"))
        ax.set_title(layer)
        ax.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    legend_below(figure, list(axes.flat))
    return figure


def _line(name: str, names: Sequence[str]) -> dict[str, str]:
    pure = [other for other in names if other.startswith("pure")]
    if name in pure:
        teacher = len(pure) > 1 and name == pure[0]
        return {"color": TEACHER_COLOUR if teacher else PURE_COLOUR, "linestyle": "--" if teacher else "-"}
    return {"color": method_style(name, names)["color"]}


def cross_layer_figure(matrices: Mapping[str, NDArray[np.float64]], layers: Sequence[str]) -> Figure:
    """Student layers (down) against teacher layers (across), one panel a network, one colour scale from 0 to 1."""
    rows, columns = panels(len(matrices), 6)
    figure, axes = new_figure(rows, columns, height=1.3, sharex=True, sharey=True)
    colours = mpl.colormaps["cividis"]
    names = [layer.removeprefix("layer") for layer in layers]
    for ax, (name, matrix) in zip(axes.flat, matrices.items(), strict=False):
        ax.pcolormesh(np.clip(matrix, 0, 1), cmap=colours, vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
        for (y, x), value in np.ndenumerate(matrix):
            colour = "black" if value > 0.55 else "white"
            ax.text(x + 0.5, y + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=5.5, color=colour)
        ax.set_xticks(np.arange(len(names)) + 0.5, names)
        ax.set_yticks(np.arange(len(names)) + 0.5, names)
        ax.set_ylim(len(names), 0)
        ax.set_title(name, fontsize=6.5)
        ax.tick_params(length=0, labelsize=6)
        ax.grid(visible=False)
        ax.set_aspect("equal")
    hide_unused(axes, len(matrices))
    figure.supxlabel("teacher layer", fontsize=8)
    figure.supylabel("student layer", fontsize=8)
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), colours)
    figure.colorbar(scale, ax=list(axes.flat), label="linear CKA (debiased)", aspect=30, shrink=0.6)
    return figure


def scatter_figure(
    clouds: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]],
    axis_names: tuple[str, str] = ("component 1", "component 2"),
) -> Figure:
    """Two coordinates of each network's items; colour and marker are classes."""
    rows, columns = panels(len(clouds), 4)
    figure, axes = new_figure(rows, columns, height=1.7)
    for ax, (name, (points, labels)) in zip(axes.flat, clouds.items(), strict=False):
        for number, label in enumerate(np.unique(labels)):
            chosen = points[labels == label]
            style = _class_style(number)
            ax.plot(chosen[:, 0], chosen[:, 1], linestyle="", markersize=2, markeredgewidth=0, alpha=0.8, **style)
        ax.set_title(name, fontsize=7)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel(axis_names[0], fontsize=6.5)
        ax.set_ylabel(axis_names[1], fontsize=6.5)
    hide_unused(axes, len(clouds))
    _class_legend(figure, sorted({int(label) for _, labels in clouds.values() for label in np.unique(labels)}))
    return figure


def _class_style(number: int) -> dict[str, Any]:
    return {
        "color": PALETTE[number % len(PALETTE)],
        "marker": MARKERS[(number // len(PALETTE) + number) % len(MARKERS)],
    }


def _class_legend(figure: Figure, labels: Sequence[int]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", markersize=4, label=f"class {label}", **_class_style(number))
        for number, label in enumerate(labels)
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=5)


@dataclass(frozen=True)
class Points:
    """Alignment and accuracy in percent of counted runs by method, of pure runs, and of quarantined ones apart."""

    methods: Mapping[str, Sequence[tuple[float, float]]]
    pure: Sequence[tuple[float, float]]
    flagged: Sequence[tuple[float, float]]


def accuracy_against_alignment_figure(layers: Mapping[str, Points], xlabel: str) -> Figure:
    """One panel a layer; a dot a run. Quarantined runs sit as crosses at the lower edge, with their number."""
    figure, axes = new_figure(1, max(len(layers), 1), height=2.5, sharey=True)
    for ax, (layer, points) in zip(axes.flat, layers.items(), strict=False):
        for method, dots in points.methods.items():
            style = method_style(method, list(points.methods))
            ax.plot(*np.transpose(dots), linestyle="", markersize=3.5, alpha=0.85, label=show_method(method), **style)
        if points.pure:
            ax.plot(
                *np.transpose(points.pure), "*", color=PURE_COLOUR, markersize=6, linestyle="", label="pure student"
            )
        ax.set_title(layer)
        ax.set_xlabel(xlabel)
    counted = [y for points in layers.values() for dots in (*points.methods.values(), points.pure) for _, y in dots]
    for ax, points in zip(axes.flat, layers.values(), strict=False):
        _flagged(ax, points.flagged, counted)
    axes[0, 0].set_ylabel("test accuracy (%)")
    legend_below(figure, list(axes.flat))
    return figure


def _flagged(ax: Axes, flagged: Sequence[tuple[float, float]], counted: Sequence[float]) -> None:
    if not flagged or not counted:
        return
    low, high = min(counted), max(counted)
    edge = low - 0.12 * max(high - low, 0.5)
    heights = [max(y, edge) for _, y in flagged]
    label = "quarantined (not counted, at the edge if far below)"
    ax.plot([x for x, _ in flagged], heights, "x", color="#B04A00", markersize=5, linestyle="", label=label)
