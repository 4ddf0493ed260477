"""Models with blocks against statsmodels, spread tests against scipy, permutation against a list of every order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from kd_analysis.stats.linear import (
    block_test,
    cells_and_blocks,
    indicators,
    least_squares,
    lines_and_blocks,
)
from kd_analysis.stats.permutation import permuted_p
from kd_analysis.stats.variances import brown_forsythe

RNG = np.random.default_rng(11)
CELLS, SEEDS = np.repeat(range(4), 3), np.tile(range(3), 4)


def test_cells_and_seeds_against_statsmodels_with_runs_missing() -> None:
    kept = np.delete(np.arange(12), [4, 9])
    values = RNG.normal(size=12)[kept] + CELLS[kept]
    fit = least_squares(values, cells_and_blocks(CELLS[kept], SEEDS[kept]))
    theirs = ols("y ~ C(cell) + C(seed)", pd.DataFrame({"y": values, "cell": CELLS[kept], "seed": SEEDS[kept]})).fit()
    assert fit is not None
    assert (fit.sd, fit.degrees) == pytest.approx((math.sqrt(theirs.mse_resid), theirs.df_resid))
    rows = np.column_stack([-np.ones(3), np.eye(3), np.zeros((3, 2))])
    names = [f"C(cell)[T.{number}]" for number in (1, 2, 3)]
    assert fit.estimates(rows) == pytest.approx(theirs.params[names].to_numpy())
    assert fit.errors(rows) == pytest.approx(theirs.bse[names].to_numpy())
    assert fit.covariance(rows) * fit.sd**2 == pytest.approx(theirs.cov_params().loc[names, names].to_numpy())


def test_lines_and_seeds_against_statsmodels() -> None:
    group, level, seed = np.repeat(range(3), 6), np.tile([0.2, 0.5, 0.9], 6), np.tile(np.repeat([0, 1], 3), 3)
    values = RNG.normal(size=18) + group * level
    fit = least_squares(values, lines_and_blocks(group, level, seed))
    data = pd.DataFrame({"y": values, "g": group, "x": level, "seed": seed})
    theirs = ols("y ~ C(g) + C(g):x + C(seed) - 1", data).fit()
    assert fit is not None
    assert fit.degrees == theirs.df_resid
    slopes = np.column_stack([np.zeros((3, 3)), np.eye(3), np.zeros((3, 1))])
    names = [f"C(g)[{number}]:x" for number in range(3)]
    assert fit.estimates(slopes) == pytest.approx(theirs.params[names].to_numpy())
    assert fit.errors(slopes) == pytest.approx(theirs.bse[names].to_numpy())


def test_the_f_test_of_seeds_against_statsmodels() -> None:
    values = RNG.normal(size=12) + SEEDS
    found = block_test(values, CELLS.tolist(), SEEDS.tolist())
    data = pd.DataFrame({"y": values, "cell": CELLS, "seed": SEEDS})
    theirs = anova_lm(ols("y ~ C(cell) + C(seed)", data).fit())
    assert found is not None
    assert (found.statistic, found.p) == pytest.approx((theirs.F["C(seed)"], theirs["PR(>F)"]["C(seed)"]))


def test_what_a_design_with_holes_cannot_tell_is_not_estimable() -> None:
    """Cells 0 and 1 share a seed, cells 2 and 3 another: nothing joins the two pairs."""
    cells, seeds = np.array([0, 1, 0, 1, 2, 3, 2, 3]), np.array([0, 0, 1, 1, 2, 2, 3, 3])
    fit = least_squares(RNG.normal(size=8), cells_and_blocks(cells, seeds))
    assert fit is not None
    rows = np.array([[-1, 1, 0, 0, 0, 0, 0], [-1, 0, 1, 0, 0, 0, 0], [0, 0, -1, 1, 0, 0, 0]], dtype=float)
    assert fit.estimable(rows).tolist() == [True, False, True]


def test_without_a_residual_there_is_no_fit_and_without_scatter_no_error() -> None:
    assert least_squares([1.0, 2.0], indicators([0, 1])) is None
    fit = least_squares([92.0, 93.0, 92.5, 93.5], cells_and_blocks([0, 0, 1, 1], [0, 1, 0, 1]))
    assert fit is not None
    assert fit.sd == 0


def test_brown_forsythe_against_scipys_levene_around_medians() -> None:
    values = RNG.normal(size=12)
    fit = least_squares(values, cells_and_blocks(CELLS, SEEDS))
    assert fit is not None
    found = brown_forsythe(fit, CELLS.tolist())
    expected = stats.levene(*(fit.residuals[cell == CELLS] for cell in range(4)), center="median")
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("seeds", [2, 3])
def test_the_designs_own_p_is_uniform_where_the_f_distribution_is_not(seeds: int) -> None:
    """Groups of three cells, as a method's alphas: equal errors are called unequal as often as promised."""
    cells, blocks = np.repeat(range(12), seeds), np.tile(range(seeds), 12)
    design, groups = cells_and_blocks(cells, blocks), (cells // 3).tolist()
    rng, by_f, by_design = np.random.default_rng(7), [], []
    for _ in range(120):
        fit = least_squares(rng.normal(size=len(cells)), design)
        assert fit is not None
        found = brown_forsythe(fit, groups)
        by_f.append(found.p <= 0.05)
        by_design.append(found.p_design <= 0.05)
    assert np.mean(by_design) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 120))
    if seeds == 2:
        assert np.mean(by_f) > 0.15


def test_two_values_a_group_say_nothing_about_their_spread() -> None:
    fit = least_squares(RNG.normal(size=8), cells_and_blocks(np.repeat(range(4), 2), np.tile([0, 1], 4)))
    assert fit is not None
    assert math.isnan(brown_forsythe(fit, np.repeat(range(4), 2).tolist()).p_design)


def test_permuted_p_against_a_list_of_every_order() -> None:
    cells, seeds = np.repeat(range(3), 2), np.tile([0, 1], 3)
    values = np.array([1.0, 2.0, 2.5, 2.9, 4.1, 4.4])
    fit = least_squares(values, cells_and_blocks(cells, seeds))
    assert fit is not None
    rows = np.array([[-1, 1, 0, 0], [-1, 0, 1, 0]], dtype=float)
    largest = []
    for first, second in itertools.product(itertools.permutations((0, 2, 4)), itertools.permutations((1, 3, 5))):
        moved = values.copy()
        moved[[0, 2, 4]], moved[[1, 3, 5]] = values[list(first)], values[list(second)]
        again = least_squares(moved, cells_and_blocks(cells, seeds))
        assert again is not None
        largest.append(np.abs(again.estimates(rows) / again.errors(rows)).max())
    observed = np.abs(fit.estimates(rows) / fit.errors(rows))
    found, smallest = permuted_p(fit, values, seeds.tolist(), rows)
    expected = [(np.array(largest) >= t * (1 - 1e-9)).mean() for t in observed]
    assert found == pytest.approx(expected)
    assert smallest == pytest.approx(1 / 36)


def test_permutation_keeps_its_level_for_long_tails_and_many_cells() -> None:
    cells, seeds = np.repeat(range(8), 3), np.tile(range(3), 8)
    design, rows = cells_and_blocks(cells, seeds), np.column_stack([-np.ones(7), np.eye(7), np.zeros((7, 2))])
    rng, rejected, trials = np.random.default_rng(2), 0, 40
    for _ in range(trials):
        values = rng.standard_t(1.5, len(cells))
        fit = least_squares(values, design)
        assert fit is not None
        rejected += bool(permuted_p(fit, values, seeds.tolist(), rows)[0].min() <= 0.05)
    assert rejected / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
