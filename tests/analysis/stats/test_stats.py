"""Statistics against theory, exact enumeration, scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.power import TTestPower

from kd_analysis.stats.intervals import (
    half_width,
    interquartile_mean,
    probability_of_improvement,
    ratio_interval,
    t_interval,
)
from kd_analysis.stats.models import contrast_intervals, correlation_between, correlation_within
from kd_analysis.stats.paired import Conclusion, compare_paired, conclude, cross_fit, sentence
from kd_analysis.stats.power import detectable, power, seeds_needed

RNG = np.random.default_rng(20240601)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_t_intervals_cover_what_they_promise_by_simulation(n: int) -> None:
    trials = 20_000
    values = np.random.default_rng(n).normal(3.0, 2.0, (trials, n))
    halves = np.array([half_width(sd, n) for sd in values.std(axis=1, ddof=1)])
    covered = (np.abs(values.mean(axis=1) - 3.0) <= halves).mean()
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


def test_sd_and_sem_bars_would_not_cover() -> None:
    values = np.random.default_rng(3).normal(0.0, 1.0, (20_000, 3))
    sd = values.std(axis=1, ddof=1)
    assert (np.abs(values.mean(axis=1)) <= sd).mean() < 0.85
    assert (np.abs(values.mean(axis=1)) <= sd / math.sqrt(3)).mean() < 0.62


@pytest.mark.parametrize("n", [2, 3, 7])
def test_t_interval_against_scipy(n: int) -> None:
    values = RNG.normal(size=n)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = t_interval(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.n, found.method) == (n, "Student t")


def test_half_width_at_three_seeds_is_2_484_sd() -> None:
    assert half_width(1.0, 3) == pytest.approx(2.484, abs=5e-4)


def test_one_value_is_a_point_without_interval() -> None:
    found = t_interval([71.0])
    assert found.estimate == 71.0
    assert not found.exists
    assert not found.excludes_zero


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        t_interval([1.0, math.nan])


def test_interquartile_mean_and_its_interval_against_scipy() -> None:
    values = RNG.normal(size=12)
    found = interquartile_mean(values)
    assert found.estimate == pytest.approx(scipy_stats.trim_mean(values, 0.25))
    low, high = scipy_stats.mstats.trimmed_mean_ci(values, limits=(0.25, 0.25), inclusive=(True, True), alpha=0.05)
    assert (found.low, found.high) == pytest.approx((float(low), float(high)), rel=0.02)


@pytest.mark.parametrize(("wins", "n"), [(0, 5), (5, 5), (9, 12)])
def test_probability_of_improvement_against_scipys_exact_binomial(wins: int, n: int) -> None:
    found = probability_of_improvement([1.0] * wins + [-1.0] * (n - wins))
    expected = scipy_stats.binomtest(wins, n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_fieller_bounds_are_the_ratios_a_t_test_just_rejects() -> None:
    top, bottom = np.array([0.9, 1.3, 1.1, 0.7]), np.array([2.0, 2.4, 2.2, 1.9])
    found = ratio_interval(top, bottom)
    for bound in (found.low, found.high):
        assert scipy_stats.ttest_1samp(top - bound * bottom, 0).pvalue == pytest.approx(0.05)
    assert found.low < found.estimate < found.high


def test_a_gap_that_may_be_zero_has_no_ratio_interval() -> None:
    assert not ratio_interval([0.5, 0.7, 0.2], [1.0, -1.0, 0.3]).exists


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_power_and_detectable_effect_against_statsmodels(n: int) -> None:
    for effect in (0.5, 1.5, 3.0):
        expected = TTestPower().power(effect, n, 0.05, alternative="two-sided")
        assert power(effect, n) == pytest.approx(expected, abs=1e-6)
    assert power(detectable(n), n) == pytest.approx(0.8, abs=1e-9)


def test_three_seeds_detect_3_26_sds() -> None:
    assert detectable(3) == pytest.approx(3.26, abs=5e-3)
    assert math.isinf(detectable(1))


@pytest.mark.parametrize(("effect", "sd"), [(0.67, 1.484), (1.0, 0.3), (0.2, 1.0)])
def test_seeds_needed_is_the_least_number_that_reaches_the_power(effect: float, sd: float) -> None:
    n = seeds_needed(effect, sd)
    assert n is not None
    assert power(effect / sd, n) >= 0.8
    assert n == 2 or power(effect / sd, n - 1) < 0.8


def test_no_number_of_seeds_finds_no_effect() -> None:
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1e-6, 1.0) is None


@pytest.mark.parametrize("levels", [(0.25, 0.5, 0.75), (0.1, 0.2, 0.9, 1.0)])
def test_contrasts_are_the_slope_and_curvature_of_a_fitted_parabola(levels: tuple[float, ...]) -> None:
    values = RNG.normal(size=len(levels))
    linear, quadratic = contrast_intervals([values], levels)
    assert linear.estimate == pytest.approx(np.polyfit(levels, values, 1)[0])
    assert quadratic.estimate == pytest.approx(np.polyfit(levels, values, 2)[0])


def test_correlation_between_cells_against_scipy_and_within_them_against_centred_values() -> None:
    cells = [[(float(x), float(x + y)) for x, y in RNG.normal(c, 1, (3, 2))] for c in range(6)]
    means = np.array([np.mean(cell, axis=0) for cell in cells])
    expected = scipy_stats.pearsonr(means[:, 0], means[:, 1])
    found = correlation_between(cells)
    assert found.estimate == pytest.approx(expected.statistic)
    assert found.n == 6
    bounds = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    rest = np.concatenate([np.array(cell) - np.mean(cell, axis=0) for cell in cells])
    within = correlation_within(cells)
    assert within.estimate == pytest.approx(scipy_stats.pearsonr(rest[:, 0], rest[:, 1]).statistic)
    assert within.n == 18 - 6 + 1


def test_a_correlation_that_is_all_between_cells_is_not_found_within_them() -> None:
    rng = np.random.default_rng(2)
    cells = [[(c + float(x), c + float(y)) for x, y in rng.normal(0, 0.3, (3, 2))] for c in range(12)]
    assert correlation_between(cells).estimate > 0.9
    assert abs(correlation_within(cells).estimate) < 0.5


def test_cross_fitting_removes_the_winners_curse() -> None:
    rng = np.random.default_rng(5)
    tables = rng.normal(size=(2000, 3, 3))
    fits = [cross_fit(table) for table in tables]
    assert np.mean([fit.interval.estimate for fit in fits]) == pytest.approx(0.0, abs=0.04)
    assert np.mean([fit.naive_mean for fit in fits]) > 0.4


def test_cross_fitting_chooses_without_the_seed_it_evaluates() -> None:
    fit = cross_fit([[0.0, 9.0], [1.0, 0.0], [1.0, 0.0]])
    assert fit.chosen == (0, 1, 1)
    assert fit.interval.estimate == pytest.approx(0.0)
    assert fit.naive_choice == 1


@pytest.mark.parametrize(
    ("estimate", "low", "high", "p", "adjusted", "expected"),
    [
        (0.7, -3.0, 4.4, None, None, Conclusion.INCONCLUSIVE),
        (0.7, 0.1, 1.3, None, None, Conclusion.SUGGESTIVE),
        (-0.7, -1.3, -0.1, None, None, Conclusion.SUGGESTIVE),
        (0.7, math.nan, math.nan, None, None, Conclusion.INCONCLUSIVE),
        (0.7, 0.1, 1.3, 0.001, 0.004, Conclusion.SUPPORTED),
        (-0.7, -1.3, -0.1, 0.001, 0.004, Conclusion.CONTRADICTED),
        (0.7, -0.1, 1.5, 0.03, 0.09, Conclusion.SUGGESTIVE),
        (0.7, 0.1, 1.3, 0.5, 1.0, Conclusion.INCONCLUSIVE),
        (0.0, 0.0, 0.0, 1.0, 1.0, Conclusion.INCONCLUSIVE),
        (0.7, -0.1, 1.5, 0.05, 0.05, Conclusion.SUPPORTED),
    ],
)
def test_the_conclusion_grammar(
    estimate: float, low: float, high: float, p: float | None, adjusted: float | None, expected: Conclusion
) -> None:
    assert conclude(estimate, low, high, p=p, adjusted_p=adjusted) is expected


def test_no_conclusion_says_that_there_is_no_effect() -> None:
    words = {"supported", "suggestive", "inconclusive", "equivalent", "contradicted"}
    assert {str(word) for word in Conclusion} == words


@pytest.mark.parametrize(
    ("adjusted", "equivalent", "expected"),
    [
        (0.6, 0.01, Conclusion.EQUIVALENT),
        (0.01, 0.01, Conclusion.SUPPORTED),
        (0.6, 0.06, Conclusion.INCONCLUSIVE),
    ],
)
def test_equivalence_is_said_of_what_is_not_told_from_zero(
    adjusted: float, equivalent: float, expected: Conclusion
) -> None:
    assert conclude(0.1, -0.1, 0.3, p=0.3, adjusted_p=adjusted, equivalence_p=equivalent) is expected


def test_the_sentence_of_round_betas_best_known_cell() -> None:
    found = compare_paired([69.39, 72.96, 73.16], [70.43, 71.54, 71.54])
    assert sentence("Cifar100, logit, alpha 0.5", found) == (
        "Cifar100, logit, alpha 0.5: +0.67 points [-3.0, +4.3], n=3, inconclusive: detectable at 80 % power 4.8 "
        "points; "
        "about 41 seeds for 0.67"
    )


def test_the_sentence_of_one_seed_claims_no_interval() -> None:
    assert (
        sentence("x", compare_paired([2.0], [1.0]))
        == "x: +1.00 points, n=1, inconclusive: one seed carries no interval"
    )


def test_pairing_can_help_and_can_hurt() -> None:
    helped = compare_paired([1.0, 2.0, 3.0], [0.0, 1.1, 1.9])
    hurt = compare_paired([1.0, 2.0, 3.0], [3.0, 2.1, 1.0])
    assert helped.sd < helped.sd_unpaired
    assert hurt.sd > hurt.sd_unpaired


@pytest.mark.parametrize("values", [[93.4, 93.4], [93.1 - 92.1, 94.1 - 93.1, 1.0], [0.0, 0.0, 0.0]])
def test_values_that_agree_carry_no_interval_however_many(values: list[float]) -> None:
    for found in (t_interval(values), interquartile_mean(values * 3)):
        assert found.estimate == pytest.approx(values[0])
        assert found.tied
        assert not found.exists
        assert not found.excludes_zero


def test_values_one_item_of_the_largest_test_set_apart_do_not_agree() -> None:
    assert t_interval([90.0, 90.0 + 100 / 26_032]).exists


def test_equal_differences_claim_neither_interval_nor_power() -> None:
    found = compare_paired([93.1, 94.1], [92.1, 93.1])
    assert (found.n, found.sd, found.tied) == (2, 0.0, True)
    assert found.sd_unpaired == pytest.approx(1.0)
    assert math.isnan(found.detectable)
    assert found.seeds_needed is None
    assert found.conclusion is Conclusion.INCONCLUSIVE


def test_equal_differences_are_said_to_be_below_the_test_sets_grain() -> None:
    found = compare_paired([97.8, 97.8], [97.25, 97.25])
    assert sentence("Digits, logit, alpha 0.5", found, step=100 / 364) == (
        "Digits, logit, alpha 0.5: +0.55 points, no interval, n=2, inconclusive: the seeds' differences agree exactly; "
        "the test set, in steps of 0.27 points, cannot tell these seeds apart"
    )
    assert "steps" not in sentence("x", found)


def test_a_ratio_of_values_that_agree_has_no_interval() -> None:
    assert not ratio_interval([0.5, 0.5, 0.5], [2.0, 2.4, 2.2]).exists
    assert not ratio_interval([0.5, 0.7, 0.6], [2.0, 2.0, 2.0]).exists


def test_correlation_with_an_accuracy_that_never_changes_is_unknown() -> None:
    found = correlation_between([[(0.1, 97.8)], [(0.5, 97.8)], [(0.3, 97.8)], [(0.9, 97.8)]])
    assert math.isnan(found.estimate)
    assert not found.exists


def test_the_bounds_of_round_betas_best_known_cell_against_scipy() -> None:
    differences = np.array([69.39, 72.96, 73.16]) - np.array([70.43, 71.54, 71.54])
    expected = scipy_stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    found = compare_paired([69.39, 72.96, 73.16], [70.43, 71.54, 71.54])
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert (found.interval.low, found.interval.high) == pytest.approx((-3.0133, 4.3467), abs=5e-5)
    assert found.interval.estimate == pytest.approx(2 / 3)
    assert found.sd == pytest.approx(1.4814, abs=5e-5)
    smallest = TTestPower().solve_power(nobs=3, alpha=0.05, power=0.8, alternative="two-sided")
    assert found.detectable == pytest.approx(float(smallest) * found.sd, abs=1e-4)
    assert found.seeds_needed == 41
