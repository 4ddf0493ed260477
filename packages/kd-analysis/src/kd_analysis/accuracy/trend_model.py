"""Does accuracy change with alpha? A straight line a method, all of a setting in one model with the seeds as blocks.

The line's slope is tested in both directions, Holm over the setting's methods; curvature stands beside it, and Page's
test says the same of ranks alone. Where cells do not scatter alike, each method is judged by its own seeds' slopes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kd_analysis.accuracy.cell_model import CellModel
from kd_analysis.accuracy.cells import Grid, Setting
from kd_analysis.stats.distributions import t_quantile, t_tail
from kd_analysis.stats.exact import TestResult, holm, page_trend
from kd_analysis.stats.intervals import NAN, Interval, t_interval
from kd_analysis.stats.linear import LinearFit, least_squares, lines_and_blocks
from kd_analysis.stats.models import polynomial_contrasts
from kd_analysis.stats.paired import Conclusion, conclude

ASSUMPTIONS = "additive seeds; independent normal errors of one variance"


@dataclass(frozen=True)
class Trend:
    """A method's change of accuracy over alpha in one setting, points per unit of alpha; `n` seeds carry it.

    `slope` by the model of lines, `slope_by_cells` with the error of the model of cells; `curvature` (points per unit
    squared) and `page` exist from three strengths on. p values are two-sided.
    """

    setting: Setting
    method: str
    n: int
    alphas: tuple[float, ...]
    slope: Interval
    slope_by_cells: Interval | None
    curvature: Interval | None
    p: float
    p_adjusted: float = NAN
    p_equivalent: float = NAN
    page: TestResult | None = None
    page_adjusted: float = NAN
    page_reachable: float = NAN

    @property
    def spread(self) -> float:
        """From the smallest to the largest alpha."""
        return self.alphas[-1] - self.alphas[0]

    @property
    def conclusion(self) -> Conclusion:
        if not math.isfinite(self.p_adjusted):
            return Conclusion.INCONCLUSIVE
        return conclude(
            self.slope.estimate,
            self.slope.low,
            self.slope.high,
            p=self.p,
            adjusted_p=self.p_adjusted,
            equivalence_p=self.p_equivalent,
        )


def trends(grid: Grid, model: CellModel) -> tuple[Trend, ...]:
    """Every method of the model's setting that has two strengths or more."""
    strengths = {method: _strengths(model, method) for method in grid.methods}
    methods = [method for method, alphas in strengths.items() if len(alphas) > 1]
    lines = _lines(model, methods)
    found = [_trend(grid, model, lines, methods, method, strengths[method]) for method in methods]
    return _adjusted(found)


@dataclass(frozen=True, eq=False)
class Lines:
    """The straight lines of all methods in one model; `fit` is None without a residual."""

    fit: LinearFit | None
    methods: Sequence[str]

    def slope(self, method: str) -> Interval | None:
        """None where the design cannot tell it, or nothing scatters."""
        if self.fit is None or self.fit.sd == 0:
            return None
        row = np.zeros(self.fit.design.shape[1])
        row[len(self.methods) + self.methods.index(method)] = 1.0
        return _interval(self.fit, row, len(self.fit.residuals), "straight lines and seeds")


def _strengths(model: CellModel, method: str) -> tuple[float, ...]:
    found = {alpha for name, alpha in model.data.arms if name == method and alpha is not None}
    return tuple(sorted(found))


def _lines(model: CellModel, methods: Sequence[str]) -> Lines:
    places = {method: place for place, method in enumerate(methods)}
    rows = [
        (places[one.method], one.alpha, one.seed, one.value)
        for one in model.observations
        if one.method in places and one.alpha is not None
    ]
    if not rows:
        return Lines(None, methods)
    groups, levels, seeds, values = zip(*rows, strict=True)
    order = sorted(set(seeds))
    design = lines_and_blocks(groups, levels, [order.index(seed) for seed in seeds])
    return Lines(least_squares(values, design), methods)


