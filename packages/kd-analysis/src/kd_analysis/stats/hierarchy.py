"""What effects on several data sets say about a further one: a normal-normal hierarchy, solved on a grid.

y_j ~ N(theta_j, s_j^2), theta_j ~ N(mu, tau^2), mu flat, tau half-normal. Given tau everything is normal, so each
answer is a mixture of normals over a grid of tau (Gelman et al. 2013, section 5.4). The prior matters with four data
sets: hence its scale is an argument, and the report shows what others would have said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from kd_analysis.stats.linear import Floats

POINTS = 1_601
REACH = 8.0


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of normals: `means` and `sds` (G,) with `weights` that sum to 1."""

    means: Floats
    sds: Floats
    weights: Floats

    @property
    def mean(self) -> float:
        return float(self.weights @ self.means)

    def above(self, value: float) -> float:
        """P(X > value)."""
        return float(self.weights @ special.ndtr((self.means - value) / self.sds))

    def quantile(self, probability: float) -> float:
        spread = 12 * self.sds
        low, high = float((self.means - spread).min()), float((self.means + spread).max())
        return float(optimize.brentq(lambda at: 1 - self.above(at) - probability, low, high, xtol=1e-9))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The central interval that holds `confidence` of it."""
        tail = (1 - confidence) / 2
        return self.quantile(tail), self.quantile(1 - tail)


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """`mean` is that over all data sets there might be, `new` the effect on one more, `each` those on the J here,
    drawn towards each other; `between` is the posterior mean of the SD between data sets."""

    mean: Mixture
    new: Mixture
    each: tuple[Mixture, ...]
    between: float
    scale: float


def hierarchy(effects: ArrayLike, errors: ArrayLike, scale: float) -> Hierarchy:
    """The posterior for (J,) effects with standard errors, J >= 2, under a half-normal prior of `scale` on tau."""
    y, s = np.asarray(effects, dtype=float), np.asarray(errors, dtype=float)
    if len(y) < 2 or y.shape != s.shape or not (np.isfinite(y).all() and (s > 0).all() and np.isfinite(s).all()):
        raise ValueError("a hierarchy needs two or more finite effects with positive errors")
    tau = np.linspace(0.0, 1.0, POINTS) ** 2 * REACH * scale  # dense near zero, where the likelihood may be sharp
    variances = s**2 + tau[:, None] ** 2
    precision = (1 / variances).sum(axis=1)
    centre = (y / variances).sum(axis=1) / precision
    fit = -0.5 * (np.log(variances) + (y - centre[:, None]) ** 2 / variances).sum(axis=1) - 0.5 * np.log(precision)
    density = np.exp(fit - fit.max()) * np.exp(-((tau / scale) ** 2) / 2)
    weights = density * np.gradient(tau)
    weights /= weights.sum()
    kept = s**2 / variances
    each = tuple(
        Mixture(
            b * centre + (1 - b) * value,
            np.sqrt((1 - b) * error**2 + b**2 / precision),
            weights,
        )
        for value, error, b in zip(y, s, kept.T, strict=True)
    )
    mean = Mixture(centre, 1 / np.sqrt(precision), weights)
    new = Mixture(centre, np.sqrt(1 / precision + tau**2), weights)
    return Hierarchy(mean, new, each, float(weights @ tau), scale)
