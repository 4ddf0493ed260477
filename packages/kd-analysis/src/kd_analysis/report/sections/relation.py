"""Accuracy against alignment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import network_order
from kd_analysis.analysis import Analysis
from kd_analysis.figures.geometry import Points, accuracy_against_alignment_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.alignment import NONE, key
from kd_analysis.representations.comparisons import FLOOR, OWN, OWN_FLAGGED, GeometryValue
from kd_analysis.representations.npz import LAYERS
from kd_analysis.stats.models import partial_correlation


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
    text = (
        "Within a data set and with alpha partialled out. Quarantined runs are drawn but not counted: four of "
        "them once turned "
        "r = -0.12 into +0.99. Runs share teachers and seeds, so these intervals are descriptive, and "
        "correlation is not cause."
    )
    return Section("relation", title, (Text(text, "limits"), *blocks))


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


def _correlations(analysis: Analysis, setting: Setting) -> Table:
    rows = []
    for layer in LAYERS:
        for counted, label in (((OWN,), "counted runs"), ((OWN, OWN_FLAGGED), "with quarantined runs, for comparison")):
            found = [
                v for v in _own(analysis, setting, layer) if v.relation in counted and v.identity.alpha is not None
            ]
            if len(found) < 4 or (len(counted) > 1 and not any(v.relation == OWN_FLAGGED for v in found)):
                continue
            accuracy = [analysis.tree.by_identity[v.identity].run.acc_last for v in found]
            one = partial_correlation([v.value for v in found], accuracy, [[v.identity.alpha or 0.0] for v in found])
            rows.append((layer, label, one.n, one.estimate, one.low, one.high))
    columns: list[Column | str] = [
        "layer",
        "runs",
        "n",
        Column("partial r", 2, signed=True),
        Column("low", 2, signed=True),
        Column("high", 2, signed=True),
    ]
    return table(
        f"correlation_{key(setting)}",
        f"Correlation of accuracy with linear CKA, alpha partialled out, {setting.dataset}",
        columns,
        rows,
    )


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
