"""Sections on the representations themselves, and on accuracy against alignment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kd_analysis.accuracy.cells import Setting, network_order, ordered, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.geometry import (
    Points,
    accuracy_against_alignment_figure,
    cross_layer_figure,
    scatter_figure,
    spectra_figure,
)
from kd_analysis.geometry.similarity import stratified
from kd_analysis.geometry.spectrum import scores
from kd_analysis.reading.runs_table import Tree
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.alignment import NONE, POOLED, key
from kd_analysis.representations.comparisons import FLOOR, OWN, OWN_FLAGGED, SINGLE_RUN, GeometryValue
from kd_analysis.representations.npz import LAYERS, load
from kd_analysis.representations.quantities import Quantity, further, in_group
from kd_analysis.representations.transfer import single
from kd_analysis.stats.models import partial_correlation
from kd_hpc.catalogue import METHODS
from kd_hpc.triage.run_directory import Identity

SCATTER_ITEMS, SCATTER_CLASSES = 300, 10


def structure_section(analysis: Analysis) -> Section:
    """Spectra, dimensions, class separation, cross-layer similarity and a picture."""
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        values = analysis.by_setting[setting]
        if any(value.relation == SINGLE_RUN for value in values):
            blocks.append(_spectra(setting, values))
            for stem, words in (("dimensions", "Dimensions"), ("classes", "Classes and components")):
                blocks.append(_structure(setting, values, in_group(stem), stem, f"{words} by layer"))
            if others := further(value.name for value in values if value.relation == SINGLE_RUN):
                blocks.append(_structure(setting, values, others, "further_of_layers", "Further measures by layer"))
            blocks += [*_cross(setting, values), *_scatter(analysis, setting)]
    title = "Structure of the representations"
    if not blocks:
        return Section("structure", title, (Text(NONE),))
    intro = (
        "Three numbers for three things: how many components hold a share of the variance, the participation "
        "ratio, and the effective "
        "rank. The TwoNN dimension is repeated with fewer items: where it falls with them, it says more about N "
        "than about the data. "
        "Numbers are means over alphas and seeds."
    )
    return Section("structure", title, (Text(intro), *blocks, Text(POOLED, "limits")))


def _spectra(setting: Setting, values: Sequence[GeometryValue]) -> Figure:
    curves: dict[str, dict[str, list[float]]] = {layer: {} for layer in LAYERS}
    widest = max(
        (int(v.name.removeprefix("variance_of_")) for v in values if v.name.startswith("variance_of_")), default=0
    )
    found = [single(values, f"variance_of_{k}") for k in range(1, widest + 1)]
    for layer in LAYERS:
        for method in sorted({method for at, method in found[0] if at == layer}, key=network_order) if found else ():
            shares = [each[layer, method] for each in found if (layer, method) in each]
            curves[layer][method] = [sum(share) / len(share) for share in shares]
    caption = (
        f"Cumulative variance of principal components, mean over runs, {setting.dataset}, {setting.pair}; dotted: "
        f"90 and 95 %."
    )
    return Figure(f"spectra_{key(setting)}", caption, partial(spectra_figure, curves))


def _structure(
    setting: Setting, values: Sequence[GeometryValue], shown: Sequence[Quantity], stem: str, words: str
) -> Table:
    found = [single(values, quantity.name) for quantity in shown]
    columns: list[Column | str] = ["layer", "network", "n"]
    columns += [Column(quantity.label, quantity.digits) for quantity in shown]
    rows = []
    for layer, method in sorted(found[0], key=lambda at: (at[0], network_order(at[1]))):
        numbers = [each.get((layer, method), []) for each in found]
        means = (sum(each) / len(each) if each else math.nan for each in numbers)
        rows.append((layer, show_method(method), len(numbers[0]), *means))
    return table(f"{stem}_{key(setting)}", f"{words}, {setting.dataset}, {setting.pair}", columns, rows)


def _cross(setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Figure]:
    matrices: dict[str, NDArray[np.float64]] = {}
    for relation in (FLOOR, OWN):
        crossed = [value for value in values if value.name == "cka_cross" and value.relation == relation]
        methods = sorted({value.identity.method for value in crossed}, key=network_order)
        for method in methods:
            mine = [value for value in crossed if value.identity.method == method]
            matrices[method] = np.array([[_mean(mine, a, b) for b in LAYERS] for a in LAYERS])
    if matrices:
        caption = (
            f"Linear CKA (debiased) of every student layer with every teacher layer, mean over alphas and seeds, "
            f"{setting.dataset}."
        )
        yield Figure(f"cross_layer_{key(setting)}", caption, partial(cross_layer_figure, matrices, LAYERS))


def _mean(values: Sequence[GeometryValue], layer: str, other: str) -> float:
    found = [v.value for v in values if (v.layer, v.other_layer) == (layer, other) and math.isfinite(v.value)]
    return sum(found) / len(found) if found else math.nan


def _scatter(analysis: Analysis, setting: Setting) -> Iterator[Figure]:
    clouds = {}
    for name, identity in _examples(analysis.tree, setting):
        found = load(analysis.tree.by_identity[identity].run.directory / "representations.npz")
        among = np.isin(found.labels, np.unique(found.labels)[:SCATTER_CLASSES])
        layer, labels = found.layers[LAYERS[-1]][among], found.labels[among]
        keep = stratified(labels, SCATTER_ITEMS)
        clouds[name] = (scores(layer, 2)[keep], labels[keep])
    if clouds:
        caption = (
            f"First two principal components of each network's own layer3, lowest seed, {setting.dataset}; "
            f"{SCATTER_ITEMS} items "
            f"of at most {SCATTER_CLASSES} classes. Axes of different networks do not correspond: a picture, not "
            f"a statistic."
        )
        yield Figure(f"components_{key(setting)}", caption, partial(scatter_figure, clouds))


def _examples(tree: Tree, setting: Setting) -> Iterator[tuple[str, Identity]]:
    """Teacher, pure student and each method at its largest alpha, of the lowest seed that has representations."""
    usable = [
        i
        for i, item in tree.usable.items()
        if item.usable_geometry and item.run.has_representations and i.dataset == setting.dataset
    ]
    for model in (setting.teacher, setting.student):
        pure = [i for i in usable if i.is_pure and i.student == model]
        if pure:
            yield f"pure {model}", min(pure, key=lambda i: i.seed)
    students = [i for i in usable if (i.teacher, i.student) == (setting.teacher, setting.student)]
    for method in ordered({identity.method for identity in students}, METHODS):
        mine = [i for i in students if i.method == method]
        largest = max(mine, key=lambda i: (-1.0 if i.alpha is None else i.alpha, -i.seed))
        yield f"{show_method(method)} {show_alpha(largest.alpha)}", largest


def relation_section(analysis: Analysis) -> Section:
    """Accuracy against alignment, within a data set."""
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        layers = {layer: _points(analysis, setting, layer) for layer in LAYERS}
        if any(points.methods for points in layers.values()):
            caption = (
                f"Test accuracy against linear CKA with the own teacher, one dot a run, {setting.dataset}, "
                f"{setting.pair}."
            )
            draw = partial(accuracy_against_alignment_figure, layers, "linear CKA (debiased)")
            blocks += [
                Figure(f"accuracy_against_alignment_{key(setting)}", caption, draw),
                _correlations(analysis, setting),
            ]
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
