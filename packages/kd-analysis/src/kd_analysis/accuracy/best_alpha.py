"""The best alpha of a method, chosen on some seeds and evaluated on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kd_analysis.accuracy.cells import Cell, Grid, Setting
from kd_analysis.stats.paired import CrossFit, cross_fit


@dataclass(frozen=True)
class BestAlpha:
    """The best alpha of a method in one setting, honestly evaluated."""

    setting: Setting
    method: str
    alphas: tuple[float, ...]
    fit: CrossFit


def best_alphas(grid: Grid) -> tuple[BestAlpha, ...]:
    """Cross-fitted best alpha wherever two seeds have every alpha that the method has there."""
    found = []
    for setting in grid.settings:
        for method in grid.methods:
            cells = {cell.alpha: cell for cell in grid.of(setting, method) if cell.alpha is not None and cell.n}
            alphas = tuple(sorted(cells))
            seeds = _common_seeds(cells, alphas)
            if len(alphas) > 1 and len(seeds) > 1:
                rows = [[cells[alpha].differences[seed] for alpha in alphas] for seed in seeds]
                found.append(BestAlpha(setting, method, alphas, cross_fit(rows)))
    return tuple(found)


def _common_seeds(cells: Mapping[float, Cell], alphas: Sequence[float]) -> list[int]:
    return sorted(set.intersection(*(set(cells[alpha].differences) for alpha in alphas))) if alphas else []
