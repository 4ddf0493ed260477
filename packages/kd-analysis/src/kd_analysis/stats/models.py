"""Polynomial contrasts over alpha, and correlations between and within cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.stats.distributions import normal_quantile
from kd_analysis.stats.intervals import NAN, Interval, t_interval


def polynomial_contrasts(levels: ArrayLike) -> NDArray[np.float64]:
    """Coefficients (D, K) of the orthogonal contrasts of degree 1 to min(2, K - 1) at K real, distinct levels.

    Scaled so that the linear contrast of y is its least-squares slope per unit level, the quadratic its curvature.
    """
    x = np.asarray(levels, dtype=float)
    if x.ndim != 1 or len(x) < 2 or len(np.unique(x)) != len(x):
        raise ValueError("contrasts need at least two distinct levels")
    degree = min(2, len(x) - 1)
    basis = np.vander(x - x.mean(), degree + 1, increasing=True)
    return np.asarray(np.linalg.pinv(basis)[1:] if degree == 1 else _orthogonal(basis))


def _orthogonal(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each power minus its projection on the lower ones, as a regression coefficient's weights."""
    rows = []
    for degree in range(1, basis.shape[1]):
        lower, power = basis[:, :degree], basis[:, degree]
        rest = power - lower @ np.linalg.lstsq(lower, power, rcond=None)[0]
        rows.append(rest / (rest @ rest))
    return np.stack(rows)


def contrast_intervals(table: ArrayLike, levels: ArrayLike, confidence: float = 0.95) -> tuple[Interval, ...]:
    """Linear and (K >= 3) quadratic contrast of each row of (blocks, K) values, with t intervals over the blocks."""
    values = np.asarray(table, dtype=float)
    return tuple(t_interval(values @ row, confidence) for row in polynomial_contrasts(levels))


Pairs = Sequence[Sequence[tuple[float, float]]]
"""(x, y) of runs, cell by cell."""


def correlation_between(cells: Pairs) -> Interval:
    """Pearson correlation of the cells' means, with Fisher's z interval: n is the number of cells."""
    means = np.array([np.mean(cell, axis=0) for cell in cells if len(cell)]).reshape(-1, 2)
    return _pearson(means[:, 0], means[:, 1], len(means), "between cells")


def correlation_within(cells: Pairs) -> Interval:
    """Pearson correlation of the runs' deviations from their cells' means; n counts runs, less a degree a cell."""
    parts = [np.asarray(cell) - np.mean(cell, axis=0) for cell in cells if len(cell) > 1]
    rest = np.concatenate(parts) if parts else np.zeros((0, 2))
    return _pearson(rest[:, 0], rest[:, 1], len(rest) - len(parts) + 1, "within cells")


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64], n: int, method: str) -> Interval:
    """`n` values are free; fewer than there are where means were taken off."""
    a, b = x - (x.mean() if len(x) else 0), y - (y.mean() if len(y) else 0)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    r = float(np.clip(a @ b / scale, -1, 1)) if scale > 1e-12 else NAN
    low = high = NAN
    if n > 3 and abs(r) < 1:
        half = normal_quantile(0.975) / math.sqrt(n - 3)
        low, high = (math.tanh(math.atanh(r) + sign * half) for sign in (-1, 1))
    return Interval(r, low, high, n, 0.95, f"Pearson {method}, Fisher z", "independent, bivariate normal")
