"""What each class gained or lost: classes down, methods across."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.colors import TwoSlopeNorm

from kd_analysis.accuracy.names import fixed, show_method
from kd_analysis.figures.style import hover, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def classes_figure(cells: Mapping[tuple[str, str], float], names: Sequence[str], methods: Sequence[str]) -> Figure:
    """Differences in points by (class, method); each square shows its own under the pointer."""
    from matplotlib.patches import Rectangle

    figure, axes = new_figure(1, 1, height=0.8 + 0.17 * len(names))
    ax = axes[0, 0]
    limit = max((abs(value) for value in cells.values() if math.isfinite(value)), default=1.0) or 1.0
    norm, colours = TwoSlopeNorm(0.0, -limit, limit), mpl.colormaps["PuOr_r"]
    for y, name in enumerate(names):
        for x, method in enumerate(methods):
            value = cells.get((name, method), math.nan)
            if math.isfinite(value):
                square = ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colours(norm(value)), edgecolor="white"))
                hover(square, f"{name}, {show_method(method)}: {value:+.2f}")
                dark = abs(float(norm(value)) - 0.5) > 0.36
                ax.text(
                    x + 0.5,
                    y + 0.5,
                    fixed(value, 1, signed=True),
                    ha="center",
                    va="center",
                    fontsize=5.5,
                    color="white" if dark else "black",
                )
    ax.set_xlim(0, len(methods))
    ax.set_ylim(len(names), 0)
    ax.set_xticks([x + 0.5 for x in range(len(methods))], [show_method(method) for method in methods])
    ax.set_yticks([y + 0.5 for y in range(len(names))], list(names))
    ax.tick_params(length=0, labelsize=6.5)
    ax.grid(visible=False)
    figure.colorbar(mpl.cm.ScalarMappable(norm, colours), ax=ax, label="difference (points)", aspect=30)
    return figure
