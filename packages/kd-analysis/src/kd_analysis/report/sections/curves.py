"""Training curves: how runs got where they are, and what pulled at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest

from kd_analysis.accuracy.cells import Setting
from kd_analysis.analysis import Analysis
from kd_analysis.figures.curves import Line, curves_figure
from kd_analysis.figures.terms import TermCurves, terms_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, slug, table
from kd_analysis.report.sections.strength import strength_blocks
from kd_hpc.triage.run_directory import CROSS_ENTROPY, Run


def curves_section(analysis: Analysis) -> Section:
    """Training curves of every run, flagged ones too: that is where they show."""
    blocks: list[Block] = []
    for setting in analysis.last.settings:
        for curve, words in (("test_acc", "Test accuracy"), ("train_loss", "Training loss")):
            if any(getattr(run.curves, curve) for runs in _groups(analysis, setting).values() for run in runs):
                blocks.append(_curves(analysis, setting, curve, words))
        blocks += _terms(analysis, setting)
    blocks += strength_blocks(analysis)
    return Section("curves", "Training curves", tuple(blocks) or (Text("No run has curves yet."),))


def _curves(analysis: Analysis, setting: Setting, curve: str, words: str) -> Figure:
    scale = " Losses of different methods sum different terms: each panel has its own scale." if "loss" in curve else ""
    groups = {name: [_line(run, curve) for run in runs] for name, runs in _groups(analysis, setting).items()}
    name = f"training_{curve}_{slug(setting.dataset)}_{slug(setting.pair)}"
    caption = f"{words} over the epochs, {setting.name}: one line a run, flagged and unfinished runs included.{scale}"
    rows = [
        (run.path, run.first_epoch + place, value)
        for runs in _groups(analysis, setting).values()
        for run in runs
        for place, value in enumerate(getattr(run.curves, curve), start=1)
    ]
    data = table(name, caption, ("run", "epoch", curve), rows)
    return Figure(name, caption, partial(curves_figure, groups, analysis.last.alphas, curve), data)


def _line(run: Run, curve: str) -> Line:
    return Line(run.first_epoch, getattr(run.curves, curve), run.identity.alpha, not run.identity.is_pure)


def _terms(analysis: Analysis, setting: Setting) -> Iterator[Figure]:
    """Loss terms of the distilled runs that record them."""
    rows: dict[tuple[str, str], list[TermCurves]] = {}
    for method, runs in _groups(analysis, setting).items():
        for run in runs:
            for term in run.curves.distillation_terms:
                rows.setdefault((method, term), []).append(_term_curves(run, term))
    if rows:
        name = f"loss_terms_{slug(setting.dataset)}_{slug(setting.pair)}"
        caption = (
            f"Loss terms over the epochs, {setting.name}, one line a run: each term's value beside cross-entropy's, "
            "and the norm of its gradient on the student's weights relative to that of cross-entropy, on the first "
            "batch of each epoch. Both before alpha and the method's weight are applied; at 1 (dotted) a term would "
            "pull as hard as the labels at alpha 0.5 and weight 1."
        )
        yield Figure(name, caption, partial(terms_figure, rows, analysis.last.alphas), _term_data(name, caption, rows))


def _term_data(name: str, caption: str, rows: Mapping[tuple[str, str], Sequence[TermCurves]]) -> Table:
    lines = [
        (method, term, one.alpha, epoch, value, gradient)
        for (method, term), curves in rows.items()
        for one in curves
        for epoch, (value, gradient) in enumerate(zip_longest(one.term, one.gradient), start=1)
    ]
    columns = (Column("method", kind="method"), "term", "alpha", "epoch", "value", "relative_gradient")
    return table(name, caption, columns, lines)


def _term_curves(run: Run, term: str) -> TermCurves:
    terms = run.curves.terms
    return TermCurves(run.identity.alpha, terms.get(CROSS_ENTROPY, ()), terms[term], run.curves.relative_gradient(term))


def _groups(analysis: Analysis, setting: Setting) -> dict[str, list[Run]]:
    """Runs of the setting by method: the teacher and the pure student first."""
    groups: dict[str, list[Run]] = {"teacher": [], "pure": [], **{method: [] for method in analysis.last.methods}}
    for item in analysis.tree.runs:
        identity = item.run.identity
        if identity.dataset != setting.dataset or not item.run.curves.test_acc:
            continue
        if identity.is_pure and identity.student in (setting.teacher, setting.student):
            groups["pure" if identity.student == setting.student else "teacher"].append(item.run)
        elif (identity.teacher, identity.student) == (setting.teacher, setting.student) and identity.method in groups:
            groups[identity.method].append(item.run)
    return {name: runs for name, runs in groups.items() if runs}
