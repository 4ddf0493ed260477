"""Everything that is said of accuracy, computed once from one grid."""

from __future__ import annotations

from dataclasses import dataclass

from kd_analysis.accuracy.best_alpha import BestAlpha, best_alphas
from kd_analysis.accuracy.cell_model import CellModel, cell_models
from kd_analysis.accuracy.cells import Grid, Setting
from kd_analysis.accuracy.data_sets import OverDataSets, over_data_sets
from kd_analysis.accuracy.trend_model import Trend, trends


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of one choice of accuracy: the model of each setting, each method's trend in each, methods over data sets, and
    the best alpha chosen and evaluated on different seeds."""

    grid: Grid
    smallest_effect: float
    models: tuple[CellModel, ...]
    trends: tuple[Trend, ...]
    over: tuple[OverDataSets, ...]
    best_alphas: tuple[BestAlpha, ...]

    def model(self, setting: Setting) -> CellModel | None:
        """None where nothing of the setting can be compared yet."""
        return next((model for model in self.models if model.setting == setting), None)

    def trends_in(self, setting: Setting) -> tuple[Trend, ...]:
        return tuple(trend for trend in self.trends if trend.setting == setting)


def statistics_of(grid: Grid, smallest_effect: float) -> Statistics:
    """Nothing in it can raise, however few or many runs there are."""
    models = cell_models(grid, smallest_effect)
    return Statistics(
        grid=grid,
        smallest_effect=smallest_effect,
        models=models,
        trends=tuple(trend for model in models for trend in trends(grid, model)),
        over=over_data_sets(grid, models, smallest_effect),
        best_alphas=best_alphas(grid),
    )
