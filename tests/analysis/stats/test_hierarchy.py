"""The hierarchy against integration in three dimensions and against truths drawn from its own model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from kd_analysis.stats.hierarchy import hierarchy

EFFECTS, ERRORS = [0.9, 0.2, -0.1], [0.3, 0.25, 0.4]


def test_posterior_of_the_mean_against_direct_integration() -> None:
    """mu and tau integrated by scipy, effects on data sets gone: y_j ~ N(mu, s_j^2 + tau^2)."""

    def density(mu: float, tau: float) -> float:
        likelihood = 1.0
        for y, s in zip(EFFECTS, ERRORS, strict=True):
            variance = s * s + tau * tau
            likelihood *= math.exp(-0.5 * (y - mu) ** 2 / variance) / math.sqrt(variance)
        return likelihood * math.exp(-0.5 * (tau / 0.5) ** 2)

    def integral(low: float, of_mu: int = 0) -> float:
        return float(integrate.dblquad(lambda mu, tau: mu**of_mu * density(mu, tau), 0, 3, low, 6, epsabs=1e-6)[0])

    total = integral(-5)
    found = hierarchy(EFFECTS, ERRORS, 0.5)
    assert found.mean.mean == pytest.approx(integral(-5, of_mu=1) / total, abs=2e-4)
    assert found.mean.above(0.0) == pytest.approx(integral(0) / total, abs=2e-4)


def test_given_tau_effects_are_drawn_to_the_mean_as_their_errors_say() -> None:
    """A prior scale near zero leaves one common effect; a wide one leaves each as it was."""
    common = hierarchy(EFFECTS, ERRORS, 1e-4)
    weights = 1 / np.square(ERRORS)
    pooled = float(weights @ EFFECTS / weights.sum())
    assert [each.mean for each in common.each] == pytest.approx([pooled] * 3, abs=1e-3)
    assert common.mean.interval() == pytest.approx(stats.norm.interval(0.95, pooled, weights.sum() ** -0.5), abs=1e-3)
    wide = hierarchy(EFFECTS, [0.01, 0.01, 0.01], 1.0)
    assert [each.mean for each in wide.each] == pytest.approx(EFFECTS, abs=1e-2)


def test_the_eight_schools_as_everybody_finds_them() -> None:
    """Rubin 1981; Gelman et al. 2013, table 5.3: with a wide prior school A is about 10, C about 6, tau about 6."""
    found = hierarchy([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18], 25.0)
    assert found.mean.mean == pytest.approx(8, abs=1)
    assert [round(found.each[school].mean) for school in (0, 2)] == [11, 6]
    assert found.between == pytest.approx(6.5, abs=1)


@pytest.mark.parametrize("between", [0.0, 0.4, 0.8])
def test_a_new_data_set_falls_into_its_interval_as_often_as_promised(between: float) -> None:
    """Four data sets, errors of 0.17 as of 24 cells and three seeds: coverage holds where tau is what the prior
    expects, and is above it where data sets do not differ."""
    rng, trials, covered = np.random.default_rng(3), 300, 0
    for _ in range(trials):
        truths = rng.normal(0.3, between, 5)
        low, high = hierarchy(truths[:4] + rng.normal(0, 0.17, 4), [0.17] * 4, 0.5).new.interval()
        covered += bool(low <= truths[4] <= high)
    assert covered / trials >= 0.95 - 4 * math.sqrt(0.05 * 0.95 / trials) - (0.04 if between > 0.5 else 0)


def test_truths_drawn_from_the_model_lie_anywhere_in_their_posterior() -> None:
    """Simulation-based calibration: ranks of the true mean and of a true effect are uniform."""
    rng, ranks = np.random.default_rng(8), []
    for _ in range(400):
        mu, tau = rng.normal(0, 1), abs(rng.normal(0, 0.5))
        thetas = rng.normal(mu, tau, 4)
        found = hierarchy(thetas + rng.normal(0, 0.3, 4), [0.3] * 4, 0.5)
        ranks.append((found.mean.above(mu), found.each[0].above(thetas[0]), found.new.above(rng.normal(mu, tau))))
    for column in np.transpose(ranks):
        assert stats.kstest(column, "uniform").pvalue > 0.01


def test_one_data_set_has_no_hierarchy() -> None:
    with pytest.raises(ValueError, match="two or more"):
        hierarchy([0.3], [0.1], 0.5)
