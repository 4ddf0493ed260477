"""Loss terms and their gradients: what pulled at a student, and how hard beside cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.figures.style import (
    PALETTE,
    PURE_COLOUR,
    alpha_style,
    legend_below,
    log_scale,
    new_figure,
)
from kd_hpc.triage.run_directory import CROSS_ENTROPY, Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VALUE, GRADIENT = "value, mean over the epoch", "gradient norm / that of cross-entropy"
GREY = "#9A9A9A"


@dataclass(frozen=True)
class TermCurves:
    """One run's cross-entropy (nats), one distillation term and that term's relative gradient norm, each by epoch."""

    alpha: float | None
    cross_entropy: tuple[float, ...]
    term: tuple[float, ...]
    gradient: tuple[float, ...]


def terms_figure(rows: Mapping[tuple[str, str], Sequence[TermCurves]], alphas: Sequence[float | None]) -> Figure:
    """One row a method and term, a line a run, logarithmic: values beside cross-entropy's, then gradient norms."""
    figure, axes = new_figure(len(rows), 2, height=1.3, sharex=True)
    for line, ((method, term), curves) in zip(axes, rows.items(), strict=True):
        for one in curves:
            style = alpha_style(one.alpha, alphas)
            _draw(
                line[0], one.cross_entropy, color=GREY, linestyle=style["linestyle"], label="cross-entropy, same dashes"
            )
            for ax, values in zip(line, (one.term, one.gradient), strict=True):
                _draw(ax, values, **style, label=f"alpha {show_alpha(one.alpha)}")
        _finish(line)
        name = show_method(method)
        line[0].set_ylabel(name if term == method else f"{name}\n{term}", fontsize=7)
    for ax, title in zip(axes[0], (VALUE, GRADIENT), strict=True):
        ax.set_title(title)
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    legend_below(figure, list(axes.flat))
    return figure


def draw_terms(ax: Axes, other: Axes, curves: Curves) -> None:
    """All terms of one run on `ax`, their relative gradient norms on `other`, logarithmic."""
    names = (CROSS_ENTROPY, *curves.distillation_terms)
    for number, name in enumerate(names):
        style = {"color": PALETTE[number % len(PALETTE)], "label": "cross-entropy" if number == 0 else name}
        _draw(ax, curves.terms.get(name, ()), **style)
        if number:
            _draw(other, curves.relative_gradient(name), **style)
    _finish((ax, other))


def _draw(ax: Axes, values: Sequence[float], **style: Any) -> None:
    """Values by epoch, gaps where a logarithm has none."""
    found = np.asarray(values, dtype=float)
    found = np.where(found > 0, found, np.nan)
    if np.isfinite(found).any():
        ax.plot(np.arange(1, len(found) + 1), found, linewidth=0.8, **style)


def _finish(pair: Sequence[Axes]) -> None:
    """Logarithmic where something was drawn, and a line where the term pulls as hard as cross-entropy."""
    for ax in pair:
        if ax.lines:
            log_scale(ax)
        else:
            ax.set_visible(False)
    pair[1].axhline(1, color=PURE_COLOUR, linewidth=0.7, linestyle=":")
