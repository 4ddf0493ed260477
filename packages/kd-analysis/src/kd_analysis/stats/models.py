"""Linear models: polynomial contrasts over alpha, fixed-block OLS, and correlation with a covariate removed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from kd_analysis.stats.intervals import NAN, TIED, Interval, t_interval


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


@dataclass(frozen=True)
class BlockModel:
    """OLS of values on cell and block as fixed factors: each cell against the reference, pooled residual."""

    effects: tuple[Interval, ...]
    residual_sd: float
    degrees: int
    n: int


def block_model(values: ArrayLike, cells: ArrayLike, blocks: ArrayLike, confidence: float = 0.95) -> BlockModel | None:
    """Effects of cells 1..C against cell 0 from (N,) values with (N,) cell and block numbers; None without residual.

    Fixed blocks instead of random ones: three groups carry no variance component. A residual of 0 (every difference
    between cells the same in all blocks) gives effects without intervals.
    """
    from statsmodels.regression.linear_model import OLS  # brings pandas, which `import kd_analysis.stats` must not

    y, cell, block = np.asarray(values, dtype=float), np.asarray(cells), np.asarray(blocks)
    names, effects = np.unique(cell)[1:], np.unique(block)[1:]
    design = np.column_stack([np.ones_like(y), *(cell == name for name in names), *(block == name for name in effects)])
    degrees = len(y) - int(np.linalg.matrix_rank(design))
    if degrees < 1 or not len(names):
        return None
    fit = OLS(y, design).fit()
    residual = math.sqrt(fit.mse_resid)
    tied = residual <= TIED * max(1.0, float(np.abs(y).max()))
    bounds = np.full((len(fit.params), 2), NAN) if tied else fit.conf_int(1 - confidence)
    assumptions = "additive cells and blocks; independent normal residuals of one variance in all cells"
    counts = [int((cell == name).sum()) for name in names]
    intervals = tuple(
        Interval(float(estimate), float(low), float(high), n, confidence, "OLS", assumptions, tied)
        for n, estimate, (low, high) in zip(counts, fit.params[1:], bounds[1:], strict=False)
    )
    return BlockModel(intervals, 0.0 if tied else residual, degrees, len(y))


def partial_correlation(x: ArrayLike, y: ArrayLike, covariates: ArrayLike, confidence: float = 0.95) -> Interval:
    """Pearson correlation of (N,) x and y after regressing both on (N, P) covariates, with Fisher's z interval."""
    design = np.column_stack([np.ones(len(np.asarray(x))), np.asarray(covariates, dtype=float)])
    rank = int(np.linalg.matrix_rank(design))
    rest = [_residual(np.asarray(values, dtype=float), design) for values in (x, y)]
    scale = math.sqrt(float(rest[0] @ rest[0]) * float(rest[1] @ rest[1]))
    n = len(design)
    correlation = float(np.clip(rest[0] @ rest[1] / scale, -1, 1)) if scale > 1e-12 else NAN
    free = n - (rank - 1) - 3
    low = high = NAN
    if free > 0 and abs(correlation) < 1:
        half = float(stats.norm.ppf((1 + confidence) / 2)) / math.sqrt(free)
        low, high = (math.tanh(math.atanh(correlation) + sign * half) for sign in (-1, 1))
    return Interval(correlation, low, high, n, confidence, "partial Pearson, Fisher z", "independent, bivariate normal")


def _residual(values: NDArray[np.float64], design: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])
