"""What an alignment would be if networks knew classes and nothing of the items in them: items permuted within class.

Two networks that classify alike are alike for that reason. The mean over all permutations of one side's items within
their classes is exact and cheap for whatever is a sum over items or pairs of items: HSIC, rank correlations of
distances, neighbourhoods, equal answers. For what is none (Procrustes, angles, the best of several layers), a few fixed
permutations are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.cka import Kernel, hsic_terms, ratio, unbiased
from kd_analysis.geometry.spectrum import Array, centred

PERMUTATIONS, FEW_PERMUTATIONS, MANY_ITEMS = 10, 2, 2_000
"""Of many items a mean scatters little: two permutations do."""


class Classes:
    """Items by class: `of` (N,) numbers from 0, `counts` (K,), `members` (N, K) ones."""

    def __init__(self, labels: ArrayLike) -> None:
        self.of: NDArray[np.intp] = np.unique(np.asarray(labels), return_inverse=True)[1]
        self.counts = np.bincount(self.of).astype(np.float64)
        self.members = (self.of[:, None] == np.arange(len(self.counts))).astype(np.float64)

    def sums(self, values: ArrayLike) -> Array:
        """Sum within each class of (N,) or (N, C) values."""
        array = np.asarray(values, dtype=np.float64)
        return np.asarray(self.members.T @ array)

    def of_product(self, first: ArrayLike, second: ArrayLike) -> float:
        """Mean over permutations of sum_i first_i second_pi(i)."""
        return float((self.sums(first) * self.sums(second) / self.counts).sum())

    def of_pairs(self, first: Array, second: Array) -> float:
        """Mean over permutations of the sum over i != j of first_ij second_pi(i)pi(j); (N, N), the diagonals unread."""
        return float((self.pair_sums(first) * self.pair_sums(second) / self.pairs).sum())

    @property
    def pairs(self) -> Array:
        """Number of ordered pairs of different items between and within classes, (K, K); at least 1."""
        found = np.outer(self.counts, self.counts)
        np.fill_diagonal(found, np.maximum(self.counts * (self.counts - 1), 1))
        return found

    def pair_sums(self, matrix: Array) -> Array:
        """Sum of an (N, N) matrix over the pairs of different items of each pair of classes, (K, K)."""
        found = self.members.T @ matrix @ self.members
        found[np.diag_indices(len(found))] -= self.sums(np.diag(matrix))
        return np.asarray(found)

    @cached_property
    def drawn(self) -> tuple[NDArray[np.intp], ...]:
        """A few fixed permutations of the items within their classes."""
        return self.permutations(PERMUTATIONS if len(self.of) <= MANY_ITEMS else FEW_PERMUTATIONS)

    def permutations(self, count: int) -> tuple[NDArray[np.intp], ...]:
        """So many fixed permutations of the items within their classes."""
        rng, places = np.random.default_rng(0), np.argsort(self.of, kind="stable")
        found = np.empty((count, len(places)), dtype=np.intp)
        for order in found:
            order[places] = np.lexsort((rng.random(len(places)), self.of))
        return tuple(found)


def debiased_linear_cka_null(x: ArrayLike, y: ArrayLike, classes: Classes) -> float:
    """Mean debiased linear CKA of (N, C) and (N, D) over all permutations within class; only HSIC(x, y) changes."""
    a, b = centred(x), centred(y)
    terms_a, terms_b = hsic_terms(a), hsic_terms(b)
    trace = _squared_cross(a, b, classes) - classes.of_product(terms_a.diagonal, terms_b.diagonal)
    rows = classes.of_product(terms_a.rows, terms_b.rows)
    middle = terms_a.rows.sum() * terms_b.rows.sum()
    return ratio(unbiased(trace, rows, middle, len(a)), terms_a.own, terms_b.own)


def _squared_cross(a: Array, b: Array, classes: Classes) -> float:
    """Mean over permutations of the squared norm of sum_i a_i b_pi(i)^T: that of the class means, and what scatters."""
    sums_a, sums_b = classes.sums(a), classes.sums(b)
    between = sums_a.T @ (sums_b / classes.counts[:, None])
    scatter = [
        classes.sums((side**2).sum(axis=1)) - (sums**2).sum(axis=1) / classes.counts
        for side, sums in ((a, sums_a), (b, sums_b))
    ]
    within = scatter[0] * scatter[1] / np.maximum(classes.counts - 1, 1)
    return float((between**2).sum() + within.sum())


def hsic_null(k: Kernel, m: Kernel, labels: ArrayLike) -> float:
    """Mean unbiased HSIC of two kernels over permutations of one side within class."""
    classes = Classes(labels)
    trace, middle = classes.of_pairs(k.values, m.values), float(k.rows.sum() * m.rows.sum())
    return unbiased(trace, classes.of_product(k.rows, m.rows), middle, len(k.rows))


def rank_correlation_null(first: Array, second: Array, classes: Classes) -> float:
    """Mean correlation of two symmetric (N, N) matrices' pairs over permutations of one side's items within class."""
    pairs = classes.pairs.sum()
    sides = [classes.pair_sums(side) for side in (first, second)]
    means = [float(side.sum() / pairs) for side in sides]
    squares = [float(classes.pair_sums(side**2).sum() / pairs) for side in (first, second)]
    product = float((sides[0] * sides[1] / classes.pairs).sum() / pairs)
    scale = np.sqrt(np.prod([square - mean**2 for square, mean in zip(squares, means, strict=True)]))
    return float((product - means[0] * means[1]) / scale) if scale > 0 else float("nan")


def mutual_knn_null(first: NDArray[np.int64], second: NDArray[np.int64], classes: Classes) -> float:
    """Mean share of common neighbours of two (N, k) graphs over permutations of one side's items within class."""
    counts = [_neighbours_by_class(side, classes) for side in (first, second)]
    chances = counts[0] * counts[1] / classes.pairs
    return float(chances.sum() / first.size)


