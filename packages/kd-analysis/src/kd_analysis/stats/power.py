"""What n seeds could have shown: detectable effect and seeds needed for a paired t test (two-sided)."""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import optimize

from kd_analysis.stats.distributions import noncentral_t_below, noncentral_t_tail, t_quantile

MOST_SEEDS = 100_000


def power(standardised: float, n: int, level: float = 0.05) -> float:
    """Power of the two-sided one-sample t test for an effect of `standardised` SDs of the difference at n >= 2."""
    degrees, shift = n - 1, abs(standardised) * math.sqrt(n)
    critical = t_quantile(1 - level / 2, degrees)
    wrong_side = noncentral_t_below(-critical, degrees, shift)  # NaN where it underflows
    return noncentral_t_tail(critical, degrees, shift) + (wrong_side if math.isfinite(wrong_side) else 0.0)


@lru_cache(maxsize=256)
def detectable(n: int, target: float = 0.8, level: float = 0.05) -> float:
    """The effect in SDs of the difference that n seeds detect with power `target`; infinite below two. 3.26 at n =
    3."""
    if n < 2:
        return math.inf
    high = 1.0
    while power(high, n, level) < target:
        high *= 2
    return float(optimize.brentq(lambda effect: power(effect, n, level) - target, 0.0, high))


def seeds_needed(effect: float, sd: float, target: float = 0.8, level: float = 0.05) -> int | None:
    """The least number of seeds whose power for `effect` reaches `target`; None where no sensible number does.

    Nor is there one for an SD of 0: a spread that was not seen promises nothing.
    """
    if not (math.isfinite(effect) and math.isfinite(sd)) or effect == 0 or sd <= 0:
        return None
    standardised = abs(effect) / sd
    high = 2
    while power(standardised, high, level) < target:
        high *= 2
        if high > MOST_SEEDS:
            return None
    low = max(2, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(standardised, middle, level) >= target else (middle + 1, high)
    return low
