"""Shapes compared up to rotation: angles between sample-space subspaces, and Procrustes.

Principal angles are taken between spans of the items' principal component scores, (N, K). Angles between channel-space
eigenvectors of two networks mean nothing: their channels do not correspond.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.hsic import Side, both
from kd_analysis.geometry.spectrum import Array, scores


def principal_angles(x: ArrayLike, y: ArrayLike, components: int) -> Array:
    """The K principal angles in degrees, largest first, between the top-K score subspaces (Bjorck & Golub 1973)."""
    return angles_between(scores(x, components), scores(y, components))


def angles_between(first: Array, second: Array) -> Array:
    """The same of two sides' scores (N, K)."""
    from scipy.linalg import subspace_angles

    return np.asarray(np.degrees(subspace_angles(first, second)))


def procrustes_similarity(x: ArrayLike | Side, y: ArrayLike | Side) -> float:
    """cos of the angular Procrustes distance: nuclear norm of the cross product of the normalised sides, in [0, 1]."""
    a, b = both(x, y)
    scale = a.norm * b.norm
    return float(np.linalg.svd(a.values.T @ b.values, compute_uv=False).sum() / scale) if scale > 0 else float("nan")


def procrustes_null(x: ArrayLike | Side, y: ArrayLike | Side, orders: Iterable[NDArray[np.intp]]) -> float:
    """Mean Procrustes similarity of (N, C) to (N, D) with its items in each of the orders, in single precision."""
    a, b = (side.values.astype(np.float32) for side in both(x, y))
    scale = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if not scale > 0:
        return float("nan")
    return float(np.mean([np.linalg.svd(a.T @ b[order], compute_uv=False).sum() / scale for order in orders]))


def procrustes_distance(x: ArrayLike | Side, y: ArrayLike | Side) -> float:
    """Angular Procrustes distance in radians, a metric on shapes (Williams 2021): 0 same shape, pi/2 unrelated."""
    return angular_distance(procrustes_similarity(x, y))


def angular_distance(similarity: float) -> float:
    """The angle whose cosine is the similarity, in radians."""
    return float(np.arccos(np.clip(similarity, -1.0, 1.0)))
