"""Sections on inference: heatmaps, the pre-declared tests with their ledger, best alpha, aggregates, gap closed."""

from __future__ import annotations

from functools import partial

from kd_analysis.accuracy.cells import Setting, show_alpha, show_method
from kd_analysis.accuracy.inference import Tested, block_gains
from kd_analysis.analysis import Analysis
from kd_analysis.figures.overview import HeatCell, heatmap_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Text, table
from kd_analysis.report.sections.ties import NO_INTERVAL, starred
from kd_analysis.stats.intervals import (
    Interval,
    interquartile_mean,
    probability_of_improvement,
    ratio_interval,
    t_interval,
)
from kd_analysis.stats.models import block_model

LEDGER = (
    "family",
    "method",
    "blocks",
    "test",
    Column("statistic", 3),
    Column("effect", 2, signed=True),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p", 5),
    Column("smallest possible p", 5),
    Column("p, Holm", 5),
    "conclusion",
    "conclusion, best epoch",
)


def heatmap_section(analysis: Analysis) -> Section:
    """Mean difference to pure by method and alpha."""
    grid = analysis.last
    groups = {
        f"{setting.dataset}, {setting.pair}": {
            (cell.method, cell.alpha): HeatCell(found.interval.estimate, found.n, found.tied)
            for cell in grid.of(setting)
            if (found := cell.comparison)
        }
        for setting in grid.settings
    }
    if not any(groups.values()):
        return Section("heatmaps", "Difference to pure training at a glance", (Text("No cell can be compared yet."),))
    figure = Figure(
        "difference_heatmap",
        "Mean difference to the pure student of the same seed, in percentage points; hatched where no seed has "
        f"both sides.{starred(cell.tied for heat in groups.values() for cell in heat.values())}",
        partial(heatmap_figure, groups, grid.methods, grid.alphas, "difference to pure (points)"),
    )
    return Section("heatmaps", "Difference to pure training at a glance", (figure,))


def tests_section(analysis: Analysis) -> Section:
    """The declared families, every p value, and the contrasts over alpha."""
    blocks: list[Block] = [
        Text(
            "Two families of tests were declared before the data. Family 1: per method, the mean paired "
            "difference to pure over "
            "alphas in each block of data set and seed; exact sign-flip test over the blocks. Family 2: per "
            "method, whether "
            "accuracy rises with alpha; Page's exact trend test with the same blocks, repeated without the "
            "largest alpha. Holm's "
            "adjustment holds inside each family. The table below is the ledger of every p value in this report. "
            f"{NO_INTERVAL}"
        ),
        Text(
            "Blocks of one data set share teachers, pure students and seeds across methods and alphas; counting "
            "cells that beat "
            "pure is therefore no evidence, and no such count is made.",
            "limits",
        ),
    ]
    if not analysis.ledger:
        blocks.append(Text("No method has two blocks yet: no test is made."))
        return Section("tests", "Pre-declared tests", tuple(blocks))
    best = {(tested.family, tested.method): str(tested.conclusion) for tested in analysis.ledger_best}
    blocks.append(
        table(
            "p_values",
            "Ledger of p values",
            LEDGER,
            [_tested(t, best.get((t.family, t.method))) for t in analysis.ledger],
        )
    )
    few = sorted({t.method for t in analysis.ledger if t.result.p_min > 0.05})
    if few:
        text = f"With these blocks no result could reach p = 0.05 for: {', '.join(map(show_method, few))}."
        blocks.append(Text(text, "limits"))
    blocks += _contrasts(analysis)
    return Section("tests", "Pre-declared tests", tuple(blocks))


def _tested(tested: Tested, best: str | None) -> tuple[object, ...]:
    result, effect = tested.result, tested.effect
    return (
        tested.family,
        tested.method,
        result.n,
        result.method,
        result.statistic,
        effect.estimate,
        effect.low,
        effect.high,
        result.p,
        result.p_min,
        tested.adjusted_p,
        str(tested.conclusion),
        best,
    )


def _contrasts(analysis: Analysis) -> list[Block]:
    if not analysis.contrasts:
        return []
    columns: list[Column | str] = [
        "method",
        "alphas",
        "blocks",
        Column("linear (points per unit alpha)", 2, signed=True),
        Column("low", 2, signed=True),
        Column("high", 2, signed=True),
        Column("quadratic", 2, signed=True),
        Column("low, quadratic", 2, signed=True),
        Column("high, quadratic", 2, signed=True),
    ]
    rows = []
    for found in analysis.contrasts:
        bent = found.quadratic
        rows.append(
            (
                found.method,
                " ".join(show_alpha(alpha) for alpha in found.alphas),
                found.linear.n,
                *_bounds(found.linear),
                *(_bounds(bent) if bent else (None, None, None)),
            )
        )
    caption = (
        "Shape over alpha, on its real spacing: slope and curvature (negative: an inverted U), t intervals over blocks"
    )
    return [table("contrasts", caption, columns, rows)]


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return (interval.estimate, interval.low, interval.high)


