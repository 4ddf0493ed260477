"""How alike students and teachers are, beside plain students, other teachers, and what classes alone explain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.facets import Level, facets_figure
from kd_analysis.figures.geometry import Curves, series_figure
from kd_analysis.figures.heatmaps import HeatRow, heatmaps_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.confounding import reference_note
from kd_analysis.report.sections.geometry_tables import NONE, POOLED, by_alpha, key, mean, network_table
from kd_analysis.representations.pairs import FLOOR, OWN, TEACHERS
from kd_analysis.representations.quantities import further, in_group, label
from kd_analysis.representations.transfer import references, sweeps
from kd_analysis.representations.values import GeometryValue
from kd_analysis.stats.intervals import t_interval

HEADLINE = "cka_debiased"
COMPARED = (
    "cka_debiased",
    "cka_rbf_0.4",
    "procrustes_similarity",
    "mean_principal_angle",
    "mutual_knn",
    "rsa",
    "ica_match",
)
INTRO = (
    "How alike the representations of a student and its own teacher (the weights it learned from, same data set, same "
    "seed) are on the test set. Beside it: the plain student of that seed with that teacher; teachers of two seeds "
    "with each other, which can be less alike than student and teacher (each two share a teacher with others, so no "
    "interval is theirs); and what sharing classes alone would give, the mean over permutations of one side's items "
    "within class."
)
LIMITS = (
    "Linear CKA can be carried by one shared component (0.9996 with only the top component in common) or lowered by 1 "
    "% of far-away items (1.0 to 0.63): read it with the robustness table."
)
RELATIONS = {"": OWN, "plain: ": FLOOR, "two teachers: ": TEACHERS}


def alignment_section(analysis: Analysis) -> Section:
    """Every alignment measure by layer over alpha."""
    title = "Alignment with the teacher"
    blocks = in_settings(analysis, _alignment)
    if not blocks:
        return Section("alignment", title, (Text(NONE),))
    return Section("alignment", title, (Text(INTRO), *blocks, Text(LIMITS, "limits"), Text(POOLED, "limits")))


def in_settings(
    analysis: Analysis, build: Callable[[Analysis, Setting, Sequence[GeometryValue]], Iterable[Block]]
) -> list[Block]:
    """The blocks of every setting that has ordinary distilled students with representations."""
    return [
        block
        for setting in analysis.last.settings
        if sweeps(analysis.by_setting[setting], HEADLINE)
        for block in build(analysis, setting, analysis.by_setting[setting])
    ]


def _alignment(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> list[Block]:
    alphas = analysis.last.alphas
    blocks: list[Block] = [Text(reference_note(analysis, setting), "limits")]
    blocks += [_facets(setting, values, alphas), *_above_floor(analysis, setting, values), _angles(setting, values)]
    robust = in_group("robustness")
    blocks.append(network_table(setting, values, robust, "robustness", "Is the alignment robust?", RELATIONS))
    others = (*in_group("shape"), *in_group("neighbourhood"))
    blocks.append(network_table(setting, values, others, "measures", "Other measures of alignment", RELATIONS))
    if more := further(value.name for value in values if value.relation == OWN and value.layer):
        words = "Further measures of alignment"
        blocks.append(network_table(setting, values, more, "further_alignment", words, RELATIONS))
    return [*blocks, _predictions(setting, values)]


def _facets(setting: Setting, values: Sequence[GeometryValue], alphas: Sequence[float | None]) -> Figure:
    where, words = f"cka_over_alpha_{key(setting)}", "linear CKA (debiased)"
    found, beside = sweeps(values, HEADLINE), references(values, HEADLINE)
    nulls = sweeps(values, f"{HEADLINE}_null")
    levels = {}
    for layer, (plain, teachers) in beside.items():
        every = [v for by_method in nulls.get(layer, {}).values() for each in by_method.values() for v in each]
        levels[layer] = (
            Level(f"plain student (n={len(plain)})", mean(plain), "floor"),
            Level(f"two teachers ({len(teachers)} pairs)", mean(teachers), "teachers"),
            Level("classes alone", mean(every), "null"),
        )
    caption = f"Linear CKA (debiased) of student with its teacher, by layer and method over alpha, {setting.name}."
    lines: list[tuple[object, ...]] = [
        (layer, method, alpha, value)
        for layer, by_method in found.items()
        for method, sweep in by_method.items()
        for alpha, each in sweep.items()
        for value in each
    ]
    lines += [(layer, level.label, None, level.value) for layer, each in levels.items() for level in each]
    data = table(where, caption, ("layer", Column("method", kind="method"), "alpha", "value"), lines)
    return Figure(where, caption, partial(facets_figure, found, levels, alphas, words), data)


def _above_floor(analysis: Analysis, setting: Setting, values: Sequence[GeometryValue]) -> Iterator[Figure]:
    """Every measure as its difference to the plain student of the same seed, means over seeds.

    None where student and teacher are of one network, whose plain run is the teacher itself.
    """
    rows, lines = [], []
    for name in COMPARED:
        layers = _differences(values, name)
        rows.append(HeatRow(label(name), layers, 1 if "angle" in name else 2, diverging=True))
        lines += [(label(name), layer, *at, value) for layer, cells in layers.items() for at, value in cells.items()]
    if not lines:
        return
    where = f"above_plain_{key(setting)}"
    caption = (
        "Alignment with the teacher as the difference to the plain student of the same seed, mean over seeds, by "
        f"method and alpha, {setting.name}. Smaller angles are more alike."
    )
    columns = ("measure", "layer", Column("method", kind="method"), "alpha", "difference")
    draw = partial(heatmaps_figure, rows, analysis.last.methods, analysis.last.alphas)
    yield Figure(where, caption, draw, table(where, caption, columns, lines))


def _differences(values: Sequence[GeometryValue], name: str) -> dict[str, dict[tuple[str, float | None], float]]:
    plain = {
        (value.layer, value.identity.seed): value.value
        for value in values
        if value.name == name and value.relation == FLOOR
    }
    found: dict[str, dict[tuple[str, float | None], list[float]]] = {}
    for value in values:
        base = plain.get((value.layer, value.identity.seed))
        if (
            value.name == name
            and value.relation == OWN
            and base is not None
            and value.value - base == value.value - base
        ):
            at = (value.identity.method, value.identity.alpha)
            found.setdefault(value.layer, {}).setdefault(at, []).append(value.value - base)
    return {layer: {at: mean(each) for at, each in cells.items()} for layer, cells in sorted(found.items())}


def _angles(setting: Setting, values: Sequence[GeometryValue]) -> Figure:
    """Principal angles one by one: a few shared directions, or many half shared ones?"""
    curves: Curves = {}
    most = max((int(v.name.removeprefix("angle_")) for v in values if v.name.startswith("angle_")), default=0)
    for number in range(1, most + 1):
        for relation in (FLOOR, OWN):
            for layer, cells in by_alpha(values, f"angle_{number}", relation).items():
                for (method, _), each in cells.items():
                    curves.setdefault(layer, {}).setdefault(method, {}).setdefault(number, []).extend(each)
    where = f"angles_{key(setting)}"
    caption = (
        "Principal angles between student and teacher, smallest first: means over runs, bands from the least to the "
        f"largest run, {setting.name}."
    )
    draw = partial(series_figure, curves, "angle number", "principal angle (degrees)")
    return Figure(where, caption, draw, series_data(where, caption, curves, "angle"))


def series_data(name: str, caption: str, curves: Curves, what: str) -> Table:
    """What `series_figure` shows: mean, least and largest."""
    rows = [
        (layer, method, number, mean(each), min(each), max(each), len(each))
        for layer, by_method in curves.items()
        for method, series in by_method.items()
        for number, each in series.items()
    ]
    columns = ("layer", Column("network", kind="method"), what, "mean", "least", "largest", "n")
    return table(name, caption, columns, rows)


def _predictions(setting: Setting, values: Sequence[GeometryValue]) -> Table:
    """Predictions of student and own teacher compared, by method and alpha."""
    more = further(v.name for v in values if v.relation == OWN and not v.layer)
    shown = (*in_group("predictions"), *more)
    columns: list[Column | str] = [Column("method", kind="method"), "alpha", "n"]
    for each in shown:
        columns += [Column(each.name, each.digits, label=each.label)]
        columns += [Column(f"{end}_{each.name}", each.digits, beside=True) for end in ("low", "high")]
    found = [sweeps(values, each.name).get("", {}) for each in shown]
    rows: list[tuple[object, ...]] = []
    for method, cells in found[0].items():
        for alpha in sorted(cells, key=str):
            intervals = [t_interval(each.get(method, {}).get(alpha, [])) for each in found]
            numbers = [number for one in intervals for number in (one.estimate, one.low, one.high)]
            rows.append((method, show_alpha(alpha), intervals[0].n, *numbers))
    beside = [references(values, each.name).get("", ([], [])) for each in shown]
    plain = [t_interval(each) for each, _ in beside]
    numbers = [number for one in plain for number in (one.estimate, one.low, one.high)]
    rows.append((f"plain student with its {show_method('teacher')}", None, plain[0].n, *numbers))
    pairs = [number for _, each in beside for number in (mean(each), None, None)]
    rows.append(("two teachers with each other", None, len(beside[0][1]), *pairs))
    caption = f"Answers of student and teacher, {setting.name}"
    return table(f"predictions_{key(setting)}", caption, columns, rows)
