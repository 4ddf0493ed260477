"""Centred kernel alignment (Kornblith 2019): linear in feature space, plain and debiased, and RBF, debiased only.

Invariant to rotation and one common scale of either side, not to any invertible map. Plain CKA is pulled up by few
items of large norm and by one shared component: hence the robustness variants. Debiasing uses the unbiased HSIC
(Song 2012); minibatches average the three HSIC terms, then divide (Nguyen 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.spectrum import Array, centred

BATCH = 1000


@dataclass(frozen=True)
class Kernel:
    """A kernel matrix (N, N), zero on the diagonal, and the sums of its rows (N,)."""

    values: Array
    rows: Array

    @classmethod
    def of(cls, values: Array) -> Kernel:
        return cls(values, values.sum(axis=1))


Null = Callable[[Kernel, Kernel, NDArray[np.int64]], float]
"""The mean HSIC of two kernels over permutations of one side; of the items numbered."""


def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Linear CKA of (N, C) and (N, D) in [0, 1]; NaN if one side is constant."""
    a, b = _pair(x, y)
    scale = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(a.T @ b) ** 2 / scale) if scale > 0 else float("nan")


def debiased_linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Linear CKA from unbiased HSIC terms: near 0 for independent representations whatever their width. N >= 4."""
    a, b = _pair(x, y)
    return ratio(_hsic_features(a, b), _hsic_features(a, a), _hsic_features(b, b))


def rbf_cka(
    x: ArrayLike,
    y: ArrayLike,
    bandwidths: Sequence[float],
    order: ArrayLike,
    null: Null | None = None,
    null_of: Collection[float] | None = None,
    medians: tuple[float, float] | None = None,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Debiased RBF CKA for each bandwidth, in median distances, over minibatches of 1000 of the permutation `order`.

    The second tuple is the same with what `null` makes of each batch's HSIC: its mean over some permutations; NaN for
    bandwidths that are not in `null_of`, where that is given. `medians` are each side's `first_median`, if known.
    """
    a, b = _pair(x, y)
    batches = _minibatches(order)
    known = medians or tuple(median_distance(side[batches[0]]) for side in (a, b))
    widths = sorted(bandwidths, reverse=True)
    terms = {width: np.zeros(4) for width in widths}
    for batch in batches:
        kernels = (
            _gaussians(_squared_distances(side[batch]), [width * median for width in widths])
            for side, median in zip((a, b), known, strict=True)
        )
        for width, *sides in zip(widths, *kernels, strict=True):
            k, m = map(Kernel.of, sides)
            wanted = null is not None and (null_of is None or width in null_of)
            expected = null(k, m, batch) if null is not None and wanted else math.nan
            terms[width] += [hsic(k, m), hsic(k, k), hsic(m, m), expected]
    found = [terms[width] for width in bandwidths]
    return tuple(ratio(*each[:3]) for each in found), tuple(ratio(each[3], *each[1:3]) for each in found)


def first_median(x: ArrayLike, order: ArrayLike) -> float:
    """The median distance by which `rbf_cka` scales a side in this order."""
    return median_distance(centred(x)[_minibatches(order)[0]])


def _minibatches(order: ArrayLike) -> list[NDArray[np.int64]]:
    permutation = np.asarray(order)
    size = min(BATCH, len(permutation))
    return [permutation[start : start + size] for start in range(0, len(permutation) - size + 1, size)]


def median_distance(x: ArrayLike) -> float:
    """Median Euclidean distance between different items."""
    distances = _squared_distances(np.asarray(x, dtype=np.float64))
    return float(np.sqrt(np.median(distances[np.triu_indices(len(distances), 1)])))


def class_residual(x: ArrayLike, labels: ArrayLike) -> Array:
    """Each item minus the mean of its class."""
    array, classes = np.asarray(x, dtype=np.float64), np.unique(np.asarray(labels), return_inverse=True)[1]
    sums = np.zeros((classes.max() + 1, array.shape[1]))
    np.add.at(sums, classes, array)
    return np.asarray(array - (sums / np.bincount(classes)[:, None])[classes])


