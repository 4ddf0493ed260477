"""Every cell against the reference, all of a data set at once; the model behind it, and whether it may be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

from kd_analysis.accuracy.cell_model import CellModel
from kd_analysis.accuracy.effects import Effect
from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.forest import ForestRow, forest_figure
from kd_analysis.figures.model import Residual, residuals_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, p_words, slug, table
from kd_analysis.report.sections.confounding import reference_note
from kd_analysis.report.sections.ties import ties_note
from kd_analysis.stats.paired import LEVEL

EFFECTS = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("difference", 2, signed=True, label="difference (points)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p_adjusted", kind="p", label="p, adjusted"),
    "conclusion",
    Column("p_permuted", kind="p", label="p, permuted"),
    Column("p_equivalent", kind="p", label="p, equivalent"),
    Column("best_epoch_difference", 2, signed=True, label="best epoch (points)"),
    Column("best_epoch_conclusion", label="conclusion, best epoch"),
    Column("reference"),
    Column("networks"),
)
MODELS = (
    Column("dataset", label="data set"),
    "networks",
    Column("reference", kind="method"),
    Column("sd", 3, label="error SD (points)"),
    Column("degrees", label="degrees of freedom"),
    Column("runs"),
    Column("cells"),
    Column("p_brown_forsythe", kind="p", label="Brown-Forsythe p, cells"),
    Column("p_spread_cells", kind="p", label="by design, cells"),
    Column("p_spread_methods", kind="p", label="by design, methods"),
    Column("error", label="error used"),
    Column("seed_f", 2, label="F of seeds"),
    Column("seed_p", kind="p", label="p of seeds"),
    Column("p_permuted_min", kind="p", label="smallest permuted p"),
)


def comparisons_section(analysis: Analysis) -> Section:
    """The declared comparisons of cells."""
    title = "Every cell against the reference"
    models = analysis.statistics.models
    if not models:
        return Section("comparisons", title, (Text("No cell has a reference student of the same seed yet."),))
    blocks: list[Block] = [Text(METHOD)]
    blocks += [Text(note, "limits") for note in dict.fromkeys(reference_note(analysis, m.setting) for m in models)]
    blocks += [*(Text(note, "limits") for note in _unpooled(models)), *ties_note(analysis)]
    blocks += [simultaneous(analysis), *_flips(analysis), *_controls(analysis)]
    blocks += [models_table(models), *(_residuals(model) for model in models if model.sd > 0)]
    return Section("comparisons", title, tuple(blocks))


METHOD = (
    "One model a data set: accuracy is a cell, plus a seed, plus an error that all cells share. Each cell is compared "
    "with the reference by that error, and intervals and p values hold for all cells of the data set at once (Dunnett "
    "1955, for seeds as blocks). Beside them: the same largest t under every exchange of labels within a seed, which "
    "assumes no distribution, and two one-sided tests against the smallest effect of interest. Intervals are about the "
    "spread of seeds: that the test set is a sample, too, is not in them."
)


def simultaneous(analysis: Analysis) -> Table:
    """tables/simultaneous.csv."""
    best = {effect.cell.name: effect for model in analysis.models_best for effect in model.effects}
    rows = [
        _row(model, effect, best.get(effect.cell.name))
        for model in analysis.statistics.models
        for effect in model.effects
    ]
    caption = "Difference to the reference, simultaneous 95 % intervals over each data set's cells, last epoch"
    return table("simultaneous", caption, EFFECTS, rows)


def _row(model: CellModel, effect: Effect, best: Effect | None) -> tuple[object, ...]:
    cell = effect.cell
    return (
        cell.setting.dataset,
        cell.method,
        show_alpha(cell.alpha),
        effect.n,
        effect.difference,
        effect.low,
        effect.high,
        effect.p_adjusted,
        str(effect.conclusion),
        effect.p_permuted,
        effect.p_equivalent,
        best.difference if best else None,
        str(best.conclusion) if best else None,
        cell.reference.label,
        cell.setting.pair,
    )


def _flips(analysis: Analysis) -> Iterator[Text]:
    best = {effect.cell.name: effect for model in analysis.models_best for effect in model.effects}
    names = [
        effect.cell.name
        for model in analysis.statistics.models
        for effect in model.effects
        if (other := best.get(effect.cell.name)) and other.conclusion != effect.conclusion
    ]
    if names:
        yield Text(f"The conclusion depends on taking the last or the best epoch in: {'; '.join(names)}.", "warning")


def _unpooled(models: tuple[CellModel, ...]) -> Iterator[str]:
    """Where one error may not stand for all cells, and where nothing tells."""
    for model in models:
        name, tests = model.setting.name, (model.spread_of_cells, model.spread_of_methods)
        if model.sd > 0 and not model.pooled:
            p = p_words(min(test.p_design for test in tests if math.isfinite(test.p_design)))
            yield (
                f"{name}: cells do not scatter alike (Brown-Forsythe by design, {p}). Each cell is judged by its own "
                "paired differences: t intervals at Bonferroni's level, Holm's p values. They are much wider."
            )
        elif model.sd > 0 and not any(math.isfinite(test.p_design) for test in tests):
            yield f"{name}: with so few runs nothing tells whether cells scatter alike; one error for all is assumed."


def _controls(analysis: Analysis) -> Iterator[Table]:
    """Control arms, other settings and forks, a family of their own, and beside each the method it controls for."""
    rows = [
        (*_row(model, effect, None)[:9], _method_minus(effect, beside), effect.cell.reference.label)
        for model in analysis.statistics.models
        for effect in model.variants
        for beside in [_ordinary(model, effect)]
    ]
    if rows:
        minus = Column("method_minus_arm", 2, signed=True, label="method minus this arm (points)")
        columns = (*EFFECTS[:9], minus, Column("reference"))
        yield table("controls", "Control arms and other variants, each against its reference", columns, rows)


def _method_minus(effect: Effect, beside: Effect | None) -> float | None:
    """Nothing where the two are not compared with the same students."""
    if beside is None or beside.cell.reference != effect.cell.reference:
        return None
    return beside.difference - effect.difference


def _ordinary(model: CellModel, effect: Effect) -> Effect | None:
    """The ordinary cell of the variant's method and alpha."""
    method = effect.cell.method.partition("+")[0]
    return next((e for e in model.effects if (e.cell.method, e.cell.alpha) == (method, effect.cell.alpha)), None)


