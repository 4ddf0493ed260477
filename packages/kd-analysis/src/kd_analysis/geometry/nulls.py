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

from kd_analysis.geometry.hsic import Side, ratio, unbiased
from kd_analysis.geometry.spectrum import Array

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

    @cached_property
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


class ByClass:
    """A side's sums within each class, which its mean over all permutations within class follows from: of its values
    (K, C), squared norms (K,) and kernel's rows (K,); and how far its items scatter about their class (K,)."""

    def __init__(self, x: ArrayLike | Side, classes: Classes) -> None:
        self.side, self.classes = Side.of(x), classes
        self.values, self.diagonal = classes.sums(self.side.values), classes.sums(self.side.diagonal)
        self.rows = classes.sums(self.side.rows)
        self.scatter = self.diagonal - (self.values**2).sum(axis=1) / classes.counts


def debiased_linear_cka_null(x: ArrayLike | Side, y: ArrayLike | Side, classes: Classes) -> float:
    """Mean debiased linear CKA of (N, C) and (N, D) over all permutations within class; only HSIC(x, y) changes."""
    return debiased_null(ByClass(x, classes), ByClass(y, classes))


def debiased_null(a: ByClass, b: ByClass) -> float:
    """The same of sides whose sums are known."""
    counts = a.classes.counts
    trace = _squared_cross(a, b) - float((a.diagonal * b.diagonal / counts).sum())
    rows, middle = float((a.rows * b.rows / counts).sum()), float(a.side.rows.sum() * b.side.rows.sum())
    return ratio(unbiased(trace, rows, middle, len(a.side)), a.side.own, b.side.own)


def _squared_cross(a: ByClass, b: ByClass) -> float:
    """Mean over permutations of the squared norm of sum_i a_i b_pi(i)^T: that of the class means, and what scatters."""
    counts = a.classes.counts
    between = a.values.T @ (b.values / counts[:, None])
    within = a.scatter * b.scatter / np.maximum(counts - 1, 1)
    return float((between**2).sum() + within.sum())


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
    return mutual_null(neighbours_by_class(first, classes), neighbours_by_class(second, classes), classes)


def mutual_null(first: Array, second: Array, classes: Classes) -> float:
    """The same of graphs whose `neighbours_by_class` are known."""
    return float((first * second / classes.pairs).sum() / first.sum())


def neighbours_by_class(graph: NDArray[np.int64], classes: Classes) -> Array:
    """How many neighbours of each class the items of each class have, (K, K)."""
    count = len(classes.counts)
    places = classes.of[:, None] * count + classes.of[graph]
    return np.bincount(places.ravel(), minlength=count**2).reshape(count, count).astype(np.float64)


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
    first, sides = Side(x), [Side(other) for other in others]
    values = [_debiased(first, side, None) for side in sides]
    best = [max(_debiased(first, side, order) for side in sides) for order in classes.permutations(permutations)]
    reached = sum(value >= max(values) for value in best)
    return BestMatch(int(np.argmax(values)), max(values), float(np.mean(best)), (1 + reached) / (permutations + 1))


def _debiased(a: Side, b: Side, order: NDArray[np.intp] | None) -> float:
    """Debiased linear CKA of a and of b's items in another order."""
    where = slice(None) if order is None else order
    trace = float(np.linalg.norm(a.values.T @ b.values[where]) ** 2 - a.diagonal @ b.diagonal[where])
    rows, middle = float(a.rows @ b.rows[where]), float(a.rows.sum() * b.rows.sum())
    return ratio(unbiased(trace, rows, middle, len(a)), a.own, b.own)
