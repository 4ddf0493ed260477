"""Certainty, classes and copied errors against scikit-learn and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, recall_score

from kd_analysis.geometry.calibration import (
    accuracy_by_class,
    brier_score,
    expected_calibration_error,
    mean_confidence,
)
from kd_analysis.geometry.nulls import Classes, best_match
from kd_analysis.geometry.predictions import agreement_where

RNG = np.random.default_rng(11)
LABELS = RNG.integers(0, 5, 400)
LOGITS = RNG.normal(size=(400, 5)) * 2 + 2.0 * np.eye(5)[LABELS]
OTHERS = RNG.normal(size=(400, 5)) * 2 + 1.5 * np.eye(5)[LABELS]


def test_calibration_error_against_counting_bin_by_bin() -> None:
    chances = softmax(LOGITS, axis=1)
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = [i for i in range(400) if low < chances[i].max() <= low + 1 / 15]
        if inside:
            right = np.mean([chances[i].argmax() == LABELS[i] for i in inside])
            sure = np.mean([chances[i].max() for i in inside])
            expected += len(inside) / 400 * abs(right - sure)
    assert expected_calibration_error(LOGITS, LABELS) == pytest.approx(100 * expected)


def test_a_network_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    chances = RNG.dirichlet(np.ones(5), 200_000)
    drawn = (chances.cumsum(axis=1) > RNG.random((len(chances), 1))).argmax(axis=1)
    assert expected_calibration_error(np.log(chances), drawn) < 0.5
    assert mean_confidence(np.log(chances)) == pytest.approx((chances.argmax(axis=1) == drawn).mean(), abs=0.005)


def test_brier_score_is_the_squared_distance_of_chances_and_truth() -> None:
    expected = ((softmax(LOGITS, axis=1) - np.eye(5)[LABELS]) ** 2).sum(axis=1).mean()
    assert brier_score(LOGITS, LABELS) == pytest.approx(expected)
    assert brier_score(1e6 * np.eye(5)[LABELS], LABELS) == pytest.approx(0)


def test_accuracy_by_class_is_scikit_learns_recall() -> None:
    expected = 100 * recall_score(LABELS, LOGITS.argmax(1), average=None)
    assert accuracy_by_class(LOGITS, LABELS) == pytest.approx(expected)


def test_agreement_is_split_by_whether_the_teacher_is_right() -> None:
    ours, theirs = LOGITS.argmax(1), OTHERS.argmax(1)
    right = theirs == LABELS
    found = agreement_where(LOGITS, OTHERS, LABELS)
    expected = [100 * accuracy_score(theirs[part], ours[part]) for part in (right, ~right)]
    assert found == pytest.approx((*expected, (~right).sum()))
    perfect = 9.0 * np.eye(5)[LABELS]
    assert np.isnan(agreement_where(LOGITS, perfect, LABELS)[1])


def test_naming_the_best_of_three_unrelated_layers_is_worth_nothing() -> None:
    """Under the null p is uniform: at most one in twenty below 0.05, up to four standard errors of eighty draws."""
    below = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        labels = np.arange(60) % 3
        sides = [rng.normal(size=(60, 4)) + labels[:, None] for _ in range(4)]
        below += best_match(sides[0], sides[1:], Classes(labels), 19).p <= 0.05
    assert below / 80 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 80)


def test_the_layer_that_shares_items_is_named_and_stands_out() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(120) % 4
    shared = rng.normal(size=(120, 6))
    others = [rng.normal(size=(120, 6)), shared + 0.3 * rng.normal(size=(120, 6)), rng.normal(size=(120, 6))]
    found = best_match(shared, others, Classes(labels), 19)
    assert found.place == 1
    assert found.p == pytest.approx(0.05)
    assert found.value > 0.8 > found.null
