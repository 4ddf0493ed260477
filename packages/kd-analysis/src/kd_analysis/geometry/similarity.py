"""Representational similarity analysis (Kriegeskorte 2008): do two networks find the same pairs of items far apart?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.spectrum import Array, centred


def dissimilarities(x: ArrayLike) -> Array:
    """Euclidean distances of all pairs of (N, C), length N (N - 1) / 2."""
    from scipy.spatial.distance import pdist

    return np.asarray(pdist(centred(x)))


def rsa(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's correlation of two dissimilarity vectors over the same pairs."""
    return correlation(ranks(first), ranks(second))


def ranks(values: ArrayLike) -> Array:
    """Ranks from 1; tied values share the mean of theirs."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values))


def correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation; of ranks, it is Spearman's."""
    a, b = (np.asarray(side, dtype=np.float64) for side in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / scale) if scale > 0 else float("nan")


def stratified(labels: ArrayLike, size: int, seed: int = 0) -> NDArray[np.int64]:
    """Sorted positions of at most `size` items, classes in proportion (largest remainder), the same for the same
    labels."""
    array = np.asarray(labels)
    if size >= len(array):
        return np.arange(len(array))
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(array, return_counts=True)
    exact = counts * size / len(array)
    share = np.floor(exact).astype(int)
    share[np.argsort(share - exact, kind="stable")[: size - share.sum()]] += 1
    chosen = [rng.permutation(np.flatnonzero(array == name))[:take] for name, take in zip(classes, share, strict=True)]
    return np.sort(np.concatenate(chosen))
