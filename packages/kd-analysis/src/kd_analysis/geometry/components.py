"""Independent components of two representations, matched one to one (FastICA, Hyvarinen 1999; Hungarian method).

FastICA finds other components from another start, so a representation is first matched with itself: that is the
ceiling, and a match is only worth what its ceiling is.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.spectrum import Array, centred, components_for, scores

RESTARTS = 5
VARIANCE = 0.95


@dataclass(frozen=True)
class Components:
    """Sources (N, K) of the restart most like the others; `ceiling` is the mean match between restarts."""

    sources: Array
    ceiling: float
    converged: int
    restarts: int


def independent_components(x: ArrayLike, restarts: int = RESTARTS, max_iter: int = 200) -> Components:
    """FastICA of (N, C) whitened to 95 % of its variance, from `restarts` fixed starts."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    share = components_for(x, VARIANCE)
    kept = int(share) if math.isfinite(share) else 1
    white = scores(x, kept)
    deviation = white.std(axis=0)
    white = white / np.where(deviation > 0, deviation, 1.0)
    found, converged = [], 0
    for seed in range(restarts):
        model = FastICA(whiten=False, fun=_log_cosh, random_state=seed, max_iter=max_iter, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found.append(np.asarray(model.fit_transform(white), dtype=np.float64))
        converged += int(model.n_iter_ < max_iter)
    matches = np.full((restarts, restarts), np.nan)
    for i, j in combinations(range(restarts), 2):
        matches[i, j] = matches[j, i] = matched_correlation(found[i], found[j])
    means = np.nanmean(matches, axis=1) if restarts > 1 else np.ones(1)
    return Components(found[int(means.argmax())], float(means.mean()), converged, restarts)


def matched_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Mean |correlation| of the best one-to-one pairing of the columns of (N, K) and (N, M); min(K, M) pairs."""
    return float(matched_pairs(x, y).mean())


def matched_pairs(x: ArrayLike, y: ArrayLike) -> Array:
    """|correlation| of each of the min(K, M) pairs, strongest first."""
    correlation = correlations(x, y)
    rows, columns = _matched(correlation)
    return np.sort(correlation[rows, columns])[::-1]


def matched_matrix(x: ArrayLike, y: ArrayLike) -> Array:
    """|correlation| of (N, K) with (N, M), both reordered: matched pairs on the diagonal, strongest first."""
    correlation = correlations(x, y)
    rows, columns = _matched(correlation)
    order = np.argsort(-correlation[rows, columns], kind="stable")
    every = [
        np.concatenate([matched[order], np.setdiff1d(np.arange(size), matched)])
        for matched, size in zip((rows, columns), correlation.shape, strict=True)
    ]
    return np.asarray(correlation[np.ix_(*every)])


def _matched(correlation: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the best one-to-one pairing."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-correlation)
    return rows, columns


def correlations(x: ArrayLike, y: ArrayLike) -> Array:
    """|correlation| of every column of (N, K) with every one of (N, M)."""
    a, b = (_standardised(side) for side in (x, y))
    return np.asarray(np.abs(a.T @ b) / len(a))


def _log_cosh(x: Array) -> tuple[Array, Array]:
    """The usual contrast's derivative and the mean of its second; scikit-learn's own averages row by row in Python."""
    slope = np.tanh(x)
    return slope, np.asarray((1 - slope**2).mean(axis=-1))


def _standardised(x: ArrayLike) -> Array:
    array = centred(x)
    deviation = array.std(axis=0)
    return np.asarray(array / np.where(deviation > 0, deviation, 1.0))
