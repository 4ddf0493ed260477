"""Least squares of values on a design with blocks: any number of missing runs, contrasts, pooled residual.

Blocks are fixed factors: two or three of them carry no variance component. What a design with holes cannot tell
apart is not estimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.stats.distributions import f_tail
from kd_analysis.stats.intervals import TIED

Floats = NDArray[np.float64]
UNTOLD = 1e-8


@dataclass(frozen=True, eq=False)
class LinearFit:
    """y = design @ coefficients + error, (N,) values. `sd` is 0 where the residual is nothing but rounding.

    `unscaled` (P, P) times the error's variance is the coefficients' covariance; `hat` (P, N) makes them from values.
    """

    design: Floats
    coefficients: Floats
    unscaled: Floats
    hat: Floats
    residuals: Floats
    sd: float
    degrees: int

    @property
    def n(self) -> int:
        return len(self.residuals)

    @property
    def fitted(self) -> Floats:
        return np.asarray(self.design @ self.coefficients)

    def estimable(self, contrasts: ArrayLike) -> NDArray[np.bool_]:
        """Which of the (K, P) contrasts the design determines."""
        rows = np.atleast_2d(np.asarray(contrasts, dtype=float))
        return np.asarray(np.abs(rows @ self.hat @ self.design - rows).max(axis=1) < UNTOLD)

    def estimates(self, contrasts: ArrayLike) -> Floats:
        """(K,) values of the (K, P) contrasts."""
        return np.asarray(np.atleast_2d(contrasts) @ self.coefficients)

    def covariance(self, contrasts: ArrayLike) -> Floats:
        """(K, K) covariance of the contrasts for an error of variance 1."""
        rows = np.atleast_2d(np.asarray(contrasts, dtype=float))
        return np.asarray(rows @ self.unscaled @ rows.T)

    def errors(self, contrasts: ArrayLike) -> Floats:
        """(K,) standard errors of the contrasts."""
        return np.asarray(self.sd * np.sqrt(np.diag(self.covariance(contrasts))))


def least_squares(values: ArrayLike, design: ArrayLike) -> LinearFit | None:
    """The fit of (N,) values on an (N, P) design of any rank; None where no residual is left to judge it by."""
    y, x = np.asarray(values, dtype=float), np.asarray(design, dtype=float)
    degrees = len(y) - int(np.linalg.matrix_rank(x)) if x.size else 0
    if degrees < 1:
        return None
    unscaled = np.linalg.pinv(x.T @ x, hermitian=True)
    hat = unscaled @ x.T
    coefficients = hat @ y
    residuals = y - x @ coefficients
    sd = math.sqrt(float(residuals @ residuals) / degrees)
    tied = sd <= TIED * max(1.0, float(np.abs(y).max()))
    return LinearFit(x, coefficients, unscaled, hat, residuals, 0.0 if tied else sd, degrees)


def indicators(names: ArrayLike) -> Floats:
    """(N, K) columns that are 1 where (N,) names, 0 to K - 1, say so."""
    numbers = np.asarray(names)
    return np.asarray((numbers[:, None] == np.arange(numbers.max() + 1)).astype(float))


def cells_and_blocks(cells: ArrayLike, blocks: ArrayLike) -> Floats:
    """The design of cell means plus blocks: a column a cell, then one a block but the first."""
    return np.column_stack([indicators(cells), indicators(blocks)[:, 1:]])


def lines_and_blocks(groups: ArrayLike, levels: ArrayLike, blocks: ArrayLike) -> Floats:
    """The design of one straight line a group over `levels`, plus blocks: intercepts, slopes, blocks but the first."""
    each, x = indicators(groups), np.asarray(levels, dtype=float)
    return np.column_stack([each, each * x[:, None], indicators(blocks)[:, 1:]])


@dataclass(frozen=True)
class FTest:
    """Do blocks differ? `p` is NaN where there is only one."""

    statistic: float
    p: float
    numerator: int
    denominator: int


def block_test(values: ArrayLike, cells: Sequence[int], blocks: Sequence[int]) -> FTest | None:
    """The F test of the blocks after the cells; None where nothing is left to test with."""
    whole, without = least_squares(values, cells_and_blocks(cells, blocks)), least_squares(values, indicators(cells))
    if whole is None or without is None or whole.sd == 0:
        return None
    extra = without.degrees - whole.degrees
    if extra < 1:
        return FTest(math.nan, math.nan, 0, whole.degrees)
    gain = float(without.residuals @ without.residuals - whole.residuals @ whole.residuals) / extra
    statistic = max(gain, 0.0) / whole.sd**2
    return FTest(statistic, f_tail(statistic, extra, whole.degrees), extra, whole.degrees)
