"""Tails and quantiles against scipy.stats, far out and at the ends, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scipy import stats

from kd_analysis.stats import distributions

CASES: dict[str, tuple[Callable[..., float], Callable[..., float], list[tuple[float, ...]]]] = {
    "t quantile": (
        distributions.t_quantile,
        stats.t.ppf,
        [(0.5, 2), (0.975, 1), (0.9999, 46), (0.975, 1e6), (1.0, 3), (0.975, 0)],
    ),
    "t tail": (distributions.t_tail, stats.t.sf, [(0.0, 3), (2.5, 1), (-8.0, 46), (40.0, 138), (float("inf"), 2)]),
    "noncentral t, above": (
        distributions.noncentral_t_tail,
        stats.nct.sf,
        [(2.0, 2, 0.0), (4.3, 2, 6.0), (2.0, 138, 2.8), (12.7, 1, 1.0)],
    ),
    "noncentral t, below": (distributions.noncentral_t_below, stats.nct.cdf, [(-2.0, 46, 0.5), (3.0, 6, 2.0)]),
    "F tail": (distributions.f_tail, stats.f.sf, [(0.0, 3, 9), (2.2, 23, 48), (90.0, 1, 4), (float("inf"), 2, 8)]),
    "beta quantile": (distributions.beta_quantile, stats.beta.ppf, [(0.025, 3, 1), (0.975, 4, 9), (0.025, 40, 60)]),
    "normal quantile": (distributions.normal_quantile, stats.norm.ppf, [(0.5,), (1e-12,), (0.975,), (1.0,)]),
    "normal tail": (distributions.normal_tail, stats.norm.sf, [(0.0,), (-3.0,), (9.0,), (float("inf"),)]),
    "two normal variables": (
        distributions.both_below,
        lambda h, k, r: stats.multivariate_normal(cov=[[1, r], [r, 1]]).cdf([h, k]),
        [(2.8, 1.96, 0.7071), (0.3, 4.0, -0.6), (1.0, 1.0, 0.99), (3.0, 0.1, 0.0)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_distributions_against_scipy(name: str) -> None:
    ours, theirs, arguments = CASES[name]
    expected = [float(theirs(*each)) for each in arguments]
    assert [ours(*each) for each in arguments] == pytest.approx(expected, rel=1e-9, abs=1e-13, nan_ok=True)
