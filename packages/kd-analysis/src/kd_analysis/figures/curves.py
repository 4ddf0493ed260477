"""Training curves: how runs got where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.figures.style import (
    PALETTE,
    alpha_style,
    count_in_whole_numbers,
    hide_unused,
    label_outer,
    legend_below,
    new_figure,
    panels,
)
from kd_analysis.figures.terms import draw_terms
from kd_hpc.triage.run_directory import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "test_acc": "test accuracy (%)",
    "train_acc": "training accuracy (%)",
    "test_loss": "test loss (nats)",
    "train_loss": "training loss",
}


@dataclass(frozen=True)
class Line:
    """One run's curve from its first recorded epoch on; `alpha` means nothing where there is no distillation."""

    first_epoch: int
    values: tuple[float, ...]
    alpha: float | None
    distilled: bool


def curves_figure(groups: Mapping[str, Sequence[Line]], alphas: Sequence[float | None], curve: str) -> Figure:
    """One panel a method, a line a run; colour and line style say alpha.

    Training losses of different methods are sums of different terms: each panel has a scale of its own.
    """
    rows, columns = panels(len(groups))
    figure, axes = new_figure(rows, columns, height=1.8, sharex=True, sharey=curve != "train_loss")
    for ax, (name, lines) in zip(axes.flat, groups.items(), strict=False):
        for line in lines:
            _draw(ax, line, alphas)
        count_in_whole_numbers(ax.xaxis)
        ax.set_title(f"{show_method(name)} ({len(lines)} run{'s' if len(lines) > 1 else ''})")
    label_outer(axes, len(groups), "epoch", LABELS[curve])
    hide_unused(axes, len(groups))
    legend_below(figure, list(axes.flat[: len(groups)]))
    return figure


def _draw(ax: Axes, line: Line, alphas: Sequence[float | None]) -> None:
    epochs = line.first_epoch + np.arange(1, len(line.values) + 1)
    if not line.distilled:
        ax.plot(epochs, line.values, color="#555555", linewidth=0.8, label="no distillation")
    else:
        label = f"alpha {show_alpha(line.alpha)}"
        ax.plot(epochs, line.values, linewidth=0.8, label=label, **alpha_style(line.alpha, alphas))


def run_figure(curves: Curves, first_epoch: int, title: str) -> Figure:
    """One run: accuracy and loss, training and test, over the epochs; of a student also what pulled at it."""
    figure, axes = new_figure(2 if curves.distillation_terms else 1, 2, height=2.4)
    figure.suptitle(title, fontsize=7)
    if curves.distillation_terms:
        _terms(axes[1], curves)
    for ax, kind, ylabel in zip(axes[0], ("acc", "loss"), ("accuracy (%)", "loss"), strict=True):
        for split, colour, dashes in (("train", PALETTE[0], "--"), ("test", PALETTE[1], "-")):
            values = np.asarray(getattr(curves, f"{split}_{kind}"), dtype=float)
            epochs = first_epoch + np.arange(1, len(values) + 1)
            ax.plot(epochs, values, color=colour, linestyle=dashes, label="training" if split == "train" else "test")
        ax.set_xlabel("epoch")
        ax.set_ylabel(ylabel)
        ax.legend()
    return figure


def _terms(pair: Sequence[Axes], curves: Curves) -> None:
    draw_terms(pair[0], pair[1], curves)
    for ax, ylabel in zip(pair, ("loss terms, unweighted", "gradient norm / cross-entropy's"), strict=True):
        ax.set_xlabel("epoch")
        ax.set_ylabel(ylabel)
        ax.legend()
