"""Which layer of the student is like which of the teacher: by alpha, and what naming a best one is worth."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import method_order, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.geometry import cross_layer_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.alignment import in_settings
from kd_analysis.report.sections.geometry_tables import NONE, key, mean
from kd_analysis.representations.npz import LAYERS
from kd_analysis.representations.pairs import FLOOR, OWN, TEACHER_ITSELF
from kd_analysis.representations.values import GeometryValue

INTRO = (
    "Debiased linear CKA of every student layer with every teacher layer, and the teacher's layers with each other: "
    "two layers of one network can be as alike as student and teacher. Naming a layer's nearest is a choice among "
    "three, so its chance is that of the best of three when items are permuted within class (19 permutations of 1,000 "
    "items: the smallest p is 0.05)."
)
BEST = (
    Column("layer", label="student layer"),
    Column("network", kind="method"),
    "n",
    Column("nearest", label="nearest teacher layer (times)"),
    Column("cka", 3, label="CKA of the nearest"),
    Column("null", 3, label="best by classes alone"),
    Column("p", kind="p", label="largest p of a run"),
)


def layers_section(analysis: Analysis) -> Section:
    """Cross-layer similarity."""
    blocks = in_settings(analysis, _of_setting)
    title = "Layers against layers"
    return Section("layers", title, (Text(INTRO), *blocks) if blocks else (Text(NONE),))


def _of_setting(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> list[Block]:
    return [_cross(setting, values), _best(setting, values)]


def _cross(setting: Setting, values: Sequence[GeometryValue]) -> Figure:
    found: dict[tuple[object, ...], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    names: dict[tuple[object, ...], str] = {}
    for value in values:
        if value.name == "cka_cross" and value.relation in (FLOOR, OWN, TEACHER_ITSELF) and math.isfinite(value.value):
            place, name = _panel(value)
            names[place] = name
            found[place][value.layer, value.other_layer].append(value.value)
    matrices: dict[str, NDArray[np.float64]] = {
        names[place]: np.array([[mean(found[place].get((a, b), [])) for b in LAYERS] for a in LAYERS])
        for place in sorted(found)
    }
    caption = (
        "Linear CKA (debiased) of every student layer with every teacher layer by method and alpha, means over seeds; "
        f"the teacher with itself and the plain student first, {setting.name}."
    )
    where = f"cross_layer_{key(setting)}"
    rows = [
        (name, LAYERS[y], LAYERS[x], float(value))
        for name, matrix in matrices.items()
        for (y, x), value in np.ndenumerate(matrix)
    ]
    data = table(where, caption, ("network", "student_layer", "teacher_layer", "cka"), rows)
    return Figure(where, caption, partial(cross_layer_figure, matrices, LAYERS), data)


def _panel(value: GeometryValue) -> tuple[tuple[object, ...], str]:
    """Sort key and title."""
    identity = value.identity
    if value.relation == TEACHER_ITSELF:
        return (0, (), -1.0), "teacher itself"
    if value.relation == FLOOR:
        return (1, (), -1.0), show_method(identity.method)
    alpha = -1.0 if identity.alpha is None else identity.alpha
    return (2, method_order(identity.method), alpha), f"{show_method(identity.method)} {show_alpha(identity.alpha)}"


def _best(setting: Setting, values: Sequence[GeometryValue]) -> Table:
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        if value.name.startswith("best_for_") and value.relation in (FLOOR, OWN) and math.isfinite(value.value):
            layer, _, what = value.name.removeprefix("best_for_").partition("_")
            found[layer, value.identity.method][what].append(value.value)
    rows = []
    for layer, method in sorted(found, key=lambda at: (at[0], at[1] != "pure", method_order(at[1]))):
        numbers = found[layer, method]
        times = Counter(int(place) for place in numbers[""])
        nearest = ", ".join(f"layer{place} ({count})" for place, count in sorted(times.items()))
        rows.append(
            (layer, method, len(numbers[""]), nearest, mean(numbers["cka"]), mean(numbers["null"]), max(numbers["p"]))
        )
    return table(f"best_layers_{key(setting)}", f"The nearest teacher layer, {setting.name}", BEST, rows)