def _neighbours_by_class(graph: NDArray[np.int64], classes: Classes) -> Array:
    """How many neighbours of each class the items of each class have, (K, K)."""
    found = np.zeros((len(classes.counts), len(classes.counts)))
    np.add.at(found, (np.repeat(classes.of, graph.shape[1]), classes.of[graph.ravel()]), 1.0)
    return found


def agreement_null(first: ArrayLike, second: ArrayLike, classes: Classes) -> float:
    """Mean share of items with equal answers over permutations of one side's answers within class."""
    answers = [np.asarray(side) for side in (first, second)]
    _, numbers = np.unique(np.concatenate(answers), return_inverse=True)
    counts = []
    for side in np.split(numbers, 2):
        found = np.zeros((len(classes.counts), numbers.max() + 1))
        np.add.at(found, (classes.of, side), 1.0)
        counts.append(found)
    return float((counts[0] * counts[1] / classes.counts[:, None]).sum() / len(answers[0]))


def permuted_mean(measure: Callable[[NDArray[np.intp]], float], classes: Classes) -> float:
    """Mean of a measure of one side's items in the orders of a few fixed permutations within class."""
    return float(np.mean([measure(order) for order in classes.drawn]))


@dataclass(frozen=True)
class BestMatch:
    """Which of several representations is nearest by debiased linear CKA, from 0; the mean nearness of the best of as
    many when items are permuted within class, and how often that best is as near."""

    place: int
    value: float
    null: float
    p: float


def best_match(x: ArrayLike, others: Sequence[ArrayLike], classes: Classes, permutations: int) -> BestMatch:
    """The nearest of `others` to (N, C), and what naming it is worth: naming a best one is a choice."""
    first, sides = _Side(centred(x)), [_Side(centred(other)) for other in others]
    values = [_debiased(first, side, None) for side in sides]
    best = [max(_debiased(first, side, order) for side in sides) for order in classes.permutations(permutations)]
    reached = sum(value >= max(values) for value in best)
    return BestMatch(int(np.argmax(values)), max(values), float(np.mean(best)), (1 + reached) / (permutations + 1))


class _Side:
    """A centred representation with what permuting its items does not change."""

    def __init__(self, values: Array) -> None:
        self.values, self.terms = values, hsic_terms(values)


def _debiased(a: _Side, b: _Side, order: NDArray[np.intp] | None) -> float:
    """Debiased linear CKA of a and of b's items in another order."""
    where = slice(None) if order is None else order
    trace = float(np.linalg.norm(a.values.T @ b.values[where]) ** 2 - a.terms.diagonal @ b.terms.diagonal[where])
    rows = float(a.terms.rows @ b.terms.rows[where])
    middle = float(a.terms.rows.sum() * b.terms.rows.sum())
    return ratio(unbiased(trace, rows, middle, len(a.values)), a.terms.own, b.terms.own)
