"""What distillation cost: calibration, and classes that lost while the mean did not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from kd_analysis.accuracy.cell_model import cell_model
from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import show_alpha
from kd_analysis.accuracy.other_values import grid_of_values
from kd_analysis.analysis import Analysis
from kd_analysis.figures.classes import classes_figure
from kd_analysis.geometry.superclasses import NAMES
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.confounding import reference_note
from kd_analysis.report.sections.geometry_tables import NONE, key, mean
from kd_analysis.representations.pairs import SINGLE_RUN
from kd_analysis.representations.quantities import in_group
from kd_analysis.representations.values import GeometryValue
from kd_hpc.triage.run_directory import Identity

MOST_CLASSES = 20
INTRO = (
    "Calibration of what students say of their own certainty, after the last epoch: the expected calibration error "
    "over 15 bins (Guo 2017) and the Brier score; smaller is better for both. Differences to the reference, all cells "
    "of a data set at once. Label smoothing lowers certainty by itself."
)
CALIBRATION = (
    Column("dataset", label="data set"),
    "measure",
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("mean", 3),
    Column("reference", 3),
    Column("difference", 3, signed=True),
    Column("low", 3, signed=True),
    Column("high", 3, signed=True),
    Column("p_adjusted", kind="p", label="p, adjusted"),
    Column("networks", beside=True),
)
CLASSES = (
    Column("dataset", label="data set"),
    "class",
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("difference", 2, signed=True, label="difference (points)"),
)


def cost_of_distillation_section(analysis: Analysis) -> Section:
    """Calibration, and accuracy by class."""
    title = "What distillation cost: certainty and classes"
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        values = analysis.by_setting[setting]
        if any(value.name == "ece" for value in values):
            blocks += [Text(reference_note(analysis, setting), "limits"), *_classes(analysis, setting, values)]
    if not blocks:
        return Section("cost_of_distillation", title, (Text(NONE),))
    return Section("cost_of_distillation", title, (Text(INTRO), _calibration(analysis), *blocks))


def _calibration(analysis: Analysis) -> Table:
    rows = []
    for quantity in in_group("calibration"):
        found = {v.identity: v.value for v in analysis.values if v.name == quantity.name and v.value == v.value}
        grid = grid_of_values(analysis.last, found, found)
        for setting in analysis.last.settings:
            model = cell_model(grid, setting, math.inf, permuted=False)
            for effect in model.effects if model else ():
                cell = effect.cell
                means = (mean(list(cell.values.values())), mean(list(cell.reference.values.values())))
                bounds = (effect.difference, effect.low, effect.high, effect.p_adjusted)
                at = (setting.dataset, quantity.label, cell.method, show_alpha(cell.alpha), effect.n)
                rows.append((*at, *means, *bounds, setting.pair))
    return table("calibration", "Calibration against the reference", CALIBRATION, rows)


def _classes(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Block]:
    """Difference to the reference by class: superclasses where the data set has them, else classes."""
    names = NAMES.get(setting.dataset)
    prefix = "superclass_" if names else "class_"
    found = _by_class(analysis, setting, values, prefix)
    if not found:
        return
    ranked = sorted(found, key=lambda number: mean([mean(each) for each in found[number].values()]))
    shown = ranked if len(ranked) <= MOST_CLASSES else ranked[: MOST_CLASSES // 2] + ranked[-MOST_CLASSES // 2 :]
    title = {number: names[number] if names else f"class {number}" for number in ranked}
    yield from _by_method(analysis, setting, found, title, shown)
    rows = [
        (setting.dataset, title[number], method, show_alpha(alpha), len(each), mean(each))
        for number in ranked
        for (method, alpha), each in found[number].items()
    ]
    where = f"classes_lost_{key(setting)}"
    yield table(where, f"Accuracy by class against the reference, {setting.name}", CLASSES, rows, csv_only=True)


def _by_method(
    analysis: Analysis,
    setting: Setting,
    found: Mapping[int, Mapping[tuple[str, float | None], Sequence[float]]],
    title: Mapping[int, str],
    shown: Sequence[int],
) -> Iterator[Figure]:
    """One panel: classes down, methods across, means over alphas and seeds."""
    methods = analysis.last.methods
    cells = {
        (title[number], method): mean([v for (m, _), each in found[number].items() if m == method for v in each])
        for number in shown
        for method in methods
    }
    where = f"classes_{key(setting)}"
    few = "" if len(shown) == len(found) else f" The {len(shown)} classes that changed most of {len(found)}."
    caption = (
        f"Accuracy by class as the difference to the reference, points, means over alphas and seeds, {setting.name}; "
        f"classes that lost most come first.{few} Differences of single classes are not tested: read the pattern."
    )
    rows = [(*at, value) for at, value in cells.items()]
    data = table(where, caption, ("class", Column("method", kind="method"), "difference"), rows)
    yield Figure(where, caption, partial(classes_figure, cells, tuple(title[n] for n in shown), methods), data)


def _by_class(
    analysis: Analysis, setting: Setting, values: Sequence[GeometryValue], prefix: str
) -> dict[int, dict[tuple[str, float | None], list[float]]]:
    """Differences to the plain student of the same seed, by class and cell."""
    plain_arm = analysis.last.reference(setting).method
    by_run: dict[Identity, dict[int, float]] = defaultdict(dict)
    for value in values:
        if value.relation == SINGLE_RUN and value.name.startswith(prefix) and value.value == value.value:
            by_run[value.identity][int(value.name.removeprefix(prefix))] = value.value
    plain = {i.seed: found for i, found in by_run.items() if i.student == setting.student and i.method == plain_arm}
    result: dict[int, dict[tuple[str, float | None], list[float]]] = defaultdict(lambda: defaultdict(list))
    for identity, found in by_run.items():
        base = plain.get(identity.seed)
        if identity.teacher is None or "+" in identity.method or base is None:
            continue
        for number in found.keys() & base.keys():
            result[number][identity.method, identity.alpha].append(found[number] - base[number])
    return result
