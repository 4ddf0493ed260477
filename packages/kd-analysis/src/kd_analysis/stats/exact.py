"""Tests by complete enumeration, by sampling where there is too much of it, and Holm's adjustment.

Each result carries the smallest p that its own data could have given: few blocks, and values that agree, set it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.stats.intervals import NAN, finite

MOST_BLOCKS = 20
MOST_LEVELS = 12
SAMPLES = 99_999
TOLERANCE = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TestResult:
    """A p value with the smallest one that values so many and so tied could have given."""

    statistic: float
    p: float
    p_min: float
    n: int
    method: str
    assumptions: str


def sign_flip(differences: ArrayLike) -> TestResult:
    """Two-sided test that (N,) block differences are symmetric around zero: all 2^N signs of their sum (Fisher 1935).

    Smallest p: 2 / 2^N, twice that for each difference of zero. Beyond 20 blocks 99,999 signs are drawn.
    """
    array = finite(differences)
    n, observed = array.size, abs(float(array.sum()))
    assumptions = "independent blocks whose differences are symmetric around zero under the null"
    statistic = float(array.mean()) if n else NAN
    sums = np.abs(_every_sum(array) if n <= MOST_BLOCKS else _drawn_sums(array))
    reached = sums >= observed - TOLERANCE * max(1.0, observed)
    if n > MOST_BLOCKS:
        return TestResult(statistic, _drawn_p(reached), 1 / (SAMPLES + 1), n, "sampled sign-flip", assumptions)
    smallest = min(1.0, 2.0 ** (1 - n + int((array == 0).sum())))
    return TestResult(statistic, float(reached.mean()), smallest, n, "exact sign-flip", assumptions)


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within each row of (blocks, K), from 1; tied values share the mean of theirs."""
    ours, others = values[:, :, None], values[:, None, :]
    return np.asarray((others < ours).sum(axis=2) + ((others == ours).sum(axis=2) + 1) / 2)


def page_trend(table: ArrayLike) -> TestResult:
    """Page's L for a rise or fall along the columns of (blocks, K >= 2) values, two-sided, exact with ties (Page 1963).

    The null distribution takes every order of each block's own midranks; beyond 12 columns 99,999 orders are drawn.
    Raises ValueError if a value is not finite.
    """
    values = np.asarray(table, dtype=float)
    if values.ndim != 2 or values.shape[1] < 2 or not len(values) or not np.isfinite(values).all():
        raise ValueError("Page's test needs finite (blocks, 2 or more) values")
    ranks = _midranks(values)
    levels = values.shape[1]
    centred = np.arange(1, levels + 1) - (levels + 1) / 2
    observed = float((ranks @ centred).sum())
    assumptions = "independent blocks; within a block every order equally likely under the null"
    if levels > MOST_LEVELS:
        reached = np.abs(_drawn_trends(ranks, centred)) >= abs(observed) - TOLERANCE
        result = (_drawn_p(reached), 1 / (SAMPLES + 1), len(values), "sampled Page trend")
    else:
        support, shares = _trend_null(ranks)
        far = float(np.abs(support[shares > 0]).max())
        p, smallest = (float(shares[np.abs(support) >= at - TOLERANCE].sum()) for at in (abs(observed), far))
        result = (min(1.0, p), min(1.0, smallest), len(values), "exact Page trend")
    return TestResult(observed + len(ranks) * levels * (levels + 1) ** 2 / 4, *result, assumptions)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p values (1979), by name. NaN, a test that was not made, stays and counts for none."""
    made = {name: p for name, p in p_values.items() if math.isfinite(p)}
    adjusted = dict.fromkeys(p_values, NAN)
    highest = 0.0
    for rank, name in enumerate(sorted(made, key=lambda key: (made[key], key))):
        highest = max(highest, min(1.0, (len(made) - rank) * made[name]))
        adjusted[name] = highest
    return adjusted


def _every_sum(array: Floats) -> Floats:
    sums = np.zeros(1)
    for value in array:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _drawn_sums(array: Floats) -> Floats:
    signs = np.random.default_rng(0).integers(0, 2, (SAMPLES, array.size), dtype=np.int8)
    return np.asarray((2.0 * signs - 1.0) @ array)


def _drawn_trends(ranks: Floats, centred: Floats) -> Floats:
    rng, sums = np.random.default_rng(0), np.zeros(SAMPLES)
    for row in ranks:
        sums += rng.permuted(np.broadcast_to(row, (SAMPLES, len(row))), axis=1) @ centred
    return sums


def _drawn_p(reached: NDArray[np.bool_]) -> float:
    """The observed order counts as one of those drawn, so that no sample proves the impossible."""
    return float(1 + reached.sum()) / (len(reached) + 1)


def _trend_null(ranks: Floats) -> tuple[Floats, Floats]:
    """Values that L minus its expectation can take over all blocks, and the probability of each."""
    shares = np.ones(1)
    for row in ranks:
        shares = np.convolve(shares, _orders(tuple(sorted(row))))
    levels = ranks.shape[1]
    expected = len(ranks) * levels * (levels + 1) ** 2 / 4
    return np.arange(len(shares)) / 2 - expected, shares


@lru_cache(maxsize=256)
def _orders(ranks: tuple[float, ...]) -> Floats:
    """Distribution of twice sum(place * rank) over all orders of `ranks`; midranks doubled are whole numbers.

    Subset by subset: what the first j places can add up to depends only on which ranks they hold.
    """
    levels = len(ranks)
    length = levels * (levels + 1) * (2 * levels + 1) // 3 + 1
    sums = {0: np.zeros(length)}
    sums[0][0] = 1.0
    for place in range(1, levels + 1):
        longer: dict[int, Floats] = {}
        for held, counts in sums.items():
            for index, rank in enumerate(ranks):
                if not held & 1 << index:
                    shift = round(2 * place * rank)
                    target = longer.setdefault(held | 1 << index, np.zeros(length))
                    target[shift:] += counts[: length - shift]
        sums = longer
    (counts,) = sums.values()
    return np.asarray(counts / counts.sum())
