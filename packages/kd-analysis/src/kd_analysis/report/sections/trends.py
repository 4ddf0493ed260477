"""Accuracy over alpha: straight lines, curvature, and ranks."""

from __future__ import annotations

from functools import partial

from kd_analysis.accuracy.names import show_alpha
from kd_analysis.accuracy.trend_model import Trend
from kd_analysis.analysis import Analysis
from kd_analysis.figures.forest import ForestRow, forest_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.stats.intervals import Interval

TRENDS = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "n",
    Column("slope", 2, signed=True, label="slope (points per unit alpha)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p", kind="p"),
    Column("p_adjusted", kind="p", label="p, Holm"),
    "conclusion",
    Column("p_equivalent", kind="p", label="p, equivalent"),
    "alphas",
    Column("networks"),
)
SHAPES = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "n",
    Column("curvature", 2, signed=True, label="curvature (points per unit alpha squared)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("slope_by_cells", 2, signed=True, label="slope, error of cells"),
    Column("low_by_cells", 2, signed=True, label="low"),
    Column("high_by_cells", 2, signed=True, label="high"),
    Column("page_l", 1, label="Page's L"),
    Column("page_p", kind="p", label="p, two-sided"),
    Column("page_p_holm", kind="p", label="p, Holm"),
    Column("page_p_reachable", kind="p", label="smallest p, Holm"),
    Column("networks"),
)
METHOD = (
    "Per data set one model: each method has a straight line over alpha, seeds are blocks, all share one error. Slopes "
    "are tested in both directions, with Holm's adjustment over the data set's methods. The slope says how accuracy "
    "changes where the method was used; the reference is not on the line. 'Equivalent' means that over the alphas "
    "trained accuracy changes by less than the smallest effect of interest."
)
SHAPE = (
    "Negative curvature is an inverted U. Page's test asks the same of ranks within seeds, in both directions, and "
    "assumes no distribution; the last column is the smallest p that so few and so tied ranks could have given after "
    "Holm's adjustment."
)


def trends_section(analysis: Analysis) -> Section:
    """Slopes, and what ranks and curvature say beside them."""
    title = "Accuracy over alpha: slopes"
    found = analysis.statistics.trends
    if not found:
        return Section("trends", title, (Text("Needs two strengths of a method."),))
    blocks: list[Block] = [Text(METHOD), _forest(analysis), _table(analysis), Text(SHAPE), _shapes(analysis)]
    if unreachable := _unreachable(found):
        blocks.append(Text(unreachable, "limits"))
    return Section("trends", title, tuple(blocks))


def _table(analysis: Analysis) -> Table:
    rows = [
        (
            trend.setting.dataset,
            trend.method,
            trend.n,
            *_bounds(trend.slope),
            trend.p,
            trend.p_adjusted,
            str(trend.conclusion),
            trend.p_equivalent,
            " ".join(show_alpha(alpha) for alpha in trend.alphas),
            trend.setting.pair,
        )
        for trend in analysis.statistics.trends
    ]
    return table("trends", "Slope of accuracy over alpha, with 95 % intervals", TRENDS, rows)


def _shapes(analysis: Analysis) -> Table:
    rows = [
        (
            trend.setting.dataset,
            trend.method,
            trend.n,
            *_bounds(trend.curvature),
            *_bounds(trend.slope_by_cells),
            *((trend.page.statistic, trend.page.p) if trend.page else (None, None)),
            trend.page_adjusted,
            trend.page_reachable,
            trend.setting.pair,
        )
        for trend in analysis.statistics.trends
    ]
    return table("trend_shapes", "Curvature, the slope by the error of cells, and Page's test", SHAPES, rows)


def _bounds(interval: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (interval.estimate, interval.low, interval.high) if interval else (None, None, None)


def _forest(analysis: Analysis) -> Figure:
    groups = {
        setting.name: [_row(trend) for trend in found]
        for setting in analysis.last.settings
        if (found := analysis.statistics.trends_in(setting))
    }
    caption = (
        "Slopes of accuracy over alpha with 95 % intervals, points per unit of alpha; words are those after Holm's "
        "adjustment."
    )
    rows = [
        (name, row.method, row.n, row.estimate, row.low, row.high, row.conclusion)
        for name, found in groups.items()
        for row in found
    ]
    columns = ("setting", Column("method", kind="method"), "n", "slope", "low", "high", "conclusion")
    draw = partial(forest_figure, groups, "slope (points per unit alpha)", 0.0)
    return Figure("slopes", caption, draw, table("slopes", caption, columns, rows))


def _row(trend: Trend) -> ForestRow:
    slope = trend.slope
    return ForestRow(trend.method, "", slope.estimate, slope.low, slope.high, trend.n, str(trend.conclusion))


def _unreachable(found: tuple[Trend, ...]) -> str:
    """Where Page's test could not have reached 0.05 whatever the data."""
    out_of_reach = {trend.setting.dataset for trend in found if trend.page and trend.page_reachable > 0.05}
    if not out_of_reach:
        return ""
    return (
        "Page's test, adjusted over the methods, could not have reached p = 0.05 on "
        f"{', '.join(sorted(out_of_reach))}, whatever the runs had shown: its silence there says nothing."
    )