def without_top_component(x: ArrayLike) -> Array:
    """The representation with its largest principal component projected out."""
    array = centred(x)
    top = np.linalg.eigh(array.T @ array)[1][:, -1:]
    return np.asarray(array - array @ top @ top.T)


def without_outliers(x: ArrayLike, y: ArrayLike, share: float = 0.01) -> tuple[Array, Array]:
    """Both sides without the items that are among the `share` of largest norm on either."""
    a, b = _pair(x, y)
    keep = np.ones(len(a), dtype=bool)
    for side in (a, b):
        norms = np.linalg.norm(side, axis=1)
        keep[np.argsort(norms, kind="stable")[len(norms) - int(np.ceil(share * len(norms))) :]] = False
    return a[keep], b[keep]


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    a, b = centred(x), centred(y)
    if len(a) != len(b):
        raise ValueError("both sides must hold the same items")
    return a, b


@dataclass(frozen=True)
class HsicTerms:
    """Of the linear kernel of a centred (N, C): its diagonal (N,), row sums without it (N,), and HSIC with itself."""

    diagonal: Array
    rows: Array
    own: float


def hsic_terms(a: Array) -> HsicTerms:
    """What does not change when the other side's items are permuted."""
    diagonal = (a**2).sum(axis=1)
    rows = a @ a.sum(axis=0) - diagonal
    trace = float(np.linalg.norm(a.T @ a) ** 2 - diagonal @ diagonal)
    return HsicTerms(diagonal, rows, unbiased(trace, float(rows @ rows), float(rows.sum()) ** 2, len(a)))


def _hsic_features(a: Array, b: Array) -> float:
    """Unbiased HSIC of the linear kernels of (N, C) and (N, D), without forming an N x N matrix."""
    diagonal_a, diagonal_b = (a**2).sum(axis=1), (b**2).sum(axis=1)
    rows_a, rows_b = a @ a.sum(axis=0) - diagonal_a, b @ b.sum(axis=0) - diagonal_b
    trace = float(np.linalg.norm(a.T @ b) ** 2 - diagonal_a @ diagonal_b)
    return unbiased(trace, float(rows_a @ rows_b), float(rows_a.sum() * rows_b.sum()), len(a))


def hsic(k: Kernel, m: Kernel) -> float:
    """Unbiased HSIC of two kernels."""
    trace, middle = float(np.vdot(k.values, m.values)), float(k.rows.sum() * m.rows.sum())
    return unbiased(trace, float(k.rows @ m.rows), middle, len(k.rows))


def unbiased(trace: float, rows: float, middle: float, n: int) -> float:
    """HSIC (Song 2012) from tr(KM), the product of the row sums and that of the totals, diagonals left out; N >= 4."""
    if n < 4:
        return float("nan")
    return (trace + middle / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3))


def ratio(cross: float, own_a: float, own_b: float) -> float:
    """CKA of three HSIC terms; NaN if one side has none of its own."""
    return float(cross / np.sqrt(own_a * own_b)) if own_a > 0 and own_b > 0 else float("nan")


def _squared_distances(x: Array) -> Array:
    norms = (x**2).sum(axis=1)
    found = x @ x.T
    found *= -2
    found += norms[:, None]
    found += norms
    return np.asarray(np.maximum(found, 0.0, out=found))


def _gaussians(squared: Array, widths: Sequence[float]) -> Iterator[Array]:
    """The kernel of each width, widest first, zero on the diagonal. One array, changed in place: use it at once.

    Half a width is a fourth power, and two squarings cost a tenth of another exponential.
    """
    kernel = np.zeros_like(squared)
    for width, wider in zip(widths, (0.0, *widths), strict=False):
        if width > 0 and wider == 2 * width:
            np.square(kernel, out=kernel)
            np.square(kernel, out=kernel)
        elif width > 0:
            np.exp(np.multiply(squared, -0.5 / width**2, out=kernel), out=kernel)
            np.fill_diagonal(kernel, 0.0)
        yield kernel
