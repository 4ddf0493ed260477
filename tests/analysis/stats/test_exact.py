"""Exact tests against enumeration and scipy: with ties, with too much to enumerate, and the smallest p of each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from kd_analysis.stats.exact import MOST_BLOCKS, MOST_LEVELS, holm, page_trend, sign_flip

RNG = np.random.default_rng(20240601)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_sign_flip_against_enumeration_and_scipy(n: int) -> None:
    values = RNG.normal(0.4, 1.0, n)
    means = [abs(np.mean(values * signs)) for signs in itertools.product((1, -1), repeat=n)]
    expected = np.mean(np.array(means) >= abs(values.mean()) - 1e-12)
    assert sign_flip(values).p == pytest.approx(expected)
    if n > 1:
        test = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=10**6)
        assert sign_flip(values).p == pytest.approx(test.pvalue)


def test_smallest_sign_flip_p_is_what_twelve_blocks_allow() -> None:
    found = sign_flip(np.arange(1, 13))
    assert found.p == found.p_min == pytest.approx(2 / 2**12)


def test_a_difference_of_zero_doubles_the_smallest_sign_flip_p() -> None:
    found = sign_flip([1.0, 2.0, 0.0, 3.0])
    assert found.p == found.p_min == pytest.approx(4 / 2**4)


@pytest.mark.parametrize("blocks", [MOST_BLOCKS + 5, 400])
def test_more_blocks_than_can_be_enumerated_are_sampled(blocks: int) -> None:
    values = np.random.default_rng(1).normal(0.25, 1.0, blocks)
    found = sign_flip(values)
    assert found.method.startswith("sampled")
    expected = stats.ttest_1samp(values, 0).pvalue
    assert found.p == pytest.approx(expected, rel=0.2, abs=1e-4)
    assert found.p >= found.p_min > 0


def two_sided(table: np.ndarray) -> tuple[float, float]:
    """p and smallest p from a list of every order of every block's ranks."""
    ranks = stats.rankdata(table, axis=1)
    weights = np.arange(1, ranks.shape[1] + 1)
    centre = weights.mean() * ranks.sum()
    null = np.array(
        [
            abs(sum(np.array(order) @ weights for order in orders) - centre)
            for orders in itertools.product(*(list(itertools.permutations(row)) for row in ranks))
        ]
    )
    observed = abs((ranks @ weights).sum() - centre)
    return float((null >= observed - 1e-9).mean()), float((null >= null.max() - 1e-9).mean())


@pytest.mark.parametrize("slope", [0.4, -0.4])
def test_page_against_scipys_one_sided_test_in_both_directions(slope: float) -> None:
    for blocks, levels in ((3, 3), (5, 3), (4, 4)):
        table = RNG.normal(size=(blocks, levels)) + np.arange(levels) * slope
        up, down = (stats.page_trend_test(side, method="exact") for side in (table, -table))
        found = page_trend(table)
        assert found.statistic == pytest.approx(up.statistic)
        assert found.p == pytest.approx(min(1.0, 2 * min(up.pvalue, down.pvalue)))


@pytest.mark.parametrize("seed", range(6))
def test_page_with_ties_against_enumeration_of_every_order(seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 3, (3, 3)).astype(float)
    found = page_trend(table)
    assert (found.p, found.p_min) == pytest.approx(two_sided(table))


def test_a_falling_trend_is_found_as_well_as_a_rising_one() -> None:
    for table in ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[3, 2, 1], [6, 5, 4], [9, 8, 7]]):
        found = page_trend(table)
        assert found.p == found.p_min == pytest.approx(2 / 216)


@pytest.mark.parametrize(
    ("table", "orders"), [([[1, 2, 2], [1, 2, 3], [1, 2, 3]], 4), ([[1, 2, 2], [3, 3, 1], [2, 2, 2]], 48)]
)
def test_ties_raise_the_smallest_p_that_page_can_reach(table: list[list[int]], orders: int) -> None:
    assert page_trend(table).p_min == pytest.approx(two_sided(np.array(table))[1]) == pytest.approx(orders / 216)


def test_page_on_two_levels_is_defined() -> None:
    assert page_trend([[1, 2], [3, 4]]).p == pytest.approx(0.5)


@pytest.mark.parametrize("levels", [9, MOST_LEVELS])
def test_page_with_many_levels_agrees_with_scipys_asymptotic_test(levels: int) -> None:
    table = np.random.default_rng(levels).normal(size=(25, levels)) + np.arange(levels) * 0.05
    up, down = (stats.page_trend_test(side, method="asymptotic").pvalue for side in (table, -table))
    found = page_trend(table)
    assert found.method.startswith("exact")
    assert found.p == pytest.approx(2 * min(up, down), rel=0.1)


def test_page_with_more_levels_than_can_be_enumerated_is_sampled() -> None:
    table = np.random.default_rng(3).normal(size=(6, MOST_LEVELS + 3)) + np.arange(MOST_LEVELS + 3) * 0.04
    up = stats.page_trend_test(table, method="asymptotic").pvalue
    found = page_trend(table)
    assert found.method.startswith("sampled")
    assert found.p == pytest.approx(2 * up, rel=0.2)


def test_the_exact_tests_stay_valid_where_all_values_agree() -> None:
    assert sign_flip([0.0, 0.0, 0.0]).p == sign_flip([0.0, 0.0, 0.0]).p_min == 1.0
    assert sign_flip([0.5, 0.5, 0.5]).p == pytest.approx(0.25)
    assert page_trend([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]).p == pytest.approx(1.0)


def test_holm_against_statsmodels() -> None:
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": 0.9}
    expected = multipletests(list(p_values.values()), method="holm")[1]
    assert list(holm(p_values).values()) == pytest.approx(list(expected))
    assert holm({}) == {}
