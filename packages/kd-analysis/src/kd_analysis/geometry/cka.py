"""Linear centred kernel alignment (Kornblith 2019) in feature space, plain and debiased, and what it rests on.

Invariant to rotation and one common scale of either side, not to any invertible map. Plain CKA is pulled up by few
items of large norm and by one shared component: hence the robustness variants. Debiasing uses the unbiased HSIC
(Song 2012).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kd_analysis.geometry.hsic import Side, both, linear_hsic, ratio
from kd_analysis.geometry.spectrum import Array, centred


def linear_cka(x: ArrayLike | Side, y: ArrayLike | Side) -> float:
    """Linear CKA of (N, C) and (N, D) in [0, 1]; NaN if one side is constant."""
    a, b = both(x, y)
    scale = a.gram_norm * b.gram_norm
    return float(np.linalg.norm(a.values.T @ b.values) ** 2 / scale) if scale > 0 else float("nan")


def debiased_linear_cka(x: ArrayLike | Side, y: ArrayLike | Side) -> float:
    """Linear CKA from unbiased HSIC terms: near 0 for independent representations whatever their width. N >= 4."""
    a, b = both(x, y)
    return ratio(linear_hsic(a, b), a.own, b.own)


def class_residual(x: ArrayLike, labels: ArrayLike) -> Array:
    """Each item minus the mean of its class."""
    array, classes = np.asarray(x, dtype=np.float64), np.unique(np.asarray(labels), return_inverse=True)[1]
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    sums = np.add.reduceat(array[order], np.cumsum(counts) - counts, axis=0)
    return np.asarray(array - (sums / counts[:, None])[classes])


def without_top_component(x: ArrayLike) -> Array:
    """The representation with its largest principal component projected out."""
    array = centred(x)
    top = np.linalg.eigh(array.T @ array)[1][:, -1:]
    return np.asarray(array - array @ top @ top.T)


def without_outliers(x: ArrayLike | Side, y: ArrayLike | Side, share: float = 0.01) -> tuple[Array, Array]:
    """Both sides without the items that are among the `share` of largest norm on either."""
    a, b = both(x, y)
    keep = np.ones(len(a), dtype=bool)
    for side in (a, b):
        norms = side.diagonal
        keep[np.argsort(norms, kind="stable")[len(norms) - int(np.ceil(share * len(norms))) :]] = False
    return a.values[keep], b.values[keep]
