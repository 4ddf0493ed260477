"""Sections on the representations themselves, and on accuracy against alignment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import network_order, ordered, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.geometry import (
    cross_layer_figure,
    scatter_figure,
    spectra_figure,
)
from kd_analysis.geometry.similarity import stratified
from kd_analysis.geometry.spectrum import scores
from kd_analysis.reading.runs_table import Tree
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.alignment import NONE, POOLED, key
from kd_analysis.representations.comparisons import FLOOR, OWN, SINGLE_RUN, GeometryValue
from kd_analysis.representations.npz import LAYERS, load
from kd_analysis.representations.quantities import Quantity, further, in_group
from kd_analysis.representations.transfer import single
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
    name = f"spectra_{key(setting)}"
    rows = [
        (layer, method, place, share)
        for layer, by_method in curves.items()
        for method, shares in by_method.items()
        for place, share in enumerate(shares, start=1)
    ]
    data = table(name, caption, ("layer", "network", "components", "share_of_variance"), rows)
    return Figure(name, caption, partial(spectra_figure, curves), data)


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
        name = f"cross_layer_{key(setting)}"
        rows = [
            (method, LAYERS[y], LAYERS[x], float(value))
            for method, matrix in matrices.items()
            for (y, x), value in np.ndenumerate(matrix)
        ]
        data = table(name, caption, ("network", "student_layer", "teacher_layer", "cka"), rows)
        yield Figure(name, caption, partial(cross_layer_figure, matrices, LAYERS), data)


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
        where = f"components_{key(setting)}"
        rows = [
            (name, int(label), float(x), float(y))
            for name, (points, labels) in clouds.items()
            for label, (x, y) in zip(labels, points, strict=True)
        ]
        data = table(where, caption, ("network", "class", "component_1", "component_2"), rows)
        yield Figure(where, caption, partial(scatter_figure, clouds), data)


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
