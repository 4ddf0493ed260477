"""Forks and the runs they left, over the epochs."""

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
    keep_data_visible,
    label_outer,
    legend_below,
    new_figure,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Departure:
    """Test accuracy by epoch of a parent and of its fork, which share the first `epoch` values."""

    epoch: int
    parent: tuple[float, ...]
    fork: tuple[float, ...]


def forks_figure(groups: Mapping[str, Sequence[Departure]]) -> Figure:
    """One panel a kind of fork: parents dashed, forks solid from the epoch they left at, which the axis is made for."""
    rows, columns = panels(len(groups))
    figure, axes = new_figure(rows, columns, height=1.9, sharey=True)
    for ax, (name, found) in zip(axes.flat, groups.items(), strict=False):
        for one in found:
            epochs = np.arange(1, len(one.parent) + 1)
            ax.plot(epochs, one.parent, color=PURE_COLOUR, linestyle="--", linewidth=0.8, label="parent")
            after = np.arange(one.epoch, len(one.fork) + 1)
            ax.plot(after, one.fork[one.epoch - 1 :], color=PALETTE[0], linewidth=0.9, label="fork")
        ax.axvline(found[0].epoch, color="#999999", linewidth=0.6, linestyle=":")
        count_in_whole_numbers(ax.xaxis)
        ax.set_title(name, fontsize=6.5)
    every = [one for found in groups.values() for one in found]
    shown = [value for one in every for curve in (one.parent, one.fork) for value in curve[one.epoch - 1 :]]
    keep_data_visible(axes.flat[0], shown, margin=0.1)
    label_outer(axes, len(groups), "epoch", "test accuracy (%)")
    hide_unused(axes, len(groups))
    legend_below(figure, [axes.flat[0]])
    return figure
