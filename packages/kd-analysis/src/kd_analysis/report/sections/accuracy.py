"""Sections on accuracy: tables with intervals, sweeps over alpha."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from functools import partial

from kd_analysis.accuracy.cells import Cell, Setting, ordered, ordered_models, show_alpha
from kd_analysis.analysis import Analysis
from kd_analysis.figures.sweeps import Band, sweep_figure
from kd_analysis.report.document import Block, Bullets, Column, Figure, Section, Text, slug, table
from kd_analysis.report.sections.ties import NO_INTERVAL, starred, step_of, ties_note
from kd_analysis.stats.intervals import Interval, t_interval
from kd_analysis.stats.paired import sentence
from kd_hpc.catalogue import DATASETS

ACCURACY = (
    "data set",
    "networks",
    "method",
    "alpha",
    "n",
    Column("mean last (%)", 2),
    Column("low", 2),
    Column("high", 2),
    Column("SD", 2),
    Column("mean best (%)", 2),
    "each seed, last (%)",
)
DIFFERENCES = (
    "data set",
    "method",
    "alpha",
    "n",
    Column("last epoch (points)", 2, signed=True),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    "conclusion",
    Column("best epoch (points)", 2, signed=True),
    Column("low, best", 2, signed=True),
    Column("high, best", 2, signed=True),
    "conclusion, best",
)
POWER = (
    "data set",
    "method",
    "alpha",
    "n",
    Column("SD of paired difference", 2),
    Column("SD if unpaired", 2),
    "pairing",
    Column("detectable at 80 % power (points)", 1),
    "seeds needed for the effect seen",
)


def accuracy_section(analysis: Analysis) -> Section:
    """Accuracy of every cell and its difference to pure training."""
    blocks: list[Block] = [
        Text(
            "Accuracy is that of the last epoch, in percent of the test set. The best epoch is chosen on the "
            "test set and "
            "therefore optimistic; it stands beside. Intervals (low to high) are 95 % Student t intervals over "
            f"seeds. {NO_INTERVAL}"
        ),
        *ties_note(analysis),
        table("accuracy", "Test accuracy by cell", ACCURACY, [*_pure_rows(analysis), *_cell_rows(analysis)]),
    ]
    lines = [
        sentence(cell.name, cell.comparison, step=step_of(cell.setting.dataset))
        for cell in analysis.last.cells
        if cell.comparison
    ]
    blocks.append(
        Text(
            "Differences are student minus pure student of the same seed, in percentage points. Single cells are "
            "descriptive: with these numbers of seeds no test per cell is both valid and powerful, so none is made."
        )
    )
    compared = list(_compared(analysis))
    blocks.append(
        table(
            "differences",
            "Difference to the pure student, paired by seed",
            DIFFERENCES,
            [_difference(*p) for p in compared],
        )
    )
    if flips := [cell.name for cell, best in compared if _flips(cell, best)]:
        blocks.append(
            Text(f"The conclusion depends on taking the last or the best epoch in: {'; '.join(flips)}.", "warning")
        )
    power = [_power(cell) for cell, _ in compared if cell.comparison and cell.comparison.n > 1]
    blocks.append(table("power", "What these numbers of seeds can show", POWER, power))
    blocks.append(Bullets(tuple(lines)) if lines else Text("No cell has a pure student of the same seed yet."))
    return Section("accuracy", "Accuracy", tuple(blocks))


def _pure_rows(analysis: Analysis) -> list[tuple[object, ...]]:
    rows = []
    for dataset in ordered({key[0] for key in analysis.last.pure}, DATASETS):
        for model in ordered_models(key[1] for key in analysis.last.pure if key[0] == dataset):
            values, best = analysis.last.pure[dataset, model], analysis.best.pure[dataset, model]
            rows.append((dataset, model, "pure", None, *_numbers(values, best)))
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
    sd = _sd(list(values.values()))
    each = ", ".join(f"{values[seed]:.2f}" for seed in sorted(values)) + (" (equal)" if found.tied else "")
    mean_best = sum(best.values()) / len(best) if best else float("nan")
    return (found.n, found.estimate, found.low, found.high, sd, mean_best, each)


def _sd(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else float("nan")


def _compared(analysis: Analysis) -> Iterator[tuple[Cell, Cell]]:
    """Cells that have a pure student of the same seed, under the last and under the best epoch."""
    pairs = zip(analysis.last.cells, analysis.best.cells, strict=True)
    return ((cell, best) for cell, best in pairs if cell.comparison is not None)


def _flips(cell: Cell, best: Cell) -> bool:
    return bool(
        cell.comparison
        and best.comparison
        and cell.comparison.n > 1
        and cell.comparison.conclusion != best.comparison.conclusion
    )


def _difference(cell: Cell, best: Cell) -> tuple[object, ...]:
    numbers: list[object] = []
    for found in (cell.comparison, best.comparison):
        if found is None:
            numbers += [None] * 4
        else:
            conclusion = f"{found.conclusion}: seeds agree" if found.tied else str(found.conclusion)
            numbers += [found.interval.estimate, found.interval.low, found.interval.high, conclusion]
    return (cell.setting.dataset, cell.method, show_alpha(cell.alpha), len(cell.paired_seeds), *numbers)


def _power(cell: Cell) -> tuple[object, ...]:
    found = cell.comparison
    assert found is not None
    pairing = "seeds agree" if found.tied else "helps" if found.sd < found.sd_unpaired else "hurts"
    identity = (cell.setting.dataset, cell.method, show_alpha(cell.alpha), found.n)
    return (*identity, found.sd, found.sd_unpaired, pairing, found.detectable, found.seeds_needed)


def sweeps_section(analysis: Analysis) -> Section:
    """Accuracy over alpha in every setting."""
    blocks: list[Block] = [
        Text(
            "Dots are seeds, vertical lines 95 % t intervals of their mean; an arrow says that an interval goes "
            "on beyond "
            "the axis. The bands are the pure student and the teacher. Pure training is not alpha = 0: pure runs "
            "use label "
            "smoothing, distilled ones do not. Hatched: no counted run."
        )
    ]
    blocks += [_sweep(analysis, setting) for setting in analysis.last.settings if _any(analysis, setting)]
    if len(blocks) == 1:
        blocks = [Text("No distilled run is finished and sound yet.")]
    return Section("sweeps", "Accuracy over alpha", tuple(blocks))


def _any(analysis: Analysis, setting: Setting) -> bool:
    return any(cell.n for cell in analysis.last.of(setting))


def _sweep(analysis: Analysis, setting: Setting) -> Figure:
    grid = analysis.last
    sweeps = {
        method: {cell.alpha: tuple(cell.values.values()) for cell in grid.of(setting, method)}
        for method in grid.methods
    }
    bands = (
        Band(f"pure {setting.student}", tuple(grid.baseline(setting).values())),
        Band(f"teacher {setting.teacher}", tuple(grid.teacher(setting).values()), is_teacher=True),
    )
    tied = [
        t_interval(values).tied
        for values in (*(v for sweep in sweeps.values() for v in sweep.values()), *(b.values for b in bands))
    ]
    return Figure(
        f"accuracy_over_alpha_{slug(setting.dataset)}_{slug(setting.pair)}",
        f"Test accuracy after the last epoch over alpha, {setting.dataset}, {setting.pair}; n in each label."
        f"{starred(tied)}",
        partial(sweep_figure, sweeps, bands, grid.alphas, "test accuracy (%)"),
    )
