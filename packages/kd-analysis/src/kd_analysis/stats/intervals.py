"""Confidence intervals that hold at two or three seeds: Student's t, its trimmed and its ratio forms, and exact
binomial.

At n = 3 a nominal 95 % interval covers 95 % with t and 58 to 78 % with SEM bars, SD bars or a bootstrap; hence only t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.stats.distributions import beta_quantile, t_quantile, t_tail

NAN = float("nan")
TIED = 1e-9
"""Values closer than this, relative to the largest or to 1, are equal but for the rounding of their arithmetic."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; `low` and `high` are NaN where the values carry none.

    `tied`: there are several values and all agree. That measures the grain of the test set, not the spread of seeds.
    """

    estimate: float
    low: float
    high: float
    n: int
    confidence: float
    method: str
    assumptions: str
    tied: bool = False

    @property
    def exists(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def excludes_zero(self) -> bool:
        return self.exists and (self.low > 0 or self.high < 0)


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """The values as a flat float array. Raises ValueError if one is not finite: gaps are the caller's business."""
    array = np.asarray(values, dtype=float).ravel()
    if not np.isfinite(array).all():
        raise ValueError("values must be finite")
    return array


def all_equal(values: ArrayLike) -> bool:
    """True if there are two values or more and none differs from another by more than rounding."""
    array = finite(values)
    return array.size > 1 and bool(np.ptp(array) <= TIED * max(1.0, float(np.abs(array).max())))


def t_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of (N,) values with Student's t interval (Student 1908); a point without interval for N = 1 or equal values.

    Accuracies come in steps of 100 / N points: equal ones say that the seeds' spread is below what N items can show,
    never that it is zero, and an interval of width 0 would be the narrowest where least is known.
    """
    array = finite(values)
    n, tied = array.size, all_equal(array)
    estimate = float(array.mean()) if n else NAN
    half = half_width(float(array.std(ddof=1)), n, confidence) if n > 1 and not tied else NAN
    return Interval(
        estimate,
        estimate - half,
        estimate + half,
        n,
        confidence,
        "Student t",
        "independent values from one normal distribution",
        tied,
    )


def mean_p(values: ArrayLike) -> float:
    """Two-sided p of Student's t that the mean of (N,) values is zero; NaN for one value and for several that agree."""
    array = finite(values)
    if array.size < 2 or all_equal(array):
        return NAN
    t = float(array.mean()) / (float(array.std(ddof=1)) / math.sqrt(array.size))
    return 2 * t_tail(abs(t), array.size - 1)


def half_width(sd: float, n: int, confidence: float = 0.95) -> float:
    """Half the width of the t interval of a mean: 2.484 SD at n = 3."""
    return t_quantile((1 + confidence) / 2, n - 1) * sd / math.sqrt(n)


def interquartile_mean(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of the middle half with the trimmed-mean t interval (Tukey & McLaughlin 1963), Winsorised SD.

    Interval only where at least 3 values survive trimming (N >= 5) and those differ.
    """
    array = np.sort(finite(values))
    n, cut = array.size, array.size // 4
    kept = n - 2 * cut
    estimate = float(array[cut : n - cut].mean()) if n else NAN
    half, tied = NAN, all_equal(array[cut : n - cut])
    if kept >= 3 and not tied:
        winsorised = np.clip(array, array[cut], array[n - cut - 1])
        error = float(winsorised.std(ddof=1)) / ((1 - 2 * cut / n) * math.sqrt(n))
        half = t_quantile((1 + confidence) / 2, kept - 1) * error
    return Interval(
        estimate,
        estimate - half,
        estimate + half,
        n,
        confidence,
        "25 % trimmed mean, Winsorised t",
        "independent values, symmetric around their centre",
        tied,
    )


def probability_of_improvement(differences: ArrayLike, confidence: float = 0.95) -> Interval:
    """Share of paired differences above zero, ties counting half, with Clopper and Pearson's exact interval (1934)."""
    array = finite(differences)
    n = array.size
    if not n:
        return Interval(NAN, NAN, NAN, 0, confidence, "Clopper-Pearson", "")
    wins = float((array > 0).sum() + (array == 0).sum() / 2)
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, wins, n - wins + 1) if wins > 0 else 0.0
    high = beta_quantile(1 - tail, wins + 1, n - wins) if wins < n else 1.0
    return Interval(
        wins / n, low, high, n, confidence, "Clopper-Pearson", "independent blocks; size of effects ignored"
    )


def ratio_interval(numerator: ArrayLike, denominator: ArrayLike, confidence: float = 0.95) -> Interval:
    """Ratio of the means of paired (N,) values with Fieller's interval (1954).

    No interval where the denominator's own t interval includes zero, for the ratio is then unbounded, nor where the
    values of either side agree.
    """
    top, bottom = finite(numerator), finite(denominator)
    if top.shape != bottom.shape:
        raise ValueError("numerator and denominator must be paired")
    n = top.size
    method, assumptions = "Fieller", "pairs from one bivariate normal distribution"
    tied = all_equal(top) or all_equal(bottom)
    if n < 2 or tied or not t_interval(bottom, confidence).excludes_zero:
        estimate = float(top.mean() / bottom.mean()) if n and bottom.mean() != 0 else NAN
        return Interval(estimate, NAN, NAN, n, confidence, method, assumptions, tied)
    t = t_quantile((1 + confidence) / 2, n - 1)
    (v11, v12), (_, v22) = np.cov(top, bottom) / n
    a = bottom.mean() ** 2 - t**2 * v22
    b = top.mean() * bottom.mean() - t**2 * v12
    c = top.mean() ** 2 - t**2 * v11
    root = math.sqrt(max(b**2 - a * c, 0.0))
    return Interval(
        float(top.mean() / bottom.mean()),
        float((b - root) / a),
        float((b + root) / a),
        n,
        confidence,
        method,
        assumptions,
    )