def best_alpha_section(analysis: Analysis) -> Section:
    """Best alpha, chosen and evaluated on different seeds."""
    title = "Best alpha, cross-fitted"
    if not analysis.best_alphas:
        return Section("best_alpha", title, (Text("Needs two seeds that have every alpha; none does yet."),))
    text = (
        "The largest of several means is too large by construction (half a standard deviation under no effect at "
        "all). Here alpha "
        "is chosen on all seeds but one and evaluated on that one; the naive maximum stands beside it."
    )
    columns: list[Column | str] = [
        "data set",
        "method",
        "n",
        "chosen without each seed",
        Column("held-out difference (points)", 2, signed=True),
        Column("low", 2, signed=True),
        Column("high", 2, signed=True),
        "naive best alpha",
        Column("naive difference (points)", 2, signed=True),
    ]
    rows = [
        (
            found.setting.dataset,
            found.method,
            found.fit.interval.n,
            ", ".join(show_alpha(found.alphas[place]) for place in found.fit.chosen),
            *_bounds(found.fit.interval),
            show_alpha(found.alphas[found.fit.naive_choice]),
            found.fit.naive_mean,
        )
        for found in analysis.best_alphas
    ]
    return Section("best_alpha", title, (Text(text), table("best_alpha", "Best alpha by method", columns, rows)))


def aggregates_section(analysis: Analysis) -> Section:
    """Over data sets: mean, interquartile mean, probability of improvement; the block models; the gap closed."""
    blocks: list[Block] = []
    columns: list[Column | str] = [
        "method",
        "blocks",
        Column("mean (points)", 2, signed=True),
        Column("low", 2, signed=True),
        Column("high", 2, signed=True),
        Column("interquartile mean", 2, signed=True),
        Column("low, IQM", 2, signed=True),
        Column("high, IQM", 2, signed=True),
        Column("P(improvement)", 2),
        Column("low, P", 2),
        Column("high, P", 2),
    ]
    rows = []
    for method in analysis.last.methods:
        if gains := list(block_gains(analysis.last, method).values()):
            found = (t_interval(gains), interquartile_mean(gains), probability_of_improvement(gains))
            rows.append((method, len(gains), *(number for interval in found for number in _bounds(interval))))
    if not rows:
        return Section("aggregates", "Over all data sets", (Text("No block can be compared yet."),))
    caption = "Difference to pure over blocks of data set and seed (mean over alphas in each)"
    blocks.append(table("aggregates", caption, columns, rows))
    blocks += _models(analysis)
    blocks += _gap(analysis)
    return Section("aggregates", "Over all data sets", tuple(blocks))


def _models(analysis: Analysis) -> list[Block]:
    """OLS per setting: cells against pure, seeds as fixed blocks."""
    rows: list[tuple[object, ...]] = []
    for setting in analysis.last.settings:
        cells = [cell for cell in analysis.last.of(setting) if cell.n]
        data = [(0, seed, value) for seed, value in analysis.last.baseline(setting).items()]
        data += [(i, seed, value) for i, cell in enumerate(cells, 1) for seed, value in cell.values.items()]
        present = {number for number, _, _ in data}
        if 0 not in present or len(present) < 2:
            continue
        numbers, seeds, values = zip(*data, strict=True)
        if (model := block_model(values, numbers, seeds)) is not None:
            for cell, effect in zip(cells, model.effects, strict=True):
                identity = (setting.dataset, cell.method, show_alpha(cell.alpha), effect.n)
                rows.append((*identity, *_bounds(effect), model.residual_sd, model.degrees))
    columns: list[Column | str] = [
        "data set",
        "method",
        "alpha",
        "n",
        Column("effect (points)", 2, signed=True),
        Column("low", 2, signed=True),
        Column("high", 2, signed=True),
        Column("residual SD", 2),
        "degrees of freedom",
    ]
    caption = (
        "Least squares per data set: each cell against pure, seeds as fixed blocks, one residual variance (descriptive)"
    )
    return [table("block_models", caption, columns, rows)] if rows else []


def _gap(analysis: Analysis) -> list[Block]:
    """Share of the gap from pure student to teacher that a cell closes, where there surely is a gap."""
    rows: list[tuple[object, ...]] = []
    unsure = []
    for setting in analysis.last.settings:
        if not _has_gap(analysis, setting):
            unsure.append(setting.dataset)
            continue
        teacher, pure = analysis.last.teacher(setting), analysis.last.baseline(setting)
        for cell in analysis.last.of(setting):
            seeds = [seed for seed in cell.paired_seeds if seed in teacher]
            if len(seeds) > 1:
                closed = ratio_interval([cell.differences[s] for s in seeds], [teacher[s] - pure[s] for s in seeds])
                rows.append((setting.dataset, cell.method, show_alpha(cell.alpha), closed.n, *_bounds(closed)))
    blocks: list[Block] = []
    if unsure:
        names = ", ".join(unsure)
        text = f"Gap closed is not computed for {names}: no interval of teacher minus pure student excludes zero there."
        blocks.append(Text(text, "limits"))
    columns: list[Column | str] = [
        "data set",
        "method",
        "alpha",
        "n",
        Column("share of gap closed", 2),
        Column("low", 2),
        Column("high", 2),
    ]
    if rows:
        blocks.append(
            table("gap_closed", "Share of the gap between pure student and teacher (Fieller interval)", columns, rows)
        )
    return blocks


def _has_gap(analysis: Analysis, setting: Setting) -> bool:
    teacher, pure = analysis.last.teacher(setting), analysis.last.baseline(setting)
    seeds = sorted(set(teacher) & set(pure))
    return len(seeds) > 1 and t_interval([teacher[seed] - pure[seed] for seed in seeds]).excludes_zero
