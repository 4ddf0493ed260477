"""A method over several data sets: on these, and on data sets like them.

Two questions that are easily taken for one. "On these": the mean of the effects seen, with the error of the runs. "On
data sets like these": how effects differ between data sets is part of the uncertainty, and a few data sets say little
about it; treating each data set and seed as one independent block would claim the second with the error of the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kd_analysis.accuracy.cell_model import CellModel
from kd_analysis.accuracy.cells import Grid, Setting
from kd_analysis.stats.distributions import t_quantile, t_tail
from kd_analysis.stats.exact import TestResult, holm, sign_flip
from kd_analysis.stats.hierarchy import Hierarchy, hierarchy
from kd_analysis.stats.intervals import NAN, TIED, Interval
from kd_analysis.stats.paired import Conclusion, conclude

PRIOR = 0.5
"""Scale in points of the half-normal prior on the SD between data sets."""
PRIORS = (0.25, 0.5, 1.0, 2.0)
FIXED = "mean over these data sets, error of the runs (Satterthwaite)"


@dataclass(frozen=True)
class OnDataSet:
    """A method's mean difference over its alphas in one setting, points, with its standard error and degrees of
    freedom; the error is NaN where one seed carries none."""

    setting: Setting
    n: int
    difference: float
    error: float
    degrees: int


@dataclass(frozen=True, eq=False)
class OverDataSets:
    """`fixed` is about these data sets; `likely` about data sets like them, under each prior scale of `PRIORS`.

    `flips` is the exact sign-flip test over blocks of data set and seed; p values are adjusted over methods (Holm), and
    `flips_reachable` is what Holm would leave of the smallest p of each. `likely` is empty below two data sets.
    """

    method: str
    on: tuple[OnDataSet, ...]
    fixed: Interval
    p: float
    p_adjusted: float
    p_equivalent: float
    flips: TestResult
    flips_adjusted: float
    flips_reachable: float
    likely: Mapping[float, Hierarchy]

    @property
    def conclusion(self) -> Conclusion:
        if not math.isfinite(self.p_adjusted):
            return Conclusion.INCONCLUSIVE
        return conclude(
            self.fixed.estimate,
            self.fixed.low,
            self.fixed.high,
            p=self.p,
            adjusted_p=self.p_adjusted,
            equivalence_p=self.p_equivalent,
        )


def over_data_sets(grid: Grid, models: Iterable[CellModel], smallest_effect: float) -> tuple[OverDataSets, ...]:
    """Every method that can be compared anywhere."""
    models = tuple(models)
    found = [_over(grid, models, method, smallest_effect) for method in grid.methods]
    return _adjusted([each for each in found if each is not None])


def block_gains(grid: Grid, method: str) -> dict[str, float]:
    """Mean difference to the reference over the alphas present, points, by block of setting and seed."""
    gains: dict[str, list[float]] = {}
    for setting in grid.settings:
        for cell in grid.of(setting, method):
            for seed, difference in cell.differences.items():
                gains.setdefault(f"{setting.name}, seed {seed}", []).append(difference)
    return {block: sum(values) / len(values) for block, values in gains.items()}


def _over(grid: Grid, models: Sequence[CellModel], method: str, smallest_effect: float) -> OverDataSets | None:
    on = tuple(found for model in models if (found := _on(model, method)) is not None)
    if not on:
        return None
    fixed, degrees, error = _fixed(on)
    known = math.isfinite(error)
    p = 2 * t_tail(abs(fixed.estimate) / error, degrees) if known else NAN
    equivalent = t_tail((smallest_effect - abs(fixed.estimate)) / error, degrees) if known else NAN
    flips = sign_flip(list(block_gains(grid, method).values()))
    return OverDataSets(method, on, fixed, p, NAN, equivalent, flips, NAN, NAN, _likely(on))


def _on(model: CellModel, method: str) -> OnDataSet | None:
    """The mean over the method's cells against the reference: by the model's error, or by its seeds' own means."""
    effects = [effect for effect in model.effects if effect.cell.method == method]
    if not effects:
        return None
    seeds = {seed for effect in effects for seed in effect.cell.paired_seeds}
    difference = sum(effect.difference for effect in effects) / len(effects)
    if model.fit is None or model.fit.sd == 0:
        return OnDataSet(model.setting, len(seeds), difference, NAN, 0)
    if not model.pooled:
        return _by_seeds(model.setting, [effect.cell.differences for effect in effects])
    keys = {(effect.cell.method, effect.cell.alpha): 1 / len(effects) for effect in effects}
    row = model.contrast({**keys, (model.reference.method, None): -1.0})
    error = float(model.fit.errors(row)[0])
    return OnDataSet(model.setting, len(seeds), float(model.fit.estimates(row)[0]), error, model.fit.degrees)


def _by_seeds(setting: Setting, differences: Sequence[Mapping[int, float]]) -> OnDataSet:
    seeds = sorted({seed for found in differences for seed in found})
    means = np.array([np.mean([found[seed] for found in differences if seed in found]) for seed in seeds])
    scatters = len(means) > 1 and float(np.ptp(means)) > TIED
    error = float(means.std(ddof=1)) / math.sqrt(len(means)) if scatters else NAN
    return OnDataSet(setting, len(seeds), float(means.mean()), error, len(means) - 1)


def _fixed(on: Sequence[OnDataSet]) -> tuple[Interval, float, float]:
    """Mean over data sets with its interval, degrees of freedom and standard error."""
    mean, n = sum(each.difference for each in on) / len(on), sum(each.n for each in on)
    variances = [each.error**2 for each in on]
    total = sum(variances)
    if not (math.isfinite(total) and total > 0):
        return Interval(mean, NAN, NAN, n, 0.95, FIXED, ""), NAN, NAN
    degrees = total**2 / sum(v**2 / each.degrees for v, each in zip(variances, on, strict=True))
    error = math.sqrt(total) / len(on)
    half = t_quantile(0.975, degrees) * error
    words = "independent normal errors of the runs; nothing is said of other data sets"
    return Interval(mean, mean - half, mean + half, n, 0.95, FIXED, words), degrees, error


def _likely(on: Sequence[OnDataSet]) -> dict[float, Hierarchy]:
    known = [each for each in on if math.isfinite(each.error)]
    if len(known) < 2:
        return {}
    effects, errors = [each.difference for each in known], [each.error for each in known]
    return {scale: hierarchy(effects, errors, scale) for scale in PRIORS}


def _adjusted(found: Sequence[OverDataSets]) -> tuple[OverDataSets, ...]:
    def of(p: Callable[[OverDataSets], float]) -> dict[str, float]:
        return holm({each.method: p(each) for each in found})

    differs, equivalent = of(lambda each: each.p), of(lambda each: each.p_equivalent)
    flips, least = of(lambda each: each.flips.p), of(lambda each: each.flips.p_min)
    return tuple(
        replace(
            each,
            p_adjusted=differs[each.method],
            p_equivalent=equivalent[each.method],
            flips_adjusted=flips[each.method],
            flips_reachable=least[each.method],
        )
        for each in found
    )
