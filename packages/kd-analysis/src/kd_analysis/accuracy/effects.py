"""Cells against their reference, all of a family at once: by one error for all cells, or by each cell's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_analysis.accuracy.cells import Cell
from kd_analysis.stats.distributions import t_tail
from kd_analysis.stats.exact import holm
from kd_analysis.stats.intervals import NAN, half_width, mean_p
from kd_analysis.stats.linear import Floats, LinearFit
from kd_analysis.stats.paired import Conclusion, conclude
from kd_analysis.stats.simultaneous import LargestT, correlation_of

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Effect:
    """A cell against the reference, points. `n` seeds have both; bounds and p hold for the whole family at once.

    `p_permuted` is that of the permutation of labels within seeds, `p_equivalent` that of the two one-sided tests
    against the smallest effect of interest; NaN where there is no test.
    """

    cell: Cell
    n: int
    difference: float
    low: float
    high: float
    p: float = NAN
    p_adjusted: float = NAN
    p_equivalent: float = NAN
    p_permuted: float = NAN

    @property
    def conclusion(self) -> Conclusion:
        if not math.isfinite(self.p_adjusted):
            return Conclusion.INCONCLUSIVE
        return conclude(
            self.difference,
            self.low,
            self.high,
            p=self.p,
            adjusted_p=self.p_adjusted,
            equivalence_p=self.p_equivalent,
        )


def pooled_effects(
    fit: LinearFit, cells: Sequence[Cell], contrasts: Floats, permuted: Sequence[float], smallest_effect: float
) -> tuple[Effect, ...]:
    """By the model's error (K cells, (K, P) contrasts), with the distribution of the largest t (Dunnett 1955)."""
    estimates, errors = fit.estimates(contrasts), fit.errors(contrasts)
    largest = LargestT(correlation_of(fit.covariance(contrasts)), fit.degrees)
    critical = largest.critical(CONFIDENCE)
    return tuple(
        Effect(
            cell=cell,
            n=len(cell.paired_seeds),
            difference=estimate,
            low=estimate - critical * error,
            high=estimate + critical * error,
            p=2 * t_tail(abs(estimate) / error, fit.degrees),
            p_adjusted=largest.beyond(estimate / error),
            p_equivalent=largest.above((smallest_effect - abs(estimate)) / error),
            p_permuted=p,
        )
        for cell, estimate, error, p in zip(cells, map(float, estimates), map(float, errors), permuted, strict=True)
    )


def unpooled_effects(cells: Sequence[Cell], permuted: Sequence[float], smallest_effect: float) -> tuple[Effect, ...]:
    """By each cell's own paired differences: t intervals at Bonferroni's level, p values by Holm."""
    differences = [np.array(list(cell.differences.values())) for cell in cells]
    p_values = {str(place): mean_p(found) for place, found in enumerate(differences)}
    adjusted = holm(p_values)
    return tuple(
        _own_effect(cell, found, len(cells), smallest_effect, p_values[name], adjusted[name], p)
        for (name, found), cell, p in zip(
            ((str(place), found) for place, found in enumerate(differences)), cells, permuted, strict=True
        )
    )


def point_effects(cells: Sequence[Cell]) -> tuple[Effect, ...]:
    """Where nothing scatters, or one seed is all there is: mean differences without interval or test."""
    return tuple(_point(cell) for cell in cells)


def _point(cell: Cell) -> Effect:
    return Effect(cell, len(cell.paired_seeds), float(np.mean(list(cell.differences.values()))), NAN, NAN)


def _own_effect(
    cell: Cell, values: Floats, family: int, smallest_effect: float, p: float, adjusted: float, permuted: float
) -> Effect:
    if not math.isfinite(p):
        return _point(cell)
    n, mean, sd = len(values), float(values.mean()), float(values.std(ddof=1))
    half = half_width(sd, n, 1 - (1 - CONFIDENCE) / family)
    equivalent = t_tail((smallest_effect - abs(mean)) / (sd / math.sqrt(n)), n - 1)
    return Effect(cell, n, mean, mean - half, mean + half, p, adjusted, min(1.0, family * equivalent), permuted)
