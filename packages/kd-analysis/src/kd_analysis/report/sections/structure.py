"""The representations themselves: spectra, dimensions, classes, how measures agree with each other, and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import method_order, network_order, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.geometry import Curves, scatter_figure, series_figure
from kd_analysis.figures.heatmaps import HeatRow, heatmaps_figure
from kd_analysis.figures.matrices import components_figure
from kd_analysis.figures.taxonomy import Dot, Plane, taxonomy_figure
from kd_analysis.geometry.similarity import stratified
from kd_analysis.geometry.spectrum import scores
from kd_analysis.report.document import Block, Column, Figure, Section, Text, table
from kd_analysis.report.sections.alignment import series_data
from kd_analysis.report.sections.geometry_tables import NONE, POOLED, by_alpha, key, mean, network_table
from kd_analysis.representations.npz import LAYERS, load
from kd_analysis.representations.pairs import OWN, PICTURE, SINGLE_RUN, examples
from kd_analysis.representations.quantities import further, in_group, label
from kd_analysis.representations.values import GeometryValue
from kd_hpc.triage.run_directory import Identity

SCATTER_ITEMS, SCATTER_CLASSES = 300, 10
HEATS = (
    ("effective_rank", SINGLE_RUN, 1),
    ("fisher_ratio", SINGLE_RUN, 2),
    ("cka_debiased", OWN, 2),
    ("cka_rbf_minus_linear", OWN, 2),
)
PLANES = (
    ("cka_debiased", "cka_rbf_0.4", OWN),
    ("fisher_ratio", "knn_probe", SINGLE_RUN),
    ("components_95", "two_nn", SINGLE_RUN),
)
INTRO = (
    "Three numbers for three things: how many components hold a share of the variance, the participation ratio, and "
    "the effective rank. TwoNN (Facco 2017) is repeated with fewer items: where it falls with them, it says more about "
    "N than about the data. The 10-NN probe gives a tied vote to the smallest label, as scikit-learn does. Numbers are "
    "means over alphas and seeds; the CSV names n for each column."
)


def structure_section(analysis: Analysis) -> Section:
    """Spectra, dimensions, class separation, agreement of measures, and a picture."""
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        values = analysis.by_setting[setting]
        if any(value.relation == SINGLE_RUN for value in values):
            blocks += _of_setting(analysis, setting, values)
    title = "Structure of the representations"
    if not blocks:
        return Section("structure", title, (Text(NONE),))
    return Section("structure", title, (Text(INTRO), *blocks, Text(POOLED, "limits")))


def _of_setting(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Block]:
    yield _spectra(setting, values)
    yield from _heats(analysis, setting, values)
    yield from _taxonomies(analysis, setting, values)
    for stem, words in (("dimensions", "Dimensions by layer"), ("classes", "Classes and components by layer")):
        yield network_table(setting, values, in_group(stem), stem, words)
    if any(value.name.endswith("_superclasses") for value in values):
        yield network_table(setting, values, in_group("superclasses"), "superclasses", "The 20 superclasses by layer")
    if others := further(value.name for value in values if value.relation == SINGLE_RUN and value.layer):
        yield network_table(setting, values, others, "further_of_layers", "Further measures by layer")
    yield from _matched(setting, values)
    yield from _scatter(analysis, setting)
    yield from _umap(setting, values)


def _spectra(setting: Setting, values: Sequence[GeometryValue]) -> Figure:
    curves: Curves = {layer: {} for layer in LAYERS}
    for value in values:
        if value.name.startswith("variance_of_") and value.value == value.value:
            identity, place = value.identity, int(value.name.removeprefix("variance_of_"))
            name = f"{identity.method} {identity.student}" if identity.teacher is None else identity.method
            curves[value.layer].setdefault(name, {}).setdefault(place, []).append(value.value)
    ordered = {
        layer: {name: found[name] for name in sorted(found, key=network_order)} for layer, found in curves.items()
    }
    caption = (
        "Cumulative variance of principal components: means over runs, bands from the least to the largest run, "
        f"{setting.name}; dotted: 90 and 95 %."
    )
    name = f"spectra_{key(setting)}"
    words = ("principal components", "share of variance", (0.90, 0.95))
    draw = partial(series_figure, ordered, *words, logarithmic=True)
    return Figure(name, caption, draw, series_data(name, caption, ordered, "components"))


def _heats(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Figure]:
    """Method by alpha of the quantities a thesis asks for."""
    rows, lines = [], []
    for name, relation, digits in HEATS:
        found = by_alpha(values, name, relation)
        layers = {layer: {at: mean(each) for at, each in found.get(layer, {}).items()} for layer in LAYERS}
        if any(layers.values()):
            rows.append(HeatRow(label(name), layers, digits, diverging="minus" in name))
            for layer, cells in found.items():
                lines += [(label(name), layer, *at, len(each), mean(each)) for at, each in cells.items()]
    if rows and analysis.last.alphas:
        where = f"geometry_heatmaps_{key(setting)}"
        caption = (
            f"Method by alpha, means over seeds: effective dimension, class separation, alignment, {setting.name}."
        )
        columns = ("measure", "layer", Column("method", kind="method"), "alpha", "n", "mean")
        draw = partial(heatmaps_figure, rows, analysis.last.methods, analysis.last.alphas)
        yield Figure(where, caption, draw, table(where, caption, columns, lines))


def _taxonomies(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Figure]:
    planes, lines = [], []
    for x_name, y_name, relation in PLANES:
        xs, ys = by_alpha(values, x_name, relation), by_alpha(values, y_name, relation)
        layers = {}
        for layer in LAYERS:
            both = sorted(xs.get(layer, {}).keys() & ys.get(layer, {}).keys(), key=_cell)
            dots = [Dot(*at, mean(xs[layer][at]), mean(ys[layer][at]), len(xs[layer][at])) for at in both]
            layers[layer] = dots
            lines += [(x_name, y_name, layer, d.method, d.alpha, d.n, d.x, d.y) for d in dots]
        if any(layers.values()):
            planes.append(Plane(label(x_name), label(y_name), layers))
    if planes:
        where = f"taxonomies_{key(setting)}"
        caption = (
            "Do measures say the same? RBF against linear CKA, class separation against the 10-NN probe, components "
            f"against intrinsic dimension; a dot a method and alpha, larger with more alpha, {setting.name}."
        )
        columns = ("x", "y", "layer", Column("method", kind="method"), "alpha", "n", "x_mean", "y_mean")
        draw = partial(taxonomy_figure, planes, analysis.last.alphas)
        yield Figure(where, caption, draw, table(where, caption, columns, lines))


def _cell(at: tuple[str, float | None]) -> tuple[object, ...]:
    return (method_order(at[0]), -1.0 if at[1] is None else at[1])


def _scatter(analysis: Analysis, setting: Setting) -> Iterator[Figure]:
    clouds = {}
    for identity in examples(analysis.tree, analysis.files, setting):
        name, found = _name(identity), load(analysis.files[analysis.tree.by_identity[identity].run.path].last.path)
        among = np.isin(found.labels, np.unique(found.labels)[:SCATTER_CLASSES])
        layer, labels = found.layers[LAYERS[-1]][among], found.labels[among]
        keep = stratified(labels, SCATTER_ITEMS)
        clouds[name] = (scores(layer, 2)[keep], labels[keep])
    if clouds:
        caption = (
            f"First two principal components of each network's own layer3, lowest seed, {setting.dataset}; "
            f"{SCATTER_ITEMS} items of at most {SCATTER_CLASSES} classes. Axes of different networks do not "
            "correspond: a picture, not a statistic."
        )
        where = f"components_{key(setting)}"
        rows = [
            (name, int(label), float(x), float(y))
            for name, (points, labels) in clouds.items()
            for label, (x, y) in zip(labels, points, strict=True)
        ]
        data = table(where, caption, ("network", "class", "component_1", "component_2"), rows)
        yield Figure(where, caption, partial(scatter_figure, clouds), data)


def _matched(setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Figure]:
    """One picture a method: which of the teacher's components the student has."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for value in values:
        if value.relation == PICTURE and value.name.startswith("ica_r_"):
            row, column = map(int, value.name.removeprefix("ica_r_").split("_"))
            found.setdefault(_name(value.identity), {})[row, column] = value.value
    if not found:
        return
    where = f"matched_components_{key(setting)}"
    caption = (
        "Independent components of layer3, |correlation| of each of the student's (down) with each of its teacher's "
        f"(across), matched pairs on the diagonal; lowest seed, largest alpha, {setting.name}."
    )
    rows = [(name, *at, value) for name, cells in found.items() for at, value in cells.items()]
    data = table(where, caption, ("network", "student_component", "teacher_component", "correlation"), rows)
    matrices = {name: _matrix(cells) for name, cells in found.items()}
    yield Figure(where, caption, partial(components_figure, matrices), data)


