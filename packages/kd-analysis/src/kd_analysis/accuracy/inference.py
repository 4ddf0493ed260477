"""The pre-declared tests, Holm inside each family, and a ledger of every p value the report computes.

Family 1: does a method raise accuracy over pure training? Per method the mean difference over alphas in each block of
data set and seed, exact sign-flip. Family 2: does accuracy rise with alpha? Page's exact trend test over the same
blocks, repeated without the largest alpha because real curves bend down there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kd_analysis.accuracy.cells import Cell, Grid, Setting
from kd_analysis.stats.exact import TestResult, holm, page_trend, sign_flip
from kd_analysis.stats.intervals import Interval, t_interval
from kd_analysis.stats.models import contrast_intervals
from kd_analysis.stats.paired import Conclusion, CrossFit, conclude, cross_fit

GAIN = "gain over pure training"
TREND = "rise with alpha"
TREND_WITHOUT_LARGEST = "rise with alpha, without the largest"
FEWEST_BLOCKS = 2


@dataclass(frozen=True)
class Tested:
    """One line of the ledger: the test, its p adjusted within its family, the effect it is about, what follows."""

    family: str
    method: str
    result: TestResult
    adjusted_p: float
    effect: Interval
    conclusion: Conclusion
    blocks: tuple[str, ...]

    @property
    def unit(self) -> str:
        return "points" if self.family == GAIN else "points per unit of alpha"


@dataclass(frozen=True)
class Contrast:
    """Linear (points per unit of alpha) and quadratic contrast of a method's accuracy over alpha, over blocks."""

    method: str
    alphas: tuple[float, ...]
    linear: Interval
    quadratic: Interval | None


@dataclass(frozen=True)
class BestAlpha:
    """The best alpha of a method in one setting, honestly evaluated."""

    setting: Setting
    method: str
    alphas: tuple[float, ...]
    fit: CrossFit


def ledger(grid: Grid) -> tuple[Tested, ...]:
    """Every test of every family, in the order they were declared."""
    alphas = known_alphas(grid)
    families = [_family(grid, GAIN, _gain)]
    if len(alphas) >= 3:
        families.append(_family(grid, TREND, lambda grid, method: _trend(grid, method, alphas)))
        families.append(_family(grid, TREND_WITHOUT_LARGEST, lambda grid, method: _trend(grid, method, alphas[:-1])))
    return tuple(tested for family in families for tested in family)


def contrasts(grid: Grid) -> tuple[Contrast, ...]:
    """Dose-response contrasts of every method that has at least one whole block."""
    alphas = known_alphas(grid)
    found = []
    for method in grid.methods if len(alphas) >= 2 else ():
        _, rows = _whole_blocks(grid, method, alphas)
        if rows:
            linear, *more = contrast_intervals(rows, alphas)
            found.append(Contrast(method, alphas, linear, more[0] if more else None))
    return tuple(found)


def best_alphas(grid: Grid) -> tuple[BestAlpha, ...]:
    """Cross-fitted best alpha wherever two seeds have every alpha."""
    alphas = known_alphas(grid)
    found = []
    for setting in grid.settings if len(alphas) >= 2 else ():
        for method in grid.methods:
            _, rows = _whole_blocks(grid, method, alphas, only=setting)
            if len(rows) >= 2:
                found.append(BestAlpha(setting, method, alphas, cross_fit(rows)))
    return tuple(found)


def known_alphas(grid: Grid) -> tuple[float, ...]:
    return tuple(alpha for alpha in grid.alphas if alpha is not None)


def block_gains(grid: Grid, method: str) -> dict[str, float]:
    """Mean difference to pure over the alphas present, points, by block of setting and seed."""
    gains: dict[str, list[float]] = {}
    for cell in grid.cells:
        if cell.method == method:
            for seed, difference in cell.differences.items():
                gains.setdefault(_block(cell.setting, seed), []).append(difference)
    return {block: sum(values) / len(values) for block, values in gains.items()}


Method = Callable[[Grid, str], tuple[tuple[str, ...], Callable[[], TestResult], Interval] | None]


def _family(grid: Grid, name: str, test: Method) -> Iterator[Tested]:
    prepared = {method: found for method in grid.methods if (found := test(grid, method)) is not None}
    results = {method: run() for method, (_, run, _) in prepared.items()}
    adjusted = holm({method: result.p for method, result in results.items()})
    for method, result in results.items():
        blocks, _, effect = prepared[method]
        conclusion = conclude(effect.estimate, effect.low, effect.high, p=result.p, adjusted_p=adjusted[method])
        yield Tested(name, method, result, adjusted[method], effect, conclusion, blocks)


def _gain(grid: Grid, method: str) -> tuple[tuple[str, ...], Callable[[], TestResult], Interval] | None:
    gains = block_gains(grid, method)
    if len(gains) < FEWEST_BLOCKS:
        return None
    values = list(gains.values())
    return tuple(gains), lambda: sign_flip(values), t_interval(values)


def _trend(
    grid: Grid, method: str, alphas: Sequence[float]
) -> tuple[tuple[str, ...], Callable[[], TestResult], Interval] | None:
    blocks, rows = _whole_blocks(grid, method, alphas)
    if len(rows) < FEWEST_BLOCKS:
        return None
    return blocks, lambda: page_trend(rows), contrast_intervals(rows, alphas)[0]


def _whole_blocks(
    grid: Grid, method: str, alphas: Sequence[float], only: Setting | None = None
) -> tuple[tuple[str, ...], list[list[float]]]:
    """Differences to pure over alphas, for the blocks that have every alpha."""
    names, rows = [], []
    for setting in grid.settings:
        if only in (None, setting):
            cells = {cell.alpha: cell for cell in grid.of(setting, method)}
            for seed in _common_seeds(cells, alphas):
                names.append(_block(setting, seed))
                rows.append([cells[alpha].differences[seed] for alpha in alphas])
    return tuple(names), rows


def _common_seeds(cells: dict[float | None, Cell], alphas: Sequence[float]) -> list[int]:
    if not all(alpha in cells for alpha in alphas):
        return []
    return sorted(set.intersection(*(set(cells[alpha].differences) for alpha in alphas)))


def _block(setting: Setting, seed: int) -> str:
    return f"{setting.dataset} {setting.pair} seed {seed}"
