"""Sections on representations: how alike students and teachers are, and what distillation itself transferred."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from kd_analysis.accuracy.cells import Setting, network_order, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.alignment import Row, layers_figure, measures_figure
from kd_analysis.figures.sweeps import Band
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, slug, table
from kd_analysis.representations.comparisons import CEILING, FLOOR, OWN, GeometryValue
from kd_analysis.representations.transfer import per_seed, references, sweeps, transferred
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
SHAPES = {
    "cka_rbf_0.4": "RBF CKA, width 0.4",
    "procrustes_similarity": "Procrustes similarity",
    "mean_principal_angle": "mean angle (degrees)",
}
NEIGHBOURHOODS = {"mutual_knn": "mutual 10-NN", "rsa": "RSA (Spearman)", "ica_match": "ICA match"}
ROBUST = {
    "cka": "CKA, plain",
    "cka_debiased": "debiased",
    "cka_class_residual": "class means removed",
    "cka_without_top_component": "top component removed",
    "cka_without_outliers": "1 % largest norms removed",
    "cka_rbf_0.2": "RBF 0.2",
    "cka_rbf_0.4": "RBF 0.4",
    "cka_rbf_0.8": "RBF 0.8",
}
TRANSFERRED = {
    "cka_debiased": "linear CKA",
    "procrustes_similarity": "Procrustes similarity",
    "mutual_knn": "mutual 10-NN",
    "rsa": "RSA",
    "top1_agreement": "top-1 agreement",
    "error_consistency": "error consistency",
}
LOGITS = {
    "top1_agreement": "top-1 agreement",
    "kl_from_reference": "KL (nats)",
    "error_consistency": "error kappa",
}
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


def transfer_section(analysis: Analysis) -> Section:
    """Own-teacher against other-teachers alignment."""
    title = "What distillation itself transferred"
    blocks = _in_settings(analysis, _transfer)
    if not blocks:
        return Section("transfer", title, (Text("Needs representations of students and of teachers of two seeds."),))
    intro = (
        "Two networks trained on the same data are alike without any distillation. What is shown here is "
        "alignment with the own "
        "teacher minus the mean alignment with the other seeds' teachers, minus the same excess of the pure "
        "student of that seed. "
        "Above zero: the student resembles this very teacher more than its seed and data alone explain."
    )
    return Section("transfer", title, (Text(intro), *blocks))


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
    name, alphas = f"{setting.dataset}, {setting.pair}", analysis.last.alphas
    return [
        Figure(
            f"cka_over_alpha_{key(setting)}",
            f"Linear CKA (debiased) of student with its teacher by layer over alpha, {name}.",
            partial(layers_figure, *row(values, "cka_debiased"), alphas, "linear CKA (debiased)"),
        ),
        _measures(setting, values, SHAPES, alphas, "shape", "Other measures of common shape"),
        _measures(setting, values, NEIGHBOURHOODS, alphas, "neighbourhood", "Neighbourhoods, distances and components"),
        _by_layer(setting, values, ROBUST, "robustness", "Is the alignment robust? Mean over alphas and seeds", 3),
        _logits(setting, values),
    ]


def _measures(
    setting: Setting,
    values: Sequence[GeometryValue],
    names: dict[str, str],
    alphas: Sequence[float | None],
    stem: str,
    words: str,
) -> Figure:
    rows: dict[str, Row] = {label: row(values, name) for name, label in names.items()}
    caption = f"{words} between student and its teacher by layer over alpha, {setting.dataset}, {setting.pair}."
    return Figure(f"{stem}_over_alpha_{key(setting)}", caption, partial(measures_figure, rows, alphas))


def row(values: Iterable[GeometryValue], name: str) -> Row:
    """A quantity with its bands, as `measures_figure` takes it."""
    values = list(values)
    bands = {
        layer: (Band("floor: pure student", tuple(floor)), Band("ceiling: other seeds' teachers", tuple(ceiling), True))
        for layer, (floor, ceiling) in references(values, name).items()
    }
    return sweeps(values, name), bands


def _by_layer(
    setting: Setting, values: Sequence[GeometryValue], names: dict[str, str], stem: str, caption: str, digits: int
) -> Table:
    """One row a layer and method (floor and ceiling too), one column a quantity."""
    columns: list[Column | str] = ["layer", "method", "n", *(Column(label, digits) for label in names.values())]
    rows = []
    means = {name: per_seed(values, name) for name in names}
    floors = {name: per_seed(values, name, FLOOR) for name in names}
    ceilings = {name: per_seed(values, name, CEILING) for name in names}
    for kind, found in (("", means), ("floor: ", floors), ("ceiling: ", ceilings)):
        first = found[next(iter(names))]
        for layer, method in sorted(first, key=lambda at: (at[0], network_order(at[1]))):
            numbers = [_mean(found[name].get((layer, method), [])) for name in names]
            rows.append((layer, kind + method, len(first[layer, method]), *numbers))
    rows.sort(key=lambda line: str(line[0]))
    return table(f"{stem}_{key(setting)}", f"{caption}, {setting.dataset}, {setting.pair}", columns, rows)


def _logits(setting: Setting, values: Sequence[GeometryValue]) -> Table:
    """Predictions of student and own teacher compared, by method and alpha."""
    columns: list[Column | str] = ["method", "alpha", "n"]
    columns += [Column(label, 3) for words in LOGITS.values() for label in (words, "low", "high")]
    found = {name: sweeps(values, name).get("", {}) for name in LOGITS}
    rows = []
    for method, by_alpha in found["top1_agreement"].items():
        for alpha in sorted(by_alpha, key=str):
            intervals = [t_interval(found[name].get(method, {}).get(alpha, [])) for name in LOGITS]
            numbers = [number for one in intervals for number in (one.estimate, one.low, one.high)]
            rows.append((method, show_alpha(alpha), intervals[0].n, *numbers))
    for label, place in (("floor: pure student", 0), ("ceiling: other seeds' teachers", 1)):
        both = [t_interval(references(values, name).get("", ([], []))[place]) for name in LOGITS]
        rows.append((label, None, both[0].n, *(number for one in both for number in (one.estimate, one.low, one.high))))
    return table(
        f"predictions_{key(setting)}",
        f"Predictions of student and teacher, {setting.dataset}, {setting.pair}",
        columns,
        rows,
    )


def _transfer(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> list[Block]:
    found = {name: transferred(values, name) for name in TRANSFERRED}
    if not found["cka_debiased"]:
        return []
    rows: dict[str, Row] = {
        f"excess {TRANSFERRED[name]}": (found[name], {})
        for name in ("cka_debiased", "procrustes_similarity", "mutual_knn")
    }
    caption = (
        f"Excess alignment with the own teacher over pure students, {setting.dataset}, {setting.pair}; zero: "
        f"nothing transferred."
    )
    figure = Figure(f"transferred_{key(setting)}", caption, partial(measures_figure, rows, analysis.last.alphas))
    columns: list[Column | str] = [
        "quantity",
        "layer",
        "method",
        "alpha",
        "n",
        Column("excess", 4, signed=True),
        Column("low", 4, signed=True),
        Column("high", 4, signed=True),
    ]
    lines = []
    for name, label in TRANSFERRED.items():
        for layer in found[name]:
            for method, by_alpha in found[name][layer].items():
                for alpha in sorted(by_alpha, key=str):
                    one = t_interval(by_alpha[alpha])
                    lines.append(
                        (
                            label,
                            layer or "logits",
                            show_method(method),
                            show_alpha(alpha),
                            one.n,
                            one.estimate,
                            one.low,
                            one.high,
                        )
                    )
    caption = f"Transferred alignment with t intervals over seeds (descriptive), {setting.dataset}, {setting.pair}"
    return [figure, table(f"transferred_{key(setting)}", caption, columns, lines)]


def key(setting: Setting) -> str:
    """The setting in a file name."""
    return f"{slug(setting.dataset)}_{slug(setting.pair)}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
