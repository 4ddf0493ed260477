"""What these numbers of seeds can show, what more would show and cost, and what is left for a second look."""

from __future__ import annotations

import math
from functools import partial

from kd_analysis.accuracy.names import show_alpha, show_method
from kd_analysis.accuracy.seeds import Advice, advise, design_curve
from kd_analysis.analysis import Analysis
from kd_analysis.figures.model import design_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.stats.design import two_looks

ADVICE = (
    Column("dataset", label="data set"),
    "cells",
    Column("more_seeds", label="more seeds"),
    Column("hours", 1, label="device hours"),
    Column("detectable", 2, label="then detectable (points)"),
    Column("networks"),
)
CURVE = (
    Column("dataset", label="data set"),
    "seeds",
    Column("cell", 2, label="a cell's difference (points)"),
    Column("slope", 2, label="a slope (points per unit alpha)"),
    Column("networks"),
)
INTRO = (
    "Computed from the pooled error and the plan, not from the effects seen: what a single cell of three seeds seems "
    "to 'need' is noise. Detectable is the effect that the declared comparison finds four times in five."
)
LOOKS = (
    "This report tests at 5 % with the seeds there are. Seeds that are added because of what it shows make the next "
    "report exploratory, unless that was planned: with two looks after O'Brien and Fleming this one would have been "
    "allowed p = {first:.4f} and the next, with twice the seeds, is allowed p = {last:.4f}."
)


def seeds_section(analysis: Analysis) -> Section:
    """Design curve, advice, looks."""
    title = "Seeds: what they show, what more would cost"
    curves = {m.setting: points for m in analysis.statistics.models if (points := design_curve(m))}
    if not curves:
        return Section("seeds", title, (Text("Needs an error that cells share: at least two seeds."),))
    rows = [
        (setting.dataset, point.seeds, point.cell, point.slope, setting.pair)
        for setting, points in curves.items()
        for point in points
    ]
    name, caption = "design_curve", "Effects detectable with 80 % power over the number of seeds, by data set."
    drawn = {setting.name: [(p.seeds, p.cell, p.slope) for p in points] for setting, points in curves.items()}
    data = table(name, caption, CURVE, rows)
    figure = Figure(name, caption, partial(design_figure, drawn, analysis.smallest_effect), data)
    blocks: list[Block] = [Text(INTRO), figure]
    if advice := [each for model in analysis.statistics.models for each in advise(model, analysis.tree)]:
        blocks.append(_advice(advice))
    first, last = two_looks(0.5)
    blocks.append(Text(LOOKS.format(first=first, last=last), "limits"))
    return Section("seeds", title, tuple(blocks))


def _advice(advice: list[Advice]) -> Table:
    rows = [(a.setting.dataset, cells_of(a), a.more, a.hours, a.detectable, a.setting.pair) for a in advice]
    caption = (
        "What more seeds would cost and show; a new seed needs its teacher and its reference, too. The two cells are "
        "the open ones nearest to a conclusion"
    )
    return table("more_seeds", caption, ADVICE, rows)


def cells_of(advice: Advice) -> str:
    """The cells in words."""
    if advice.everything:
        return f"all {len(advice.cells)} cells"
    return " and ".join(f"{show_method(cell.method)} {show_alpha(cell.alpha)}" for cell in advice.cells)


def advice_sentence(advice: Advice) -> str:
    """For the first screen."""
    cost = f"{advice.hours:.1f} device hours" if math.isfinite(advice.hours) else "at a cost nothing has measured"
    seeds = "one more seed" if advice.more == 1 else f"{advice.more} more seeds"
    return f"{seeds} of {cells_of(advice)}: {cost}, then {advice.detectable:.2f} points are detectable"
