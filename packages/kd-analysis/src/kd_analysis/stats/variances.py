"""Do all groups scatter alike? Brown and Forsythe's test (1974) on the residuals of a model.

Its F distribution supposes independent values. Residuals of two or three seeds are not: with two they come in pairs of
one size, and the F test cries wolf in four of ten sound data sets; with three it says hardly anything. So the statistic
is also held against its own distribution for residuals of the same design with normal errors of one variance, which
depends on nothing unknown.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from kd_analysis.stats.distributions import f_tail
from kd_analysis.stats.intervals import NAN
from kd_analysis.stats.linear import Floats, LinearFit

FEWEST = 3
SAMPLES = 1_999


@dataclass(frozen=True)
class SpreadTest:
    """`p` is that of the F distribution, `p_design` that of the design; NaN where the groups are too small to tell."""

    statistic: float = NAN
    p: float = NAN
    p_design: float = NAN
    groups: int = 0


def brown_forsythe(fit: LinearFit, groups: Sequence[Hashable]) -> SpreadTest:
    """The test on the fit's residuals in groups, of which those with fewer than three values say nothing."""
    members = [np.flatnonzero([group == name for group in groups]) for name in dict.fromkeys(groups)]
    telling = [place for place in members if len(place) >= FEWEST]
    if len(telling) < 2:
        return SpreadTest(groups=len(telling))
    observed = float(_statistic(fit.residuals[None, :], telling)[0])
    errors = np.random.default_rng(0).normal(size=(SAMPLES, fit.n))
    null = _statistic(errors - errors @ fit.hat.T @ fit.design.T, telling)
    p_design = float(1 + (null >= observed * (1 - 1e-9)).sum()) / (SAMPLES + 1)
    between, within = len(telling) - 1, sum(map(len, telling)) - len(telling)
    return SpreadTest(observed, f_tail(observed, between, within), p_design, len(telling))


def _statistic(values: Floats, groups: Sequence[np.ndarray]) -> Floats:
    """Levene's W around medians of (B, N) values, for each of B."""
    distances = [np.abs(values[:, place] - np.median(values[:, place], axis=1, keepdims=True)) for place in groups]
    sizes = np.array([len(place) for place in groups])
    means = np.stack([found.mean(axis=1) for found in distances], axis=1)
    overall = (means * sizes).sum(axis=1) / sizes.sum()
    between = ((means - overall[:, None]) ** 2 * sizes).sum(axis=1) / (len(groups) - 1)
    within = sum(((found - mean[:, None]) ** 2).sum(axis=1) for found, mean in zip(distances, means.T, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = between / (within / (sizes.sum() - len(groups)))
    return np.asarray(np.nan_to_num(found, nan=0.0, posinf=np.inf))
