"""The best alpha, chosen and evaluated on different seeds, and the share of the gap to the teacher that is closed."""

from __future__ import annotations

from functools import partial

from kd_analysis.accuracy.best_alpha import BestAlpha
from kd_analysis.accuracy.names import show_alpha
from kd_analysis.analysis import Analysis
from kd_analysis.figures.best_alpha import Bar, best_alpha_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Text, table
from kd_analysis.report.sections.ties import NO_INTERVAL
from kd_analysis.stats.intervals import ratio_interval, t_interval

INTRO = (
    "The largest of several means is too large by construction (half a standard deviation under no effect at all). "
    "Here alpha is chosen on all seeds but one and evaluated on that one; the naive maximum stands beside it. "
    f"Intervals are descriptive: the folds share seeds. {NO_INTERVAL}"
)
BEST = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "n",
    Column("chosen", label="chosen without each seed"),
    Column("held_out", 2, signed=True, label="held-out difference (points)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("naive_alpha", label="naive best alpha"),
    Column("naive", 2, signed=True, label="naive difference (points)"),
    "networks",
)
GAP = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("share", 2, label="share of gap closed"),
    Column("low", 2),
    Column("high", 2),
)


def best_alpha_section(analysis: Analysis) -> Section:
    """Best alpha, honestly evaluated, and the gap."""
    title, found = "Best alpha, cross-fitted", analysis.statistics.best_alphas
    if not found:
        return Section("best_alpha", title, (Text("Needs two seeds that have every alpha; none does yet."),))
    rows = [_row(each) for each in found]
    blocks: list[Block] = [Text(INTRO), _bars(found), table("best_alpha", "Best alpha by method", BEST, rows)]
    return Section("best_alpha", title, (*blocks, *_gap(analysis)))


def _row(found: BestAlpha) -> tuple[object, ...]:
    fit = found.fit
    return (
        found.setting.dataset,
        found.method,
        fit.interval.n,
        ", ".join(show_alpha(found.alphas[place]) for place in fit.chosen),
        fit.interval.estimate,
        fit.interval.low,
        fit.interval.high,
        show_alpha(found.alphas[fit.naive_choice]),
        fit.naive_mean,
        found.setting.pair,
    )


def _bars(found: tuple[BestAlpha, ...]) -> Figure:
    groups: dict[str, list[Bar]] = {}
    for each in found:
        alpha, fit = each.alphas[each.fit.naive_choice], each.fit
        bar = Bar(each.method, show_alpha(alpha), fit.interval.estimate, fit.naive_mean, fit.interval.n)
        groups.setdefault(each.setting.name, []).append(bar)
    caption = (
        "Difference to the reference at the best alpha: bars as evaluated on seeds that did not choose it, crosses as "
        "the naive maximum shows it; the alpha that most seeds would choose is written beside."
    )
    rows = [
        (name, bar.method, bar.alpha, bar.n, bar.held_out, bar.naive) for name, bars in groups.items() for bar in bars
    ]
    columns = ("setting", Column("method", kind="method"), "naive_alpha", "n", "held_out", "naive")
    return Figure(
        "best_alpha", caption, partial(best_alpha_figure, groups), table("best_alpha", caption, columns, rows)
    )


def _gap(analysis: Analysis) -> list[Block]:
    """Share of the gap from the pure student to the teacher that a cell closes, where there surely is a gap."""
    rows: list[tuple[object, ...]] = []
    unsure = []
    for setting in analysis.last.settings:
        teacher, pure = analysis.last.teacher(setting), analysis.last.baseline(setting)
        seeds = sorted(set(teacher) & set(pure))
        if len(seeds) < 2 or not t_interval([teacher[seed] - pure[seed] for seed in seeds]).excludes_zero:
            unsure.append(setting.dataset)
            continue
        for cell in analysis.last.of(setting):
            both = [seed for seed in seeds if seed in cell.values]
            if len(both) > 1:
                gained = [cell.values[seed] - pure[seed] for seed in both]
                closed = ratio_interval(gained, [teacher[seed] - pure[seed] for seed in both])
                numbers = (closed.n, closed.estimate, closed.low, closed.high)
                rows.append((setting.dataset, cell.method, show_alpha(cell.alpha), *numbers))
    blocks: list[Block] = []
    if unsure:
        text = "no interval of teacher minus pure student excludes zero there"
        blocks.append(Text(f"Gap closed is not computed for {', '.join(unsure)}: {text}.", "limits"))
    if rows:
        caption = "Share of the gap between pure student and teacher (Fieller interval, descriptive)"
        blocks.append(table("gap_closed", caption, GAP, rows))
    return blocks
