"""Accuracies themselves: table, sweeps over alpha, heatmap of differences."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial

from kd_analysis.accuracy.cells import Cell, Setting
from kd_analysis.accuracy.names import ordered, ordered_models, show_alpha
from kd_analysis.analysis import Analysis
from kd_analysis.figures.overview import HeatCell, heatmap_figure
from kd_analysis.figures.sweeps import Band, Sweep, sweep_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, slug, table
from kd_analysis.report.sections.published import published_blocks
from kd_analysis.report.sections.ties import NO_INTERVAL, starred
from kd_analysis.stats.intervals import Interval, t_interval
from kd_hpc.catalogue import DATASETS, PURE

ACCURACY = (
    Column("dataset", label="data set"),
    "networks",
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("mean", 2, label="mean last (%)"),
    Column("low", 2, kind="percent"),
    Column("high", 2, kind="percent"),
    Column("sd", 2, label="SD"),
    Column("mean_best", 2, label="mean best (%)"),
    Column("seeds", label="each seed, last (%)"),
)
DIFFERENCES = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("difference", 2, signed=True),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("sd", 2),
    Column("difference_best", 2, signed=True),
    Column("low_best", 2, signed=True),
    Column("high_best", 2, signed=True),
    "networks",
)
INTRO = (
    "Accuracy after the last epoch, percent of the test set. The best epoch is chosen on the test set and therefore "
    f"optimistic; it stands beside. Intervals are 95 % Student t intervals of each cell's own seeds. {NO_INTERVAL} "
    "tables/differences.csv holds each cell's paired differences with intervals of their own: two degrees of freedom "
    "at three seeds, so described, never tested."
)
SWEEPS = (
    "Dots are seeds, vertical lines 95 % t intervals of their mean; an arrow says that an interval goes on beyond the "
    "axis, which shows where the seeds are. Hatched: no counted run."
)


def accuracy_section(analysis: Analysis) -> Section:
    """Accuracy of every cell."""
    settings = [setting for setting in analysis.last.settings if any(cell.n for cell in analysis.last.of(setting))]
    blocks: list[Block] = [Text(INTRO), *_heatmap(analysis)]
    blocks += [Text(SWEEPS)] if settings else []
    blocks += [_sweep(analysis, setting) for setting in settings]
    rows = [*_plain_rows(analysis), *_cell_rows(analysis)]
    blocks += [table("accuracy", "Test accuracy by cell", ACCURACY, rows), _differences(analysis)]
    blocks += published_blocks(analysis)
    return Section("accuracy", "Accuracy", tuple(blocks))


def _plain_rows(analysis: Analysis) -> list[tuple[object, ...]]:
    rows = []
    for grids, method in (
        ((analysis.last.pure, analysis.best.pure), PURE),
        ((analysis.last.hard, analysis.best.hard), "pure+hard"),
    ):
        for dataset in ordered({key[0] for key in grids[0]}, DATASETS):
            for model in ordered_models(key[1] for key in grids[0] if key[0] == dataset):
                values, of_best = (grid.get((dataset, model), {}) for grid in grids)
                rows.append((dataset, model, method, None, *_numbers(values, of_best)))
    for (dataset, model), arms in analysis.last.swept.items():
        for method in sorted(arms):
            of_best = analysis.best.swept[dataset, model][method]
            rows.append((dataset, model, method, None, *_numbers(arms[method], of_best)))
    return rows


def _cell_rows(analysis: Analysis) -> list[tuple[object, ...]]:
    return [
        (
            cell.setting.dataset,
            cell.setting.pair,
            cell.method,
            show_alpha(cell.alpha),
            *_numbers(cell.values, best.values),
        )
        for cell, best in zip(analysis.last.cells, analysis.best.cells, strict=True)
    ]


def _numbers(values: Mapping[int, float], best: Mapping[int, float]) -> tuple[object, ...]:
    found: Interval = t_interval([values[seed] for seed in sorted(values)])
    sd = statistics.stdev(values.values()) if len(values) > 1 else float("nan")
    each = ", ".join(f"{values[seed]:.2f}" for seed in sorted(values)) + (" (equal)" if found.tied else "")
    mean_best = sum(best.values()) / len(best) if best else float("nan")
    return (found.n, found.estimate, found.low, found.high, 0.0 if found.tied else sd, mean_best, each)


def _differences(analysis: Analysis) -> Table:
    """tables/differences.csv: each cell by its own paired seeds."""
    rows = [
        (cell.setting.dataset, cell.method, show_alpha(cell.alpha), len(cell.paired_seeds), *_own(cell, best))
        for cell, best in zip(analysis.last.cells, analysis.best.cells, strict=True)
        if cell.comparison is not None
    ]
    return table("differences", "Each cell's own paired differences", DIFFERENCES, rows, csv_only=True)


def _own(cell: Cell, best: Cell) -> tuple[object, ...]:
    numbers: list[object] = []
    for found, with_sd in ((cell.comparison, True), (best.comparison, False)):
        bounds = (found.interval.estimate, found.interval.low, found.interval.high) if found else (None, None, None)
        numbers += [*bounds, *([found.sd if found else None] if with_sd else [])]
    return (*numbers, cell.setting.pair)


def _heatmap(analysis: Analysis) -> list[Block]:
    grid = analysis.last
    groups = {
        setting.name: {
            (cell.method, cell.alpha): HeatCell(found.interval.estimate, found.n, found.tied)
            for cell in grid.of(setting)
            if (found := cell.comparison)
        }
        for setting in grid.settings
    }
    if not any(groups.values()):
        return [Text("No cell can be compared with a reference yet.")]
    caption = (
        "Mean difference to the reference student of the same seed, percentage points; hatched where no seed has both."
        f"{starred(cell.tied for heat in groups.values() for cell in heat.values())}"
    )
    rows = [(name, *at, cell.value, cell.n) for name, heat in groups.items() for at, cell in heat.items()]
    columns = ("setting", Column("method", kind="method"), "alpha", "difference", "n")
    draw = partial(heatmap_figure, groups, grid.methods, grid.alphas, "difference to the reference (points)")
    return [Figure("difference_heatmap", caption, draw, table("difference_heatmap", caption, columns, rows))]


def _sweep(analysis: Analysis, setting: Setting) -> Figure:
    grid = analysis.last
    sweeps = {
        method: {cell.alpha: tuple(cell.values.values()) for cell in grid.of(setting, method)}
        for method in grid.methods
    }
    reference = grid.reference(setting)
    bands = [Band(f"pure {setting.student}", tuple(grid.baseline(setting).values()))]
    if reference.is_hard:
        bands.append(Band(f"hard-label {setting.student}", tuple(reference.values.values())))
    bands.append(Band(f"teacher {setting.teacher}", tuple(grid.teacher(setting).values()), is_teacher=True))
    every = (*(v for sweep in sweeps.values() for v in sweep.values()), *(band.values for band in bands))
    name = f"accuracy_over_alpha_{slug(setting.dataset)}_{slug(setting.pair)}"
    caption = (
        f"Test accuracy after the last epoch over alpha, {setting.name}; n in each label."
        f"{starred(t_interval(values).tied for values in every)}"
    )
    draw = partial(sweep_figure, sweeps, tuple(bands), grid.alphas, "test accuracy (%)")
    return Figure(name, caption, draw, sweep_data(name, caption, sweeps, bands))


def sweep_data(name: str, caption: str, sweeps: Mapping[str, Sweep], bands: list[Band]) -> Table:
    """What a sweep shows: one row a value."""
    rows: list[tuple[object, ...]] = [
        (method, alpha, value)
        for method, sweep in sweeps.items()
        for alpha, values in sweep.items()
        for value in values
    ]
    rows += [(band.label, None, value) for band in bands for value in band.values]
    return table(name, caption, (Column("method", kind="method"), "alpha", "value"), rows)
