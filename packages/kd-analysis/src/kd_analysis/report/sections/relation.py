"""Accuracy against alignment: between cells, within them, and without each method in turn."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import network_order
from kd_analysis.analysis import Analysis
from kd_analysis.figures.geometry import Points, accuracy_against_alignment_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.geometry_tables import NONE, key
from kd_analysis.representations.npz import LAYERS
from kd_analysis.representations.pairs import FLOOR, OWN, OWN_FLAGGED
from kd_analysis.representations.values import GeometryValue
from kd_analysis.stats.models import correlation_between, correlation_within

LIMITS = (
    "Runs of one cell share method and alpha, and all runs of a seed a teacher: they are not independent, and r over "
    "all of them has no n that would make an interval. So: between cells, of their means, n the cells; within cells, "
    "of the deviations from their means, degrees of freedom what is left; and between cells again without each method "
    "in turn, for one method can make a correlation. Quarantined runs are drawn and not counted: four of them once "
    "turned r = -0.12 into +0.99. Correlation is not cause."
)
COLUMNS = (
    "layer",
    "over",
    "n",
    Column("r", 2, signed=True),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("least", 2, signed=True, label="least without a method"),
    Column("most", 2, signed=True, label="most without a method"),
)


def relation_section(analysis: Analysis) -> Section:
    """Accuracy against alignment, within a data set."""
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        layers = {layer: _points(analysis, setting, layer) for layer in LAYERS}
        if any(points.methods for points in layers.values()):
            blocks += [_figure(setting, layers), _correlations(analysis, setting)]
    title = "Accuracy against alignment"
    if not blocks:
        return Section("relation", title, (Text(NONE),))
    return Section("relation", title, (Text(LIMITS, "limits"), *blocks))


def _points(analysis: Analysis, setting: Setting, layer: str) -> Points:
    methods: dict[str, list[tuple[float, float]]] = {}
    pure, flagged = [], []
    for value in _own(analysis, setting, layer):
        dot = (value.value, analysis.tree.by_identity[value.identity].run.acc_last)
        if value.relation == FLOOR:
            pure.append(dot)
        elif value.relation == OWN_FLAGGED:
            flagged.append(dot)
        else:
            methods.setdefault(value.identity.method, []).append(dot)
    return Points({method: methods[method] for method in sorted(methods, key=network_order)}, pure, flagged)


def _own(analysis: Analysis, setting: Setting, layer: str) -> Iterator[GeometryValue]:
    for value in analysis.by_setting[setting]:
        shown = value.name == "cka_debiased" and value.layer == layer and value.relation in (OWN, FLOOR, OWN_FLAGGED)
        if shown and math.isfinite(value.value):
            yield value


def _figure(setting: Setting, layers: Mapping[str, Points]) -> Figure:
    name = f"accuracy_against_alignment_{key(setting)}"
    caption = f"Test accuracy against linear CKA with the own teacher, one dot a run, {setting.name}."
    rows = [
        (layer, method, x, y)
        for layer, points in layers.items()
        for method, dots in (*points.methods.items(), ("pure", points.pure), ("quarantined", points.flagged))
        for x, y in dots
    ]
    data = table(name, caption, ("layer", Column("method", kind="method"), "cka", "accuracy"), rows)
    return Figure(name, caption, partial(accuracy_against_alignment_figure, layers, "linear CKA (debiased)"), data)


def _correlations(analysis: Analysis, setting: Setting) -> Table:
    rows: list[tuple[object, ...]] = []
    for layer in LAYERS:
        cells: dict[tuple[str, float | None], list[tuple[float, float]]] = defaultdict(list)
        for value in _own(analysis, setting, layer):
            if value.relation == OWN:
                accuracy = analysis.tree.by_identity[value.identity].run.acc_last
                cells[value.identity.method, value.identity.alpha].append((value.value, accuracy))
        if len(cells) < 4:
            continue
        between, within = correlation_between(list(cells.values())), correlation_within(list(cells.values()))
        without = [r for method in {at[0] for at in cells} if (r := _without(cells, method)) == r]
        ends = (min(without), max(without)) if without else (None, None)
        rows.append((layer, "cells", between.n, between.estimate, between.low, between.high, *ends))
        rows.append((layer, "runs within cells", within.n, within.estimate, within.low, within.high, None, None))
    caption = f"Correlation of accuracy with linear CKA, {setting.name}"
    return table(f"correlation_{key(setting)}", caption, COLUMNS, rows)


def _without(cells: Mapping[tuple[str, float | None], Sequence[tuple[float, float]]], method: str) -> float:
    return correlation_between([dots for at, dots in cells.items() if at[0] != method]).estimate
