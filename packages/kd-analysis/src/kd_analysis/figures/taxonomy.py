"""Two quantities against each other: do they say the same of a network? One panel a layer, a dot a method and alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kd_analysis.accuracy.names import method_order, show_alpha, show_method
from kd_analysis.figures.style import PURE_COLOUR, hover, legend_below, method_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Dot:
    """Means over seeds of a method at an alpha, or of plain students."""

    method: str
    alpha: float | None
    x: float
    y: float
    n: int


@dataclass(frozen=True)
class Plane:
    """Two quantities, by layer."""

    xlabel: str
    ylabel: str
    layers: Mapping[str, Sequence[Dot]]


def taxonomy_figure(planes: Sequence[Plane], alphas: Sequence[float | None]) -> Figure:
    """One row of panels a pair of quantities; larger and more opaque dots have more alpha, lines join a method's."""
    columns = max(len(plane.layers) for plane in planes)
    figure, axes = new_figure(len(planes), columns, height=1.9)
    every = {dot.method for plane in planes for dots in plane.layers.values() for dot in dots}
    methods = sorted(every, key=method_order)
    for line, plane in zip(axes, planes, strict=True):
        for ax, (layer, dots) in zip(line, plane.layers.items(), strict=False):
            for method in methods:
                mine = sorted(
                    (d for d in dots if d.method == method), key=lambda d: -1.0 if d.alpha is None else d.alpha
                )
                style = _style(method, methods)
                ax.plot([d.x for d in mine], [d.y for d in mine], color=style["color"], linewidth=0.5, alpha=0.6)
                for dot in mine:
                    place = list(alphas).index(dot.alpha) + 1 if dot.alpha in alphas else len(alphas)
                    size = 2.5 + 2.5 * place / max(len(alphas), 1)
                    (drawn,) = ax.plot([dot.x], [dot.y], linestyle="", markersize=size, alpha=0.85, **style)
                    at = "" if dot.alpha is None else f" {show_alpha(dot.alpha)}"
                    hover(drawn, f"{show_method(method)}{at}: {dot.x:.3f}, {dot.y:.3f}, n={dot.n}")
                ax.plot([], [], linestyle="", markersize=4, label=show_method(method), **style)
            ax.set_title(layer)
            ax.set_xlabel(plane.xlabel, fontsize=7)
            ax.tick_params(labelsize=6)
        line[0].set_ylabel(plane.ylabel, fontsize=7)
        for ax in line[len(plane.layers) :]:
            ax.set_visible(False)
    legend_below(figure, [axes.flat[0]])
    return figure


def _strength(dot: Dot) -> float:
    return -1.0 if dot.alpha is None else dot.alpha


def _style(method: str, methods: Sequence[str]) -> dict[str, str]:
    if method.startswith("pure"):
        return {"color": PURE_COLOUR, "marker": "*"}
    return method_style(method, methods)
