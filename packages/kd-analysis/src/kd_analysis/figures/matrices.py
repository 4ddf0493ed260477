"""Square pictures: students with students, and independent components of two networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from kd_analysis.accuracy.names import show_method
from kd_analysis.figures.style import hide_unused, label_outer, new_figure, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Matrix = NDArray[np.float64]


def students_figure(layers: Mapping[str, Matrix], names: Sequence[str]) -> Figure:
    """One panel a layer: (K, K) similarities of the networks called `names`, each value printed."""
    figure, axes = new_figure(1, max(len(layers), 1), height=0.7 + 0.26 * len(names), sharey=True)
    shown = [show_method(name) for name in names]
    colours = mpl.colormaps["cividis"]
    for ax, (layer, matrix) in zip(axes.flat, layers.items(), strict=False):
        ax.pcolormesh(np.ma.masked_invalid(matrix), cmap=colours, vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
        for (y, x), value in np.ndenumerate(matrix):
            if math.isfinite(value):
                colour = "black" if value > 0.55 else "white"
                ax.text(x + 0.5, y + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=5, color=colour)
        ax.set_xticks(np.arange(len(names)) + 0.5, shown, rotation=90)
        ax.set_yticks(np.arange(len(names)) + 0.5, shown)
        ax.set_ylim(len(names), 0)
        ax.set_title(layer)
        ax.tick_params(length=0, labelsize=6)
        ax.grid(visible=False)
    _bar(figure, list(axes.flat[: len(layers)]), "linear CKA (debiased)")
    return figure


def components_figure(matrices: Mapping[str, Matrix]) -> Figure:
    """|correlation| of the student's components (down) with the teacher's (across), matched ones on the diagonal."""
    rows, columns = panels(len(matrices), 4)
    figure, axes = new_figure(rows, columns, height=1.75)
    for ax, (name, matrix) in zip(axes.flat, matrices.items(), strict=False):
        ax.pcolormesh(matrix, cmap=mpl.colormaps["cividis"], vmin=0, vmax=1)
        ax.set_ylim(len(matrix), 0)
        ax.set_aspect("equal")
        ax.set_title(name, fontsize=7)
        ax.set_xticks([])
        ax.set_yticks([])
    label_outer(axes, len(matrices), "teacher", "student")
    hide_unused(axes, len(matrices))
    _bar(figure, list(axes.flat[: len(matrices)]), "|correlation|")
    return figure


def _bar(figure: Figure, axes: Sequence[Axes], label: str) -> None:
    scale = mpl.cm.ScalarMappable(Normalize(0, 1), mpl.colormaps["cividis"])
    figure.colorbar(scale, ax=list(axes), label=label, aspect=20, shrink=0.8)
