"""A student against its baseline, paired by seed, and what may be concluded from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from kd_analysis.stats.intervals import NAN, Interval, finite, t_interval
from kd_analysis.stats.power import detectable, seeds_needed

LEVEL = 0.05


class Conclusion(StrEnum):
    """The only five words a comparison may end in. Only a test of equivalence may say that an effect is too small."""

    SUPPORTED = "supported"
    SUGGESTIVE = "suggestive"
    INCONCLUSIVE = "inconclusive"
    EQUIVALENT = "equivalent"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True)
class PairedComparison:
    """Treatment minus baseline on the same seeds. SDs, detectable effect and interval share the values' unit.

    `sd_unpaired` is what the SD of the difference would be without pairing: smaller than `sd`, pairing hurt.
    Where all differences agree (`tied`) no spread was seen, so neither interval nor power can be told.
    """

    interval: Interval
    sd: float
    sd_unpaired: float
    detectable: float
    seeds_needed: int | None
    conclusion: Conclusion

    @property
    def n(self) -> int:
        return self.interval.n

    @property
    def tied(self) -> bool:
        return self.interval.tied


def compare_paired(treatment: ArrayLike, baseline: ArrayLike, confidence: float = 0.95) -> PairedComparison:
    """Compare (N,) values paired by position. A single cell is descriptive: at best `suggestive`."""
    treated, base = finite(treatment), finite(baseline)
    if treated.shape != base.shape:
        raise ValueError("treatment and baseline must be paired")
    differences = treated - base
    interval = t_interval(differences, confidence)
    n, tied = differences.size, interval.tied
    sd = 0.0 if tied else float(differences.std(ddof=1)) if n > 1 else NAN
    unpaired = math.hypot(float(treated.std(ddof=1)), float(base.std(ddof=1))) if n > 1 else NAN
    return PairedComparison(
        interval=interval,
        sd=sd,
        sd_unpaired=unpaired,
        detectable=NAN if tied else detectable(n) * sd if n > 1 else math.inf,
        seeds_needed=seeds_needed(interval.estimate, sd) if n > 1 else None,
        conclusion=conclude(interval.estimate, interval.low, interval.high),
    )


def conclude(
    estimate: float,
    low: float,
    high: float,
    *,
    p: float | None = None,
    adjusted_p: float | None = None,
    equivalence_p: float | None = None,
) -> Conclusion:
    """The conclusion about the claim that an effect is positive.

    With a test of a declared family: adjusted p <= 0.05 supports the claim, or contradicts it where the effect is
    negative; else an adjusted equivalence p <= 0.05 says that it is smaller than the smallest effect of interest; else
    p <= 0.05 that only the adjustment lifts above is suggestive. Without a test, an interval that excludes zero is
    suggestive, of what the sign printed beside it says. All else is inconclusive.
    """
    if p is not None and adjusted_p is not None and math.isfinite(adjusted_p):
        if adjusted_p <= LEVEL and estimate != 0:
            return Conclusion.SUPPORTED if estimate > 0 else Conclusion.CONTRADICTED
        if equivalence_p is not None and equivalence_p <= LEVEL:
            return Conclusion.EQUIVALENT
        return Conclusion.SUGGESTIVE if p <= LEVEL else Conclusion.INCONCLUSIVE
    if math.isfinite(low) and math.isfinite(high) and (low > 0 or high < 0):
        return Conclusion.SUGGESTIVE
    return Conclusion.INCONCLUSIVE


def sentence(subject: str, comparison: PairedComparison, unit: str = "points", step: float | None = None) -> str:
    """The comparison in the one fixed form every comparison is printed in. `step` is the grain of the measure, in
    its unit, where it is known."""
    interval = comparison.interval
    effect = f"{subject}: {interval.estimate:+.2f} {unit}"
    if comparison.tied:
        grain = f", in steps of {step:.2g} {unit}," if step else ""
        reason = f"the seeds' differences agree exactly; the test set{grain} cannot tell these seeds apart"
        return f"{effect}, no interval, n={comparison.n}, {comparison.conclusion}: {reason}"
    if not interval.exists:
        return f"{effect}, n={comparison.n}, {comparison.conclusion}: one seed carries no interval"
    bounds = f"[{_bound(interval.low)}, {_bound(interval.high)}], n={comparison.n}, {comparison.conclusion}"
    needed = f"about {comparison.seeds_needed}" if comparison.seeds_needed else "more than 100000"
    power = f"detectable at 80 % power {comparison.detectable:.1f} {unit}"
    return f"{effect} {bounds}: {power}; {needed} seeds for {abs(interval.estimate):.2f}"


def _bound(value: float) -> str:
    """One decimal, two where one would hide the sign."""
    return f"{value:+.1f}" if abs(value) >= 0.05 else f"{value:+.2f}"


def cross_fit(values: ArrayLike) -> CrossFit:
    """Choose the best of A settings on all seeds but one, evaluate it on that one; (S, A) paired differences.

    Needs S >= 2. The naive maximum over settings is reported beside it: their distance is the winner's curse.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or len(table) < 2 or not np.isfinite(table).all():
        raise ValueError("cross-fitting needs a finite (S, A) table with S >= 2")
    chosen = [int(np.delete(table, seed, axis=0).mean(axis=0).argmax()) for seed in range(len(table))]
    held_out = table[np.arange(len(table)), chosen]
    naive = int(table.mean(axis=0).argmax())
    return CrossFit(t_interval(held_out), tuple(chosen), naive, float(table.mean(axis=0)[naive]))


@dataclass(frozen=True)
class CrossFit:
    """`interval` is that of the held-out values, whose folds share seeds: read it as approximate."""

    interval: Interval
    chosen: tuple[int, ...]
    naive_choice: int
    naive_mean: float
