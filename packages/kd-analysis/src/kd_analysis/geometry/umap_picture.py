"""A student's items among its teacher's, in two dimensions: UMAP (McInnes 2018) fitted on the teacher. A picture only.

Needs umap-learn, which the extra kd-analysis[umap] brings. Distances and areas in such a picture mean nothing.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import ArrayLike

from kd_analysis.geometry.spectrum import Array, centred

NEIGHBOURS = 15


def is_available() -> bool:
    """Whether the package is here; a folder that happens to be called umap is none."""
    found = find_spec("umap")
    return found is not None and found.origin is not None


def turned_onto(x: ArrayLike, onto: ArrayLike) -> Array:
    """(N, C) centred, rotated and scaled to lie as near as can be to the centred (N, D): orthogonal Procrustes."""
    a, b = centred(x), centred(onto)
    left, strengths, right = np.linalg.svd(a.T @ b, full_matrices=False)
    scale = strengths.sum() / max(float((a**2).sum()), 1e-300)
    return np.asarray(scale * a @ left @ right)


def embedded(teacher: ArrayLike, student: ArrayLike) -> tuple[Array, Array]:
    """(N, 2) of each, in the map of the teacher's items: the student's, turned onto the teacher's, are placed in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP  # type: ignore[import-not-found]

        model = UMAP(n_neighbors=NEIGHBOURS, random_state=0, n_jobs=1).fit(centred(teacher))
        placed = model.transform(turned_onto(student, teacher))
    return np.asarray(model.embedding_, dtype=np.float64), np.asarray(placed, dtype=np.float64)
