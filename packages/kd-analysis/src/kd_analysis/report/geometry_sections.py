"""Sections on representations: how alike students and teachers are, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

from kd_analysis.alignment import CEILING, FLOOR, OWN, Value
from kd_analysis.analysis import Analysis
from kd_analysis.cells import Setting
from kd_analysis.figures.alignment import layers_figure
from kd_analysis.figures.sweeps import Band
from kd_analysis.report.document import Block, Figure, Section, Text, slug

LIMITS = (
    "Representations are spatial averages of each layer's maps: what attention transfer matches, where in the image, is not in "
    "them. Data sets with more than 10,000 test items are cut to a fixed stratified 10,000."
)


def alignment_section(analysis: Analysis) -> Section:
    """Linear CKA of student with teacher by layer over alpha."""
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        if any(value.relation == OWN for value in of(analysis, setting)):
            blocks.append(_cka(analysis, setting))
    if not blocks:
        return Section("alignment", "Alignment with the teacher", (Text("No usable representations in this tree."),))
    return Section("alignment", "Alignment with the teacher", (*blocks, Text(LIMITS, "limits")))


def of(analysis: Analysis, setting: Setting) -> list[Value]:
    """The setting's values: its students', its pure students' and its teachers'."""
    return [
        value
        for value in analysis.values
        if value.identity.dataset == setting.dataset
        and value.identity.student in (setting.student, setting.teacher)
        and value.identity.teacher in (None, setting.teacher)
        and (value.reference is None or value.reference.student == setting.teacher)
    ]


def _cka(analysis: Analysis, setting: Setting) -> Figure:
    values = of(analysis, setting)
    return Figure(
        f"cka_over_alpha_{slug(setting.dataset)}_{slug(setting.pair)}",
        f"Linear CKA (debiased) of student with its teacher by layer over alpha, {setting.dataset}, {setting.pair}. Floor: pure "
        "student with the teacher of its seed; ceiling: teachers of different seeds with each other.",
        lambda: layers_figure(
            sweeps(values, "cka_debiased"), bands(values, "cka_debiased"), analysis.last.alphas, "linear CKA (debiased)"
        ),
    )


Sweeps = dict[str, dict[str, dict[float | None, list[float]]]]


def sweeps(values: Iterable[Value], name: str, relation: str = OWN) -> Sweeps:
    """Values by layer, method and alpha."""
    found: Sweeps = {}
    for value in values:
        if value.name == name and value.relation == relation and not value.identity.is_pure and value.value == value.value:
            methods = found.setdefault(value.layer, {})
            methods.setdefault(value.identity.method, {}).setdefault(value.identity.alpha, []).append(value.value)
    return found


def bands(values: Iterable[Value], name: str) -> dict[str, tuple[Band, Band]]:
    """Floor and ceiling by layer."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for value in values:
        if value.name == name and value.relation in (FLOOR, CEILING) and value.value == value.value:
            found.setdefault(value.layer, ([], []))[value.relation == CEILING].append(value.value)
    return {
        layer: (Band("floor: pure student", tuple(floor)), Band("ceiling: teachers of other seeds", tuple(ceiling), True))
        for layer, (floor, ceiling) in found.items()
    }
