"""The exact means over permutations within class against lists of every permutation, and what they say of networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.spatial.distance import squareform
from scipy.stats import rankdata, spearmanr

from kd_analysis.geometry import rbf
from kd_analysis.geometry.cka import debiased_linear_cka
from kd_analysis.geometry.neighbours import mutual_knn, neighbour_graph
from kd_analysis.geometry.nulls import (
    Classes,
    agreement_null,
    debiased_linear_cka_null,
    mutual_knn_null,
    permuted_mean,
    rank_correlation_null,
)
from kd_analysis.geometry.rbf import rbf_cka
from kd_analysis.geometry.similarity import dissimilarities

LABELS = np.array([0, 1, 0, 1, 2, 0, 2, 1])
RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(8, 3)) + LABELS[:, None], RNG.normal(size=(8, 2)) + LABELS[:, None]


def every_order() -> Iterator[np.ndarray]:
    """All 3! 3! 2! permutations of eight items within their classes."""
    places = [np.flatnonzero(label == LABELS) for label in range(3)]
    for chosen in itertools.product(*(itertools.permutations(place) for place in places)):
        order = np.empty(len(LABELS), dtype=int)
        for place, to in zip(places, chosen, strict=True):
            order[place] = to
        yield order


def mean_of(measure: Callable[[np.ndarray], float]) -> float:
    return float(np.mean([measure(order) for order in every_order()]))


def test_linear_cka() -> None:
    expected = mean_of(lambda order: debiased_linear_cka(X, Y[order]))
    assert debiased_linear_cka_null(X, Y, Classes(LABELS)) == pytest.approx(expected)


def test_rbf_cka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rbf, "TILE", 3)
    widths, order = (0.4, 0.8), np.arange(8)
    every = [rbf_cka(X, Y[moved], widths, order)[0] for moved in every_order()]
    expected = np.mean(every, axis=0).tolist()
    found = rbf_cka(X, Y, widths, order, LABELS)[1]
    assert found == pytest.approx(expected)


def test_rank_correlation_of_distances() -> None:
    ranks = [squareform(rankdata(dissimilarities(side))) for side in (X, Y)]
    upper = np.triu_indices(len(LABELS), 1)
    expected = mean_of(lambda order: np.corrcoef(ranks[0][upper], ranks[1][np.ix_(order, order)][upper])[0, 1])
    assert rank_correlation_null(ranks[0], ranks[1], Classes(LABELS)) == pytest.approx(expected)
    plain = spearmanr(dissimilarities(X), dissimilarities(Y)).statistic
    assert np.corrcoef(ranks[0][upper], ranks[1][upper])[0, 1] == pytest.approx(plain)


def test_neighbourhoods() -> None:
    first, second = neighbour_graph(X, 3), neighbour_graph(Y, 3)
    expected = mean_of(lambda order: mutual_knn(first, neighbour_graph(Y[order], 3)))
    assert mutual_knn_null(first.indices, second.indices, Classes(LABELS)) == pytest.approx(expected)


def test_equal_answers() -> None:
    first, second = RNG.integers(0, 4, 8), RNG.integers(0, 4, 8)
    expected = mean_of(lambda order: float((first == second[order]).mean()))
    assert agreement_null(first, second, Classes(LABELS)) == pytest.approx(expected)


def test_drawn_permutations_stay_within_their_classes_and_are_the_same_again() -> None:
    classes = Classes(LABELS)
    drawn = list(classes.permutations(20))
    for order in drawn:
        assert sorted(order) == list(range(8))
        assert (LABELS[order] == LABELS).all()
    assert len({tuple(order) for order in drawn}) > 10
    assert all((a == b).all() for a, b in zip(drawn, classes.permutations(20), strict=True))
    drawn_mean = permuted_mean(lambda order: debiased_linear_cka(X, Y[order]), classes)
    spread = np.std([debiased_linear_cka(X, Y[order]) for order in every_order()])
    assert drawn_mean == pytest.approx(debiased_linear_cka_null(X, Y, classes), abs=4 * spread / np.sqrt(10))


def test_networks_that_share_classes_alone_are_at_their_null_and_those_that_share_items_above() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 10
    centres, items = rng.normal(size=(10, 8)), rng.normal(size=(600, 8))
    one, other = (centres[labels] * 1.5 + rng.normal(size=(600, 8)) for _ in range(2))
    classes = Classes(labels)
    found, null = debiased_linear_cka(one, other), debiased_linear_cka_null(one, other, classes)
    assert found > 0.5
    assert found == pytest.approx(null, abs=0.01)
    alike = debiased_linear_cka(one + items, other + items) - debiased_linear_cka_null(
        one + items, other + items, classes
    )
    assert alike > 0.1
