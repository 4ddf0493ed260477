"""CKA of Gaussian kernels, debiased only: plain, it is near 1 for unrelated clouds.

Minibatches average the three HSIC terms, then divide (Nguyen 2021). A batch's kernels are never formed: their sums are
gathered from tiles of the upper triangle, each small enough to stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.hsic import Side, both, ratio, unbiased
from kd_analysis.geometry.nulls import Classes
from kd_analysis.geometry.spectrum import Array

BATCH, TILE = 1000, 200


def rbf_cka(
    x: ArrayLike | Side,
    y: ArrayLike | Side,
    bandwidths: Sequence[float],
    order: ArrayLike,
    labels: ArrayLike | None = None,
    null_of: Collection[float] | None = None,
    medians: tuple[float, float] | None = None,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Debiased RBF CKA for each bandwidth, in median distances, over minibatches of 1000 of the permutation `order`.

    The second tuple is the same with each batch's HSIC as it is on average over all permutations of one side's items
    within their `labels`; NaN without those, and for bandwidths that are not in `null_of`, where that is given.
    `medians` are each side's `first_median`, if known.
    """
    a, b = both(x, y)
    batches = _minibatches(order)
    known = medians or (first_median(a, order), first_median(b, order))
    widths = sorted(bandwidths, reverse=True)
    terms = {width: np.zeros(4) for width in widths}
    for batch in batches:
        classes = None if labels is None else Classes(np.asarray(labels)[batch])
        wanted = {width: classes if null_of is None or width in null_of else None for width in widths}
        gathered = {width: _Sums(len(batch), wanted[width]) for width in widths}
        tiles = (
            _tiles(side.values[batch], [width * median for width in widths])
            for side, median in zip((a, b), known, strict=True)
        )
        for (rows, columns, width, k), (*_, m) in zip(*tiles, strict=True):
            gathered[widths[width]].add(rows, columns, k, m)
        for width, sums in gathered.items():
            terms[width] += sums.terms()
    found = [terms[width] for width in bandwidths]
    return tuple(ratio(*each[:3]) for each in found), tuple(ratio(each[3], *each[1:3]) for each in found)


def first_median(x: ArrayLike | Side, order: ArrayLike) -> float:
    """The median distance by which `rbf_cka` scales a side in this order."""
    return median_distance(Side.of(x).values[_minibatches(order)[0]])


def median_distance(x: ArrayLike) -> float:
    """Median Euclidean distance between different items."""
    from scipy.spatial.distance import pdist

    return float(np.median(pdist(np.asarray(x, dtype=np.float64))))


def _minibatches(order: ArrayLike) -> list[NDArray[np.int64]]:
    permutation = np.asarray(order)
    size = min(BATCH, len(permutation))
    return [permutation[start : start + size] for start in range(0, len(permutation) - size + 1, size)]


class _Sums:
    """What HSIC needs of two symmetric kernels (N, N) with empty diagonals, added up tile by tile."""

    def __init__(self, n: int, classes: Classes | None) -> None:
        self.classes = classes
        self.traces = np.zeros(3)
        self.rows = np.zeros((2, n))
        self.pairs = np.zeros((2, *([len(classes.counts)] * 2))) if classes else None

    def add(self, rows: slice, columns: slice, k: Array, m: Array) -> None:
        """Take in the same tile of both, and its mirror image if it lies beside the diagonal."""
        beside = rows != columns
        self.traces += np.array([np.vdot(k, m), np.vdot(k, k), np.vdot(m, m)]) * (2 if beside else 1)
        for side, kernel in enumerate((k, m)):
            self.rows[side, rows] += kernel.sum(axis=1)
            if beside:
                self.rows[side, columns] += kernel.sum(axis=0)
            if self.classes is not None and self.pairs is not None:
                found = self.classes.members[rows].T @ kernel @ self.classes.members[columns]
                self.pairs[side] += found + found.T if beside else found

    def terms(self) -> Array:
        """HSIC of the two, of each with itself, and of the two on average over permutations within class."""
        (first, second), (a, b) = self.rows, self.rows.sum(axis=1)
        n = len(first)
        found = [
            unbiased(float(trace), float(one @ other), float(middle), n)
            for trace, one, other, middle in zip(
                self.traces, (first, first, second), (second, first, second), (a * b, a * a, b * b), strict=True
            )
        ]
        return np.array([*found, self._expected(float(a * b))])

    def _expected(self, middle: float) -> float:
        if self.classes is None or self.pairs is None:
            return math.nan
        trace = float((self.pairs[0] * self.pairs[1] / self.classes.pairs).sum())
        return unbiased(trace, self.classes.of_product(*self.rows), middle, self.rows.shape[1])


def _tiles(x: Array, widths: Sequence[float]) -> Iterator[tuple[slice, slice, int, Array]]:
    """The kernels of (N, C), tile by tile of the upper triangle and within each width by width, widest first: where the
    tile lies, the width's place, and its values, which are changed in place: use them at once."""
    norms, ones = (x**2).sum(axis=1), np.ones(len(x))
    left, right = np.column_stack([-2 * x, norms, ones]), np.column_stack([x, ones, norms]).T.copy()
    places = [slice(start, min(start + TILE, len(x))) for start in range(0, len(x), TILE)]
    for number, rows in enumerate(places):
        for columns in places[number:]:
            squared = left[rows] @ right[:, columns]
            for width, kernel in enumerate(_gaussians(np.maximum(squared, 0.0, out=squared), widths)):
                if rows == columns:
                    np.fill_diagonal(kernel, 0.0)
                yield rows, columns, width, kernel


def _gaussians(squared: Array, widths: Sequence[float]) -> Iterator[Array]:
    """The kernel of each width, widest first, in one array that is changed in place.

    Half a width is a fourth power, and two squarings cost a tenth of another exponential.
    """
    kernel = np.empty_like(squared)
    for width, wider in zip(widths, (0.0, *widths), strict=False):
        if width > 0 and wider == 2 * width:
            np.square(kernel, out=kernel)
            np.square(kernel, out=kernel)
        elif width > 0:
            np.exp(np.multiply(squared, -0.5 / width**2, out=kernel), out=kernel)
        else:
            kernel.fill(0.0)
        yield kernel
