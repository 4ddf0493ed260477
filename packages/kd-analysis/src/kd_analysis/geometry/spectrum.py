"""How many directions a representation uses: principal components, and three different summaries of their variances.

Not to be confused with each other: components for a share of variance (a count), participation ratio (second moment)
and effective rank (entropy; Roy & Vetterli 2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def centred(x: ArrayLike) -> Array:
    """(N, C) values minus their column means, in float64. Raises ValueError if not finite or not a matrix."""
    array = np.asarray(x, dtype=np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError("a representation is a finite (N, C) matrix")
    return np.asarray(array - array.mean(axis=0))


def variances(x: ArrayLike) -> Array:
    """Variances of the principal components of (N, C), largest first, length C."""
    array = centred(x)
    values = np.linalg.eigvalsh(array.T @ array / max(len(array) - 1, 1))[::-1]
    return np.asarray(np.clip(values, 0.0, None))


def scores(x: ArrayLike, components: int) -> Array:
    """Scores (N, K) on the K largest principal components; signs fixed so that each column's largest entry is
    positive."""
    array = centred(x)
    _, vectors = np.linalg.eigh(array.T @ array)
    found = array @ vectors[:, ::-1][:, :components]
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
    return np.asarray(found * np.where(signs == 0, 1.0, signs))


def cumulative(x: ArrayLike) -> Array:
    """Cumulative share of variance by number of components, (C,); NaN for a constant representation."""
    values = variances(x)
    total = values.sum()
    return np.cumsum(values) / total if total > 0 else np.full(len(values), np.nan)


def components_for(x: ArrayLike, share: float) -> float:
    """The least number of components that hold `share` of the variance; NaN for a constant representation."""
    held = cumulative(x)
    return float(np.searchsorted(held, share - 1e-12) + 1) if np.isfinite(held).all() else float("nan")


def participation_ratio(x: ArrayLike) -> float:
    """(sum of variances)^2 / sum of squared variances: C for an isotropic cloud, 1 for a line."""
    values = variances(x)
    square = float((values**2).sum())
    return float(values.sum()) ** 2 / square if square > 0 else float("nan")


def effective_rank(x: ArrayLike) -> float:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007)."""
    singular = np.sqrt(variances(x))
    if singular.sum() <= 0:
        return float("nan")
    share = singular / singular.sum()
    return float(np.exp(-(share[share > 0] * np.log(share[share > 0])).sum()))
