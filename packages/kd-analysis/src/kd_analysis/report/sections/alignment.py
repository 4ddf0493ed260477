"""Sections on representations: how alike students and teachers are, and what distillation itself transferred."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import network_order, show_alpha
from kd_analysis.analysis import Analysis
from kd_analysis.figures.alignment import Row, layers_figure, measures_figure
from kd_analysis.figures.sweeps import Band
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, slug, table
from kd_analysis.representations.comparisons import CEILING, FLOOR, OWN, GeometryValue
from kd_analysis.representations.quantities import Quantity, further, in_group, label
from kd_analysis.representations.transfer import per_seed, references, sweeps
from kd_analysis.stats.intervals import t_interval

POOLED = (
    "Representations are spatial averages of each layer's maps: where in the image a network looks, which "
    "attention transfer "
    "matches, is not in them. Data sets with more than 10,000 test items are cut to a fixed, class-stratified 10,000."
)
CKA_LIMITS = (
    "Linear CKA can be carried by one shared component (0.9996 with only the top component in common) or lowered "
    "by 1 % of "
    "far-away items (1.0 to 0.63): read it with the robustness table below."
)
SHAPES = ("cka_rbf_0.4", "procrustes_similarity", "mean_principal_angle")
NEIGHBOURHOODS = ("mutual_knn", "rsa", "ica_match")
NONE = "No usable representations.npz of a student and its teacher in this tree."


def alignment_section(analysis: Analysis) -> Section:
    """Every alignment measure by layer over alpha, with floor and ceiling."""
    title = "Alignment with the teacher"
    blocks = _in_settings(analysis, _alignment)
    if not blocks:
        return Section("alignment", title, (Text(NONE),))
    intro = (
        "How alike the representations of a student and its own teacher (same data set, same seed) are on the "
        "test set. Floor: the "
        "pure student with that teacher. Ceiling: teachers of different seeds with each other. Vertical lines are "
        "95 % t intervals over seeds, with arrows where they leave the panel; lines between alphas only guide the eye."
    )
    return Section("alignment", title, (Text(intro), *blocks, Text(CKA_LIMITS, "limits"), Text(POOLED, "limits")))


def _in_settings(
    analysis: Analysis, build: Callable[[Analysis, Setting, Sequence[GeometryValue]], Iterable[Block]]
) -> list[Block]:
    return [
        block
        for setting in analysis.last.settings
        if any(value.relation == OWN for value in analysis.by_setting[setting])
        for block in build(analysis, setting, analysis.by_setting[setting])
    ]


def _alignment(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> list[Block]:
    alphas = analysis.last.alphas
    return [
        _headline(setting, values, alphas),
        _measures(setting, values, SHAPES, alphas, "shape", "Other measures of common shape"),
        _measures(setting, values, NEIGHBOURHOODS, alphas, "neighbourhood", "Neighbourhoods, distances and components"),
        _by_layer(setting, values, in_group("robustness"), "robustness", "Is the alignment robust?"),
        *_further(setting, values),
        _logits(setting, values),
    ]


def _further(setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Table]:
    """Measures of pairs that no table above lists."""
    if others := further(value.name for value in values if value.relation == OWN and value.layer):
        yield _by_layer(setting, values, others, "further_alignment", "Further measures of alignment.")


def _measures(
    setting: Setting,
    values: Sequence[GeometryValue],
    names: Sequence[str],
    alphas: Sequence[float | None],
    stem: str,
    words: str,
) -> Figure:
    rows: dict[str, Row] = {label(name): row(values, name) for name in names}
    caption = f"{words} between student and its teacher by layer over alpha, {setting.name}."
    where = f"{stem}_over_alpha_{key(setting)}"
    return Figure(where, caption, partial(measures_figure, rows, alphas), row_data(where, caption, rows))


def _headline(setting: Setting, values: Sequence[GeometryValue], alphas: Sequence[float | None]) -> Figure:
    where, words = f"cka_over_alpha_{key(setting)}", "linear CKA (debiased)"
    caption = f"Linear CKA (debiased) of student with its teacher by layer over alpha, {setting.name}."
    found = row(values, "cka_debiased")
    return Figure(
        where, caption, partial(layers_figure, *found, alphas, words), row_data(where, caption, {words: found})
    )


def row_data(name: str, caption: str, rows: Mapping[str, Row]) -> Table:
    """What rows of panels show: one line a value."""
    lines: list[tuple[object, ...]] = []
    for words, (found, bands) in rows.items():
        for layer, by_method in found.items():
            for method, sweep in by_method.items():
                lines += [(words, layer, method, alpha, value) for alpha, each in sweep.items() for value in each]
        for layer, both in bands.items():
            lines += [(words, layer, band.label, None, value) for band in both for value in band.values]
    return table(name, caption, ("measure", "layer", Column("method", kind="method"), "alpha", "value"), lines)


def row(values: Iterable[GeometryValue], name: str) -> Row:
    """A quantity with its bands, as `measures_figure` takes it."""
    values = list(values)
    bands = {
        layer: (Band("floor: pure student", tuple(floor)), Band("ceiling: other seeds' teachers", tuple(ceiling), True))
        for layer, (floor, ceiling) in references(values, name).items()
    }
    return sweeps(values, name), bands


def _by_layer(
    setting: Setting, values: Sequence[GeometryValue], shown: Sequence[Quantity], stem: str, caption: str
) -> Table:
    """One row a layer and method (floor and ceiling too), one column a quantity; means over alphas and seeds."""
    columns: list[Column | str] = ["layer", "method", "n", *(Column(each.label, each.digits) for each in shown)]
    rows = []
    for kind, relation in (("", OWN), ("floor: ", FLOOR), ("ceiling: ", CEILING)):
        found = [per_seed(values, each.name, relation) for each in shown]
        for layer, method in sorted(found[0], key=lambda at: (at[0], network_order(at[1]))):
            numbers = [_mean(each.get((layer, method), [])) for each in found]
            rows.append((layer, kind + method, len(found[0][layer, method]), *numbers))
    rows.sort(key=lambda line: str(line[0]))
    where = f"{caption} Mean over alphas and seeds, {setting.dataset}, {setting.pair}"
    return table(f"{stem}_{key(setting)}", where, columns, rows)


def _logits(setting: Setting, values: Sequence[GeometryValue]) -> Table:
    """Predictions of student and own teacher compared, by method and alpha."""
    others = further(value.name for value in values if value.relation == OWN and not value.layer)
    shown = (*in_group("predictions"), *others)
    columns: list[Column | str] = ["method", "alpha", "n"]
    columns += [Column(words, each.digits) for each in shown for words in (each.label, "low", "high")]
    found = [sweeps(values, each.name).get("", {}) for each in shown]
    rows = []
    for method, by_alpha in found[0].items():
        for alpha in sorted(by_alpha, key=str):
            intervals = [t_interval(each.get(method, {}).get(alpha, [])) for each in found]
            numbers = [number for one in intervals for number in (one.estimate, one.low, one.high)]
            rows.append((method, show_alpha(alpha), intervals[0].n, *numbers))
    for words, place in (("floor: pure student", 0), ("ceiling: other seeds' teachers", 1)):
        both = [t_interval(references(values, each.name).get("", ([], []))[place]) for each in shown]
        rows.append((words, None, both[0].n, *(number for one in both for number in (one.estimate, one.low, one.high))))
    return table(
        f"predictions_{key(setting)}",
        f"Predictions of student and teacher, {setting.dataset}, {setting.pair}",
        columns,
        rows,
    )


def key(setting: Setting) -> str:
    """The setting in a file name."""
    return f"{slug(setting.dataset)}_{slug(setting.pair)}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
