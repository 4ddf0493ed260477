"""Every p value of the report in one place, with what it was adjusted for and what it could have been at least."""

from __future__ import annotations

from collections.abc import Iterator

from kd_analysis.accuracy.data_sets import OverDataSets
from kd_analysis.accuracy.effects import Effect
from kd_analysis.accuracy.names import show_alpha
from kd_analysis.accuracy.trend_model import Trend
from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Column, Section, Text, table

LEDGER = (
    "family",
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "alpha",
    "n",
    "test",
    Column("p", kind="p"),
    Column("p_adjusted", kind="p", label="p, adjusted"),
    Column("p_reachable", kind="p", label="smallest adjusted p"),
    "adjustment",
    "role",
)
INTRO = (
    "Declared before the data: per data set, cells against the reference (Dunnett), control arms and other variants"
    " against it as a family of their own, and slopes over alpha (Holm); over data sets, the mean of each method "
    "(Holm). They decide the words of this report. The others are checks: the same questions asked without the "
    "normal model, and equivalence. How many cells lie above the reference is no evidence: all of them share it, so"
    " that 20 of 24 lie on one side by chance alone. The ledger is about accuracy: tests of the model's assumptions"
    " stand with the models, p values of alignment, copied errors and certainty in their own sections, as "
    "explorations, each family for itself."
)
DECLARED, CHECK = "declared", "check"
CELLS, VARIANTS = "cells against the reference", "variants against the reference"


def ledger_section(analysis: Analysis) -> Section:
    """The ledger."""
    rows = list(ledger_rows(analysis))
    if not rows:
        return Section("ledger", "Ledger of p values", (Text("Nothing is tested yet."),))
    return Section(
        "ledger", "Ledger of p values", (Text(INTRO), table("p_values", "Every p value about accuracy", LEDGER, rows))
    )


def ledger_rows(analysis: Analysis) -> Iterator[tuple[object, ...]]:
    """One row a p value, in the order of `LEDGER`."""
    for model in analysis.statistics.models:
        for effect in model.effects:
            yield from _of_cell(CELLS, effect, pooled=model.pooled, smallest=model.p_permuted_min)
        for effect in model.variants:
            yield from _of_cell(VARIANTS, effect, pooled=model.pooled, smallest=None)
    for trend in analysis.statistics.trends:
        yield from _of_trend(trend)
    for over in analysis.statistics.over:
        yield from _over(over)


def _of_cell(family: str, effect: Effect, *, pooled: bool, smallest: float | None) -> Iterator[tuple[object, ...]]:
    cell = effect.cell
    if effect.p != effect.p:
        return
    at = (family, cell.setting.dataset, cell.method, show_alpha(cell.alpha), effect.n)
    test, how = ("t, pooled error", "Dunnett") if pooled else ("t, own differences", "Holm")
    yield (*at, test, effect.p, effect.p_adjusted, None, how, DECLARED)
    yield (*at, "largest t, labels exchanged within seeds", None, effect.p_permuted, smallest, "largest t", CHECK)
    of = "largest t, one-sided" if pooled else "Bonferroni"
    yield (*at, "two one-sided, smallest effect", None, effect.p_equivalent, None, of, CHECK)


def _of_trend(trend: Trend) -> Iterator[tuple[object, ...]]:
    at = ("slopes over alpha", trend.setting.dataset, trend.method, None, trend.n)
    if trend.p == trend.p:
        yield (*at, f"t, {trend.slope.method}", trend.p, trend.p_adjusted, None, "Holm", DECLARED)
        yield (*at, "two one-sided, smallest effect", None, trend.p_equivalent, None, "Holm", CHECK)
    if trend.page:
        test = f"{trend.page.method}, two-sided"
        yield (*at, test, trend.page.p, trend.page_adjusted, trend.page_reachable, "Holm", CHECK)


def _over(over: OverDataSets) -> Iterator[tuple[object, ...]]:
    where = ", ".join(dict.fromkeys(each.setting.dataset for each in over.on))
    at = ("means over data sets", where, over.method, None, over.fixed.n)
    if over.p == over.p:
        yield (*at, "t, error of the runs", over.p, over.p_adjusted, None, "Holm", DECLARED)
        yield (*at, "two one-sided, smallest effect", None, over.p_equivalent, None, "Holm", CHECK)
    flips = over.flips
    yield (*at, f"{flips.method}, {flips.n} blocks", flips.p, over.flips_adjusted, over.flips_reachable, "Holm", CHECK)