def _trend(
    grid: Grid, model: CellModel, lines: Lines, methods: Sequence[str], method: str, alphas: tuple[float, ...]
) -> Trend:
    by_seed = _whole_seeds(grid, model.setting, method, alphas)
    weights = polynomial_contrasts(alphas)
    own = [t_interval([float(np.dot(row, values)) for values in by_seed.values()]) for row in weights]
    of_cells = [_by_cells(model, method, alphas, row) for row in weights]
    shared = lines.slope(method) if model.pooled else None
    slope = shared or own[0]
    curvature = (of_cells[1] if model.pooled and of_cells[1] else own[1]) if len(alphas) > 2 else None
    seeds = {one.seed for one in model.observations if one.method == method}
    page = page_trend(list(by_seed.values())) if len(by_seed) > 1 and len(alphas) > 2 else None
    degrees = lines.fit.degrees if shared and lines.fit else len(by_seed) - 1
    p, equivalent = _p_values(slope, degrees, model.smallest_effect / (alphas[-1] - alphas[0]))
    return Trend(
        model.setting,
        method,
        len(seeds),
        alphas,
        replace(slope, n=len(seeds)),
        of_cells[0],
        curvature,
        p,
        p_equivalent=equivalent,
        page=page,
    )


def _by_cells(model: CellModel, method: str, alphas: Sequence[float], weights: Sequence[float]) -> Interval | None:
    """A contrast over the method's cells with the error of the model of cells."""
    if model.fit is None or model.fit.sd == 0:
        return None
    row = model.contrast({(method, alpha): float(weight) for alpha, weight in zip(alphas, weights, strict=True)})
    return _interval(model.fit, row, model.fit.n, "cells and seeds")


def _interval(fit: LinearFit, row: np.ndarray, n: int, words: str) -> Interval | None:
    if not fit.estimable(row)[0]:
        return None
    estimate, error = float(fit.estimates(row)[0]), float(fit.errors(row)[0])
    half = t_quantile(0.975, fit.degrees) * error
    return Interval(estimate, estimate - half, estimate + half, n, 0.95, words, ASSUMPTIONS)


def _p_values(interval: Interval, degrees: int, bound: float) -> tuple[float, float]:
    """p of no slope, and of a slope beyond `bound` either way; NaN where there is no interval."""
    if not interval.exists or degrees < 1:
        return NAN, NAN
    error = (interval.high - interval.low) / 2 / t_quantile(0.975, degrees)
    p = 2 * t_tail(abs(interval.estimate) / error, degrees)
    return p, t_tail((bound - abs(interval.estimate)) / error, degrees)


def _whole_seeds(grid: Grid, setting: Setting, method: str, alphas: Sequence[float]) -> dict[int, list[float]]:
    """Accuracies over alphas of the seeds that have every one."""
    cells = {cell.alpha: cell.values for cell in grid.of(setting, method)}
    seeds = set.intersection(*(set(cells[alpha]) for alpha in alphas))
    return {seed: [cells[alpha][seed] for alpha in alphas] for seed in sorted(seeds)}


def _adjusted(found: Sequence[Trend]) -> tuple[Trend, ...]:
    """Holm over the setting's methods, for each test; and what Holm would leave of the smallest p of each."""

    def of(p: Callable[[Trend], float]) -> dict[str, float]:
        return holm({trend.method: p(trend) for trend in found})

    slopes, equivalent = of(lambda trend: trend.p), of(lambda trend: trend.p_equivalent)
    pages = of(lambda trend: trend.page.p if trend.page else NAN)
    least = of(lambda trend: trend.page.p_min if trend.page else NAN)
    return tuple(
        replace(
            trend,
            p_adjusted=slopes[trend.method],
            p_equivalent=equivalent[trend.method],
            page_adjusted=pages[trend.method],
            page_reachable=least[trend.method],
        )
        for trend in found
    )
