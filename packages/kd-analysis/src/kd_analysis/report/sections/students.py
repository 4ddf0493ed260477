"""Students beside each other, and how alignment came about over the epochs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import method_order
from kd_analysis.analysis import Analysis
from kd_analysis.figures.geometry import Curves, series_figure
from kd_analysis.figures.matrices import students_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Text, table
from kd_analysis.report.sections.alignment import in_settings, series_data
from kd_analysis.report.sections.geometry_tables import NONE, key, mean
from kd_analysis.representations.npz import LAYERS
from kd_analysis.representations.pairs import EARLIER, OWN, SEEDS, STUDENTS
from kd_analysis.representations.values import GeometryValue

INTRO = (
    "Linear CKA (debiased) of students with students: of two methods at their largest alpha and the same seed, means "
    "over seeds; on the diagonal of one method with itself at two seeds, which is how alike two trainings are anyway."
)
EPOCHS = (
    "Where representations were kept after earlier epochs (representation_epochs), alignment with the own teacher over "
    "training: means over runs, bands from the least to the largest."
)


def students_section(analysis: Analysis) -> Section:
    """Students with students, and alignment over training."""
    blocks = in_settings(analysis, _of_setting)
    title = "Students beside each other, and along training"
    return Section("students", title, tuple(blocks) if blocks else (Text(NONE),))


def _of_setting(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> list[Block]:
    return [*_matrix(setting, values), *_training(analysis, setting, values)]


def _matrix(setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Block]:
    found: dict[str, dict[frozenset[str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        if value.name == "cka_debiased" and value.relation in (STUDENTS, SEEDS) and math.isfinite(value.value):
            assert value.reference is not None
            found[value.layer][frozenset((value.identity.method, value.reference.method))].append(value.value)
    names = sorted({name for cells in found.values() for pair in cells for name in pair}, key=_order)
    if len(names) < 2:
        return
    layers = {
        layer: np.array([[mean(found[layer].get(frozenset((a, b)), [])) for b in names] for a in names])
        for layer in LAYERS
    }
    where, caption = f"students_{key(setting)}", f"Students with students, linear CKA, {setting.name}."
    rows = [
        (layer, *sorted(pair)[:1], *sorted(pair)[-1:], len(each), mean(each))
        for layer in LAYERS
        for pair, each in found[layer].items()
    ]
    columns = ("layer", Column("first", kind="method"), Column("second", kind="method"), "n", "cka")
    yield Text(INTRO)
    yield Figure(where, caption, partial(students_figure, layers, names), table(where, caption, columns, rows))


def _order(name: str) -> tuple[object, ...]:
    return (name != "pure", method_order(name))


def _training(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Block]:
    """Alignment by epoch; the last epoch is that of each run's representations.npz."""
    curves: Curves = {}
    with_epochs = {value.identity for value in values if value.relation == EARLIER}
    for value in values:
        ours = value.relation in (EARLIER, OWN) and value.identity in with_epochs
        if value.name == "cka_debiased" and ours and math.isfinite(value.value):
            epoch = value.epoch or analysis.tree.by_identity[value.identity].run.epochs
            series = curves.setdefault(value.layer, {}).setdefault(value.identity.method, {})
            series.setdefault(epoch, []).append(value.value)
    if curves:
        where, caption = f"training_cka_{key(setting)}", f"Linear CKA with the own teacher over epochs, {setting.name}."
        data = series_data(where, caption, curves, "epoch")
        draw = partial(series_figure, curves, "epoch", "linear CKA (debiased)")
        yield Text(EPOCHS)
        yield Figure(where, caption, draw, data)
