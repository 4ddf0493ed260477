"""Tests by complete enumeration, and Holm's adjustment: valid at any n, and honest about how little n can show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from kd_analysis.stats.intervals import finite

MOST_BLOCKS = 24
TOLERANCE = 1e-9


@dataclass(frozen=True)
class TestResult:
    """A p value with the smallest one this design could have given."""

    statistic: float
    p: float
    p_min: float
    n: int
    method: str
    assumptions: str


def sign_flip(differences: ArrayLike) -> TestResult:
    """Exact two-sided test that (N,) block differences are symmetric around zero: all 2^N signs of their mean.

    Smallest p: 2 / 2^N, 4.9e-4 for 12 blocks (Fisher 1935). Raises ValueError beyond 24 blocks.
    """
    array = finite(differences)
    n = array.size
    if n > MOST_BLOCKS:
        raise ValueError(f"{n} blocks are too many to enumerate")
    sums = np.zeros(1)
    for value in array:
        sums = np.concatenate([sums + value, sums - value])
    observed = abs(array.sum())
    p = float((np.abs(sums) >= observed - TOLERANCE * max(1.0, observed)).mean())
    statistic = float(array.mean()) if n else math.nan
    assumptions = "independent blocks whose differences are symmetric around zero under the null"
    return TestResult(statistic, p, min(1.0, 2.0 ** (1 - n)), n, "exact sign-flip, two-sided", assumptions)


def page_trend(table: ArrayLike) -> TestResult:
    """Page's L for a rise along the columns of (blocks, K) values, one-sided, exact also with ties (Page 1963).

    The null distribution enumerates every permutation of each block's own midranks, block by block. K from 2 to 7.
    """
    values = np.asarray(table, dtype=float)
    if values.ndim != 2 or not 2 <= values.shape[1] <= 7 or not len(values) or not np.isfinite(values).all():
        raise ValueError("Page's test needs finite (blocks, 2 to 7) values")
    ranks = stats.rankdata(values, axis=1)
    weights = np.arange(1, values.shape[1] + 1)
    observed = float((ranks @ weights).sum())
    null: dict[int, float] = {0: 1.0}
    for row in ranks:
        null = _convolved(null, _block(tuple(row)))
    p = sum(share for doubled, share in null.items() if doubled / 2 >= observed - TOLERANCE)
    p_min = float(1 / math.factorial(values.shape[1]) ** len(values))
    assumptions = "independent blocks; within a block every order equally likely under the null"
    return TestResult(observed, min(1.0, p), p_min, len(values), "Page's L, exact, one-sided (rising)", assumptions)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p values (1979), by name."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: (p_values[key], key))):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def _block(ranks: tuple[float, ...]) -> dict[int, float]:
    """Null distribution of one block's contribution to L, in halves, so that midranks stay whole numbers."""
    found: dict[int, float] = {}
    orders = list(permutations(ranks))
    for order in orders:
        key = round(2 * sum(weight * rank for weight, rank in enumerate(order, start=1)))
        found[key] = found.get(key, 0.0) + 1 / len(orders)
    return found


def _convolved(first: dict[int, float], second: dict[int, float]) -> dict[int, float]:
    result: dict[int, float] = {}
    for a, share_a in first.items():
        for b, share_b in second.items():
            result[a + b] = result.get(a + b, 0.0) + share_a * share_b
    return result
