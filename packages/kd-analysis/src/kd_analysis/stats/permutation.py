"""Exchanging what lies in one block: the largest t of a family against every way the block's labels could lie.

Exact if cells are exchangeable within blocks, whatever the distribution: a check on what the normal model says.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.stats.linear import Floats, LinearFit

MOST_ORDERS = 20_000
BATCH = 4_096
TOLERANCE = 1e-9


def permuted_p(fit: LinearFit, values: ArrayLike, blocks: Sequence[int], contrasts: ArrayLike) -> tuple[Floats, float]:
    """Adjusted p of the (K, P) contrasts, two-sided, and the smallest p there can be.

    All orders are taken if they are at most 20,000, else as many are drawn and the observed one counts among them.
    """
    y, rows = np.asarray(values, dtype=float), np.atleast_2d(np.asarray(contrasts, dtype=float))
    places = [np.flatnonzero(np.asarray(blocks) == block) for block in sorted(set(blocks))]
    observed = _statistics(fit, y[None, :], rows)[0]
    every = math.prod(math.factorial(len(place)) for place in places)
    orders = _all_orders(places, len(y)) if every <= MOST_ORDERS else _drawn_orders(places, len(y))
    reached, total = np.zeros(len(rows)), 0
    for order in orders:
        largest = _statistics(fit, y[order], rows).max(axis=1)
        reached += (largest[:, None] >= observed * (1 - TOLERANCE)).sum(axis=0)
        total += len(order)
    added = 0 if every <= MOST_ORDERS else 1
    smallest = (_ties(y, places) if added == 0 else 1) / (total + added)
    return np.asarray((reached + added) / (total + added)), float(min(1.0, smallest))


def _statistics(fit: LinearFit, values: Floats, contrasts: Floats) -> Floats:
    """(B, K) values of |t| for (B, N) rearrangements of the values in the same design; infinite without residual."""
    coefficients = values @ fit.hat.T
    residuals = values - coefficients @ fit.design.T
    sds = np.sqrt((residuals**2).sum(axis=1) / fit.degrees)
    scale = np.sqrt(np.diag(fit.covariance(contrasts)))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.abs(coefficients @ contrasts.T) / (sds[:, None] * scale)
    return np.asarray(np.nan_to_num(found, nan=0.0, posinf=np.inf))


def _all_orders(places: Sequence[NDArray[np.intp]], n: int) -> Iterable[NDArray[np.intp]]:
    orders = np.empty((math.prod(math.factorial(len(place)) for place in places), n), dtype=np.intp)
    for number, chosen in enumerate(product(*(permutations(place) for place in places))):
        for place, order in zip(places, chosen, strict=True):
            orders[number, place] = order
    return (orders[start : start + BATCH] for start in range(0, len(orders), BATCH))


def _drawn_orders(places: Sequence[NDArray[np.intp]], n: int) -> Iterable[NDArray[np.intp]]:
    rng, left = np.random.default_rng(0), MOST_ORDERS - 1
    while left:
        size = min(BATCH, left)
        orders = np.empty((size, n), dtype=np.intp)
        for place in places:
            orders[:, place] = rng.permuted(np.broadcast_to(place, (size, len(place))), axis=1)
        left -= size
        yield orders


def _ties(values: Floats, places: Iterable[NDArray[np.intp]]) -> int:
    """How many orders of each block leave its values where they are."""
    counts = (Counter(np.round(values[place], 9)).values() for place in places)
    return math.prod(math.factorial(count) for block in counts for count in block)
