"""The largest of several t statistics against scipy, Dunnett's own tables, and simulation of blocked designs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import block_diag

from kd_analysis.stats.linear import cells_and_blocks, least_squares
from kd_analysis.stats.simultaneous import LargestT, correlation_of, equal_correlation


@pytest.mark.parametrize(
    ("comparisons", "degrees", "two_sided"),
    [(1, 10, 2.23), (2, 10, 2.57), (3, 10, 2.76), (4, 10, 2.89), (2, 20, 2.38), (4, 20, 2.65), (5, 20, 2.73)],
)
def test_critical_values_are_those_of_dunnetts_table_of_1964(comparisons: int, degrees: int, two_sided: float) -> None:
    found = LargestT(equal_correlation(comparisons), degrees).critical(0.95)
    assert found == pytest.approx(two_sided, abs=0.006)


@pytest.mark.parametrize(("comparisons", "one_sided"), [(1, 1.81), (2, 2.15), (3, 2.34), (4, 2.47), (5, 2.56)])
def test_one_sided_critical_values_are_those_of_dunnetts_table_of_1955(comparisons: int, one_sided: float) -> None:
    found = LargestT(equal_correlation(comparisons), 10).critical_above(0.95)
    assert found == pytest.approx(one_sided, abs=0.006)


def test_p_values_against_scipys_dunnett_test_of_unequal_groups() -> None:
    rng = np.random.default_rng(4)
    control, treated = rng.normal(size=6), [rng.normal(0.8, 1, n) for n in (3, 4, 7)]
    values = np.concatenate([control, *treated])
    cells = np.repeat(range(4), [6, 3, 4, 7])
    fit = least_squares(values, cells_and_blocks(cells, np.zeros(len(cells), dtype=int)))
    assert fit is not None
    contrasts = np.column_stack([-np.ones(3), np.eye(3)])
    largest = LargestT(correlation_of(fit.covariance(contrasts)), fit.degrees)
    statistics = fit.estimates(contrasts) / fit.errors(contrasts)
    expected = stats.dunnett(*treated, control=control, rng=np.random.default_rng(0))
    assert statistics == pytest.approx(expected.statistic)
    assert [largest.beyond(t) for t in statistics] == pytest.approx(expected.pvalue, abs=2e-4)


def incomplete(cells: int, seeds: int, missing: tuple[int, ...]) -> np.ndarray:
    """Correlations of all cells against the first in a blocked design without some of its runs."""
    kept = np.delete(np.arange(cells * seeds), missing)
    fit = least_squares(np.zeros(len(kept)), cells_and_blocks(kept // seeds, kept % seeds))
    assert fit is not None
    contrasts = np.column_stack([-np.ones(cells - 1), np.eye(cells - 1), np.zeros((cells - 1, seeds - 1))])
    return correlation_of(fit.covariance(contrasts))


@pytest.mark.parametrize(
    ("correlation", "degrees"),
    [
        (equal_correlation(5), 4),
        (incomplete(7, 3, (4, 11)), 10),
        (np.array([[1, 0.2, 0.7], [0.2, 1, 0.1], [0.7, 0.1, 1]]), 10),
        (block_diag(equal_correlation(3), equal_correlation(2)), 8),
    ],
    ids=["complete", "runs missing", "no common factor", "two references"],
)
@pytest.mark.parametrize("t", [1.5, 3.0, 5.0])
def test_tails_against_scipys_multivariate_t(correlation: np.ndarray, degrees: int, t: float) -> None:
    k = len(correlation)
    theirs = stats.multivariate_t(shape=correlation, df=degrees)
    box = {"maxpts": 200_000, "random_state": 1}
    two_sided = 1 - theirs.cdf(np.full(k, t), lower_limit=np.full(k, -t), **box)
    one_sided = 1 - theirs.cdf(np.full(k, t), **box)
    found = LargestT(correlation, degrees)
    assert found.beyond(t) == pytest.approx(two_sided, rel=5e-3, abs=2e-5)
    assert found.above(t) == pytest.approx(one_sided, rel=5e-3, abs=2e-5)


def test_one_comparison_is_students_t() -> None:
    found = LargestT(np.ones((1, 1)), 7)
    assert found.critical(0.95) == pytest.approx(stats.t.ppf(0.975, 7))
    assert found.beyond(-2.0) == pytest.approx(2 * stats.t.sf(2.0, 7))
    assert found.above(-2.0) == pytest.approx(stats.t.sf(-2.0, 7))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_simultaneous_intervals_of_a_blocked_design_cover_all_cells_at_once(seeds: int) -> None:
    cells, trials = 7, 20_000
    numbers, blocks = np.repeat(range(cells), seeds), np.tile(range(seeds), cells)
    design = cells_and_blocks(numbers, blocks)
    fit = least_squares(np.arange(len(numbers)) % 5, design)
    assert fit is not None
    contrasts = np.column_stack([-np.ones(cells - 1), np.eye(cells - 1), np.zeros((cells - 1, seeds - 1))])
    largest = LargestT(correlation_of(fit.covariance(contrasts)), fit.degrees)
    rng = np.random.default_rng(seeds)
    values = rng.normal(size=(trials, len(numbers))) + rng.normal(0, 2, (trials, seeds))[:, blocks]
    coefficients = values @ fit.hat.T
    sds = np.sqrt(((values - coefficients @ design.T) ** 2).sum(axis=1) / fit.degrees)
    t = np.abs(coefficients @ contrasts.T) / (sds[:, None] * np.sqrt(np.diag(fit.covariance(contrasts))))
    covered = float((t.max(axis=1) <= largest.critical(0.95)).mean())
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


@pytest.mark.parametrize("t", [0.0, 1.857985269170437e-14, -1e-15, 1e-12])
def test_a_difference_of_nothing_has_a_p_of_one(t: float) -> None:
    """Found on real runs: two means that agree to rounding had neither p nor interval."""
    loadings = np.array([0.619375415335, 0.645031331121, 0.619375415335])
    correlation = np.outer(loadings, loadings)
    np.fill_diagonal(correlation, 1.0)
    assert LargestT(correlation, 3).beyond(t) == pytest.approx(1.0)