def models_table(models: tuple[CellModel, ...]) -> Table:
    rows = [
        (
            model.setting.dataset,
            model.setting.pair,
            model.reference.method,
            model.sd,
            model.degrees,
            len(model.data.values),
            len(model.data.arms),
            model.spread_of_cells.p,
            model.spread_of_cells.p_design,
            model.spread_of_methods.p_design,
            "pooled" if model.pooled else "each cell's own" if model.sd > 0 else "none: seeds agree or are too few",
            model.seeds.statistic if model.seeds else None,
            model.seeds.p if model.seeds else None,
            model.p_permuted_min,
        )
        for model in models
    ]
    caption = (
        "The models: their error, whether cells scatter alike (either p by design below "
        f"{LEVEL / 2:g}: they do not), and whether pairing by seed pays (F of seeds)"
    )
    return table("models", caption, MODELS, rows)


def _residuals(model: CellModel) -> Figure:
    observations = model.observations
    name = f"residuals_{slug(model.setting.dataset)}_{slug(model.setting.pair)}"
    drawn = [
        Residual(
            one.method,
            one.fitted,
            one.residual,
            f"{show_method(one.method)}{'' if one.alpha is None else f' {show_alpha(one.alpha)}'}, seed {one.seed}",
        )
        for one in observations
    ]
    columns = (Column("method", kind="method"), "alpha", "seed", "accuracy", "fitted", "residual")
    rows = [(o.method, o.alpha, o.seed, o.value, o.fitted, o.residual) for o in observations]
    caption = (
        f"Residuals of the model of cells and seeds, {model.setting.name}: over fitted accuracies, and against a "
        "normal distribution (on the line if they follow one)."
    )
    return Figure(name, caption, partial(residuals_figure, drawn), table(name, caption, columns, rows))


def forest(analysis: Analysis) -> Figure | None:
    """All declared comparisons of cells in one picture."""
    groups = {
        model.setting.name: [_forest_row(effect) for effect in model.effects]
        for model in analysis.statistics.models
        if model.effects
    }
    if not groups:
        return None
    delta = analysis.smallest_effect
    caption = (
        f"Accuracy against the {_references(analysis)}, percentage points, with 95 % intervals that hold for all cells "
        f"of a data set at once. Shaded: differences within ±{delta:g} points, declared too small to matter."
    )
    columns = ("setting", Column("method", kind="method"), "alpha", "n", "difference", "low", "high", "conclusion")
    rows = [
        (name, row.method, row.mark, row.n, row.estimate, row.low, row.high, row.conclusion)
        for name, found in groups.items()
        for row in found
    ]
    draw = partial(forest_figure, groups, "difference (points)", delta)
    return Figure("forest", caption, draw, table("forest", caption, columns, rows))


def _forest_row(effect: Effect) -> ForestRow:
    mark = show_alpha(effect.cell.alpha)
    return ForestRow(
        effect.cell.method, mark, effect.difference, effect.low, effect.high, effect.n, str(effect.conclusion)
    )


def _references(analysis: Analysis) -> str:
    labels: Mapping[str, None] = dict.fromkeys(model.reference.label for model in analysis.statistics.models)
    return " or ".join(labels)
