"""Student's t interval of a mean with the standard library alone, for pages written where scipy is not installed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

TIED = 1e-9
"""Values closer than this, relative to the largest or to 1, are equal but for the rounding of their arithmetic."""


def t_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """The interval of the mean of independent normal values; None for fewer than two, and where all agree.

    Accuracies come in steps: equal ones tell of the test set's grain, and width 0 would claim to know the spread.
    """
    n = len(values)
    if n < 2 or max(values) - min(values) <= TIED * max(1.0, *map(abs, values)):
        return None
    mean, half = fmean(values), t_quantile((1 + confidence) / 2, n - 1) * stdev(values) / math.sqrt(n)
    return mean - half, mean + half


def t_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t with `freedom` whole degrees of freedom stays below with `probability` in (0.5, 1)."""
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        if _central(middle, freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _central(angle: float, freedom: int) -> float:
    """P(|t| < sqrt(freedom) tan(angle)): Abramowitz & Stegun 26.7.3 and 26.7.4, finite sums."""
    square = math.cos(angle) ** 2
    if freedom % 2 == 0:
        return math.sin(angle) * _sum(square, freedom // 2, first=1)
    return 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * _sum(square, freedom // 2, first=2))


def _sum(square: float, terms: int, *, first: int) -> float:
    """1 + (a / (a + 1)) s + (a (a + 2) / ((a + 1) (a + 3))) s^2 + ..., with a = `first`."""
    total, term = 0.0, 1.0
    for k in range(terms):
        total += term
        term *= square * (first + 2 * k) / (first + 2 * k + 1)
    return total
