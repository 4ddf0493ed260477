"""What distillation itself transferred: alignment with the own teacher beyond what seed and data explain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import fixed, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.forest import ForestRow, forest_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, p_words, slug, table
from kd_analysis.representations.quantities import label
from kd_analysis.representations.transfer import Excess, excesses, transferred
from kd_analysis.stats.intervals import t_interval
from kd_analysis.stats.paired import Conclusion

QUANTITIES = ("cka_debiased", "procrustes_similarity", "mutual_knn", "rsa", "top1_agreement", "error_consistency")
HEADLINE = "cka_debiased"
INTRO = (
    "Two networks trained on the same data are alike without any distillation. What is shown here is alignment with "
    "the own teacher minus the mean alignment with the other seeds' teachers, minus the same excess of the plain "
    "student of that seed. Above zero: the student resembles this very teacher more than its seed and data alone "
    "explain. One number a method and layer, the mean over alphas of each seed; t tests over seeds, Holm over all of "
    "them."
)
EXCESS = (
    Column("method", kind="method"),
    "layer",
    "n",
    Column("excess", 4, signed=True),
    Column("low", 4, signed=True),
    Column("high", 4, signed=True),
    Column("p", kind="p"),
    Column("p_adjusted", kind="p", label="p, Holm"),
    "conclusion",
)
EVERYWHERE = (
    "quantity",
    "layer",
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("excess", 4, signed=True),
    Column("low", 4, signed=True),
    Column("high", 4, signed=True),
)


def transfer_section(analysis: Analysis) -> Section:
    """Own-teacher against other-teachers alignment."""
    title = "What distillation itself transferred"
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        if found := _excesses(analysis, setting):
            blocks += [_forest(setting, found), _table(setting, found), _everywhere(analysis, setting)]
    if not blocks:
        return Section("transfer", title, (Text("Needs representations of students and of teachers of two seeds."),))
    return Section("transfer", title, (Text(INTRO), *blocks))


def transferred_sentence(analysis: Analysis) -> Iterator[str]:
    """For the first screen: what stands after adjustment, or what came nearest."""
    every = [(setting, one) for setting in analysis.last.settings for one in _excesses(analysis, setting)]
    if not every:
        return
    found = [(setting, one) for setting, one in every if one.conclusion == Conclusion.SUPPORTED]
    if found:
        told = "; ".join(_words(*each) for each in found[:3])
        yield f"More like its own teacher than seed and data explain: {told}."
    elif known := [each for each in every if each[1].p == each[1].p]:
        nearest = min(known, key=lambda each: each[1].p)
        yield (
            "Whether distillation itself made students more like their own teacher is undecided for all of "
            f"{len(known)} methods and layers after adjustment; the nearest: {_words(*nearest)}."
        )


def _excesses(analysis: Analysis, setting: Setting) -> tuple[Excess, ...]:
    return excesses(analysis.by_setting[setting], HEADLINE)


def _words(setting: Setting, one: Excess) -> str:
    bounds = f"{fixed(one.interval.low, 3, signed=True)} to {fixed(one.interval.high, 3, signed=True)}"
    where, mean = f"{show_method(one.method)}, {one.layer}, {setting.dataset}", one.interval.estimate
    return f"{where}: CKA {fixed(mean, 3, signed=True)} ({bounds}, adjusted {p_words(one.p_adjusted)})"


def _forest(setting: Setting, found: Sequence[Excess]) -> Figure:
    name = f"transferred_{slug(setting.dataset)}_{slug(setting.pair)}"
    groups: dict[str, list[ForestRow]] = {}
    for one in found:
        bounds = (one.interval.estimate, one.interval.low, one.interval.high)
        groups.setdefault(one.layer, []).append(ForestRow(one.method, "", *bounds, one.interval.n, str(one.conclusion)))
    caption = (
        "Linear CKA with the own teacher in excess of other teachers and of the plain student, mean over alphas, 95 % "
        f"t intervals over seeds, {setting.name}."
    )
    draw = partial(forest_figure, groups, "excess CKA", 0.0)
    return Figure(name, caption, draw, table(name, caption, EXCESS, map(_row, found)))


def _table(setting: Setting, found: Sequence[Excess]) -> Table:
    caption = f"Transferred alignment, linear CKA, {setting.name}"
    return table(f"transferred_{slug(setting.dataset)}_{slug(setting.pair)}", caption, EXCESS, map(_row, found))


def _row(one: Excess) -> tuple[object, ...]:
    found = one.interval
    numbers = (found.n, found.estimate, found.low, found.high, one.p, one.p_adjusted)
    return (one.method, one.layer, *numbers, str(one.conclusion))


def _everywhere(analysis: Analysis, setting: Setting) -> Table:
    """Every quantity at every alpha, with intervals that nothing adjusts: for other questions, as CSV alone."""
    values, rows = analysis.by_setting[setting], []
    for name in QUANTITIES:
        for layer, by_method in transferred(values, name).items():
            for method, by_alpha in by_method.items():
                for alpha in sorted(by_alpha, key=str):
                    one = t_interval(by_alpha[alpha])
                    bounds = (one.n, one.estimate, one.low, one.high)
                    rows.append((label(name), layer or "logits", method, show_alpha(alpha), *bounds))
    caption = f"Transferred alignment by alpha, unadjusted, {setting.name}"
    where = f"transferred_by_alpha_{slug(setting.dataset)}_{slug(setting.pair)}"
    return table(where, caption, EVERYWHERE, rows, csv_only=True)
