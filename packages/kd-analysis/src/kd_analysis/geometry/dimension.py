"""Intrinsic dimension by TwoNN (Facco 2017): how fast the second neighbour falls behind the first.

The estimate grows with density; decimation (fewer items) shows whether a number is a dimension or an accident of N.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

DISCARD = 0.1


def two_nn(distances: ArrayLike) -> float:
    """The dimension from (N, >= 2) sorted neighbour distances; items with a duplicate are left out.

    Least squares through the origin of -log(1 - i/N) on log(r2 / r1), i the rank, without the largest 10 % of ratios.
    """
    array = np.asarray(distances, dtype=np.float64)
    array = array[array[:, 0] > 0]
    n = len(array)
    if n < 10:
        return float("nan")
    ratios = np.sort(np.log(array[:, 1] / array[:, 0]))
    kept = int(n * (1 - DISCARD))
    x, y = ratios[:kept], -np.log1p(-np.arange(1, kept + 1) / n)
    return float(x @ y / (x @ x)) if x @ x > 0 else float("nan")
