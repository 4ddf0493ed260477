"""What a design could find: the effect that so many seeds detect, and the level left for a second look.

Computed from the pooled SD and the plan alone, never from the effect seen: the power of a seen effect is its p value
in other words (Hoenig & Heisey 2001).
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import optimize

from kd_analysis.stats.distributions import both_below, noncentral_t_tail, normal_quantile, normal_tail, t_quantile
from kd_analysis.stats.simultaneous import LargestT, equal_correlation

POWER = 0.8


@lru_cache(maxsize=512)
def simultaneous_critical(comparisons: int, degrees: int, confidence: float = 0.95) -> float:
    """The critical t for so many comparisons with one reference in a complete design."""
    return LargestT(equal_correlation(comparisons), degrees).critical(confidence)


def detectable_effect(error: float, critical: float, degrees: int, power: float = POWER) -> float:
    """The effect whose estimate, of standard error `error`, passes the critical t with the given power."""
    if not error > 0 or degrees < 1:
        return math.nan

    def missing(shift: float) -> float:
        return power - noncentral_t_tail(critical, degrees, shift)

    high = critical + 2.0
    while missing(high) > 0:
        high *= 1.5
    return error * float(optimize.brentq(missing, 0.0, high, xtol=1e-8))


def cell_detectable(sd: float, seeds: int, comparisons: int, cells: int, power: float = POWER) -> float:
    """The difference of one of `comparisons` cells to the reference that `seeds` whole blocks of `cells` detect."""
    degrees = (cells - 1) * (seeds - 1)
    if degrees < 1:
        return math.inf
    critical = simultaneous_critical(comparisons, degrees)
    return detectable_effect(sd * math.sqrt(2 / seeds), critical, degrees, power)


def slope_detectable(sd: float, seeds: int, spread: float, methods: int, cells: int, power: float = POWER) -> float:
    """The slope that `seeds` blocks detect at Holm's first step over `methods`; `spread` is the sum of squares of the
    levels around their mean."""
    degrees = (cells - 1) * (seeds - 1)
    if degrees < 1 or not spread > 0:
        return math.inf
    critical = t_quantile(1 - 0.025 / methods, degrees)
    return detectable_effect(sd / math.sqrt(seeds * spread), critical, degrees, power)


def two_looks(share: float, level: float = 0.05) -> tuple[float, float]:
    """Two-sided levels of a first look at `share` of all data and of the last look, spent as O'Brien and Fleming do.

    Lan and DeMets' spending function (1983); at half the data 0.0031 and 0.0490.
    """
    if not 0 < share < 1:
        raise ValueError("the first look is at a share of the data between 0 and 1")
    side = level / 2
    first = 2 * normal_tail(-normal_quantile(side / 2) / math.sqrt(share))
    bound = -normal_quantile(first)

    def unspent(last: float) -> float:
        """What the last look spends on one side beyond its share."""
        return (1 - first - both_below(bound, last, math.sqrt(share))) - (side - first)

    last = float(optimize.brentq(unspent, 0.1, 8.0, xtol=1e-9))
    return 2 * first, 2 * normal_tail(last)