def _umap(setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Figure]:
    """The teacher's items and each student's among them, where umap-learn is installed."""
    points: dict[str, dict[tuple[int, str], float]] = {}
    for value in values:
        if value.relation == PICTURE and value.name.startswith("umap_"):
            number, _, what = value.name.removeprefix("umap_").partition("_")
            points.setdefault(_name(value.identity), {})[int(number), what] = value.value
    if not points:
        return
    clouds = {"teacher": _cloud(next(iter(points.values())), "teacher")}
    clouds |= {name: _cloud(found, "student") for name, found in points.items()}
    where = f"umap_{key(setting)}"
    caption = (
        "UMAP (McInnes 2018) of the teacher's layer3, and each student's items placed in it after a rotation onto the "
        f"teacher's, lowest seed, {setting.dataset}. Distances and areas mean nothing: a picture, not a statistic."
    )
    rows = [
        (name, int(label), float(x), float(y))
        for name, (placed, labels) in clouds.items()
        for label, (x, y) in zip(labels, placed, strict=True)
    ]
    data = table(where, caption, ("network", "class", "x", "y"), rows)
    yield Figure(where, caption, partial(scatter_figure, clouds, ("", "")), data)


def _cloud(found: Mapping[tuple[int, str], float], who: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    numbers = sorted({number for number, what in found if what == "class"})
    points = np.array([[found[number, f"{who}_{axis}"] for axis in (0, 1)] for number in numbers])
    return points, np.array([int(found[number, "class"]) for number in numbers])


def _matrix(cells: Mapping[tuple[int, int], float]) -> NDArray[np.float64]:
    matrix = np.zeros([1 + max(at[side] for at in cells) for side in (0, 1)])
    for at, value in cells.items():
        matrix[at] = value
    return matrix


def _name(identity: Identity) -> str:
    if identity.teacher is None:
        return f"pure {identity.student}"
    return f"{show_method(identity.method)} {show_alpha(identity.alpha)}"
