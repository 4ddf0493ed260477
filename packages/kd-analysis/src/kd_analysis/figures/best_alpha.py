"""The best alpha of each method as bars: what it gains on seeds that did not choose it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kd_analysis.accuracy.names import method_order, show_method
from kd_analysis.figures.style import (
    PURE_COLOUR,
    hide_unused,
    hover,
    label_outer,
    legend_below,
    method_style,
    new_figure,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Bar:
    """Differences to the reference in points: on held-out seeds, and as the naive maximum."""

    method: str
    alpha: str
    held_out: float
    naive: float
    n: int


def best_alpha_figure(groups: Mapping[str, Sequence[Bar]]) -> Figure:
    """One panel a data set, one bar a method."""
    methods = sorted({bar.method for bars in groups.values() for bar in bars}, key=method_order)
    rows, columns = panels(len(groups), 2)
    figure, axes = new_figure(rows, columns, height=0.6 + 0.24 * len(methods), sharey=True)
    for ax, (name, bars) in zip(axes.flat, groups.items(), strict=False):
        for bar in bars:
            y, colour = methods.index(bar.method), method_style(bar.method, methods)["color"]
            (drawn,) = ax.barh([y], [bar.held_out], height=0.6, color=colour, alpha=0.85)
            hover(drawn, f"{show_method(bar.method)}, alpha {bar.alpha}: {bar.held_out:+.2f}, naive {bar.naive:+.2f}")
            ax.text(1.01, y, bar.alpha, transform=ax.get_yaxis_transform(), va="center", fontsize=6.5)
            ax.plot([bar.naive], [y], "x", color="black", markersize=4, label="naive maximum")
        ax.axvline(0, color=PURE_COLOUR, linewidth=0.8)
        ax.text(1.01, -0.75, "alpha", transform=ax.get_yaxis_transform(), va="center", fontsize=6.5, color="#555555")
        ax.set_yticks(range(len(methods)), [show_method(method) for method in methods])
        ax.set_ylim(len(methods) - 0.5, -0.5)
        ax.set_title(name)
        ax.margins(x=0.12)
        ax.grid(axis="y", visible=False)
    hide_unused(axes, len(groups))
    label_outer(axes, len(groups), "difference (points)", "")
    legend_below(figure, [axes.flat[0]])
    return figure
