"""Methods over data sets: on these, and on data sets like them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kd_analysis.accuracy.data_sets import PRIOR, OverDataSets, block_gains
from kd_analysis.analysis import Analysis
from kd_analysis.figures.forest import ForestRow, forest_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, p_words, table
from kd_analysis.stats.hierarchy import Mixture
from kd_analysis.stats.intervals import interquartile_mean, probability_of_improvement

FIXED = (
    Column("method", kind="method"),
    Column("data_sets", label="data sets"),
    "n",
    Column("difference", 2, signed=True, label="mean difference (points)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p", kind="p"),
    Column("p_adjusted", kind="p", label="p, Holm"),
    "conclusion",
    Column("p_flips", kind="p", label="p, sign-flip"),
    Column("p_flips_holm", kind="p", label="the same, Holm"),
    Column("p_flips_reachable", kind="p", label="smallest, Holm"),
)
LIKELY = (
    Column("method", kind="method"),
    Column("prior_scale", label="prior scale (points)"),
    "about",
    Column("mean", 2, signed=True, label="mean (points)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p_gain", 2, label="P(gain > 0)"),
    Column("p_relevant", 2, label="P(gain > smallest effect)"),
    Column("between_sd", 2, label="SD between data sets"),
)
BLOCKS = (
    Column("method", kind="method"),
    "blocks",
    Column("interquartile_mean", 2, signed=True, label="interquartile mean (points)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p_improvement", 2, label="P(improvement)"),
    Column("low_p", 2, label="low"),
    Column("high_p", 2, label="high"),
)
ON_THESE = (
    "On these data sets: the mean over data sets of a method's difference to the reference (mean over its alphas), "
    "with the error of the runs. It says nothing of other data sets: if true effects differed between data sets with "
    "an SD of 0.4 points, a test that takes each data set and seed for an independent block would find an effect that "
    "is not there 17 times in 100. The sign-flip test over those blocks stands beside it and is about these data sets, "
    "too; 'smallest' is the least p that so many blocks could have given after Holm's adjustment."
)
LIKE_THESE = (
    "On data sets like these: effects on data sets are drawn from one normal distribution, whose mean is unknown and "
    "whose SD has a half-normal prior; the model is solved on a grid. 'New' is one more data set. With so few data "
    "sets the prior counts: the second table shows how much, tables/generalising.csv has everything. Scale here: "
    f"{PRIOR:g} points. Effects on each data set are drawn towards each other as far as their errors allow."
)


def data_sets_section(analysis: Analysis) -> Section:
    """What methods do over data sets."""
    title = "Over data sets"
    found = analysis.statistics.over
    if not found:
        return Section("data_sets", title, (Text("Nothing can be compared yet."),))
    blocks: list[Block] = [Text(ON_THESE), _fixed(found)]
    if unreachable := [over for over in found if over.flips_reachable > 0.05]:
        blocks.append(Text(_unreachable(unreachable), "limits"))
    if any(over.likely for over in found):
        blocks += [Text(LIKE_THESE), _picture(analysis, found), *_likely(analysis, found)]
    else:
        blocks.append(Text(ONE, "limits"))
    blocks.append(_blocks(analysis))
    return Section("data_sets", title, tuple(blocks))


MEAN = "mean of all data sets"
ONE = "Fewer than two data sets with an error of their own: nothing is said of other data sets."


def _fixed(found: tuple[OverDataSets, ...]) -> Table:
    rows = [
        (
            over.method,
            len(over.on),
            over.fixed.n,
            over.fixed.estimate,
            over.fixed.low,
            over.fixed.high,
            over.p,
            over.p_adjusted,
            str(over.conclusion),
            over.flips.p,
            over.flips_adjusted,
            over.flips_reachable,
        )
        for over in found
    ]
    return table("over_data_sets", "Methods on these data sets; n counts data sets and seeds", FIXED, rows)


def _unreachable(found: list[OverDataSets]) -> str:
    least = p_words(min(over.flips_reachable for over in found))
    blocks = sorted({over.flips.n for over in found})
    return (
        f"The sign-flip test, adjusted over the methods, could not have gone below {least} with "
        f"{', '.join(map(str, blocks))} blocks: its silence says nothing."
    )


def _likely(analysis: Analysis, found: tuple[OverDataSets, ...]) -> Iterator[Table]:
    """Everything at the page's prior, what other priors would say of the mean, and all of it as CSV."""
    rows = [row for over in found for row in _posterior_rows(analysis, over)]
    at_prior = [row for row in rows if row[1] == PRIOR]
    means = [row for row in rows if row[2] == MEAN]
    shown = "Data sets like these: posterior means with 95 % intervals"
    yield table("generalising_shown", f"{shown}, prior scale {PRIOR:g} points", LIKELY, at_prior)
    yield table("prior_sensitivity", "The same of the mean of all data sets, by prior scale", LIKELY, means)
    yield table("generalising", shown, LIKELY, rows, csv_only=True)


def _posterior_rows(analysis: Analysis, over: OverDataSets) -> Iterator[tuple[object, ...]]:
    known = [each.setting.name for each in over.on if each.error == each.error]
    for scale, posterior in over.likely.items():
        lines = [(MEAN, posterior.mean), ("new data set", posterior.new)]
        lines += list(zip(known, posterior.each, strict=True))
        for about, one in lines:
            yield (over.method, scale, *_line(about, one, analysis), posterior.between)


def _line(about: str, one: Mixture, analysis: Analysis) -> tuple[object, ...]:
    low, high = one.interval()
    return (about, one.mean, low, high, one.above(0.0), one.above(analysis.smallest_effect))


def _picture(analysis: Analysis, found: tuple[OverDataSets, ...]) -> Figure:
    rows = []
    for over in found:
        if posterior := over.likely.get(PRIOR):
            for mark, one in (("mean", posterior.mean), ("new data set", posterior.new)):
                low, high = one.interval()
                rows.append(ForestRow(over.method, mark, one.mean, low, high, len(over.on), ""))
    caption = (
        "Effects on data sets like these: the mean over all of them, and one more data set, with 95 % intervals "
        f"(prior scale {PRIOR:g} points)."
    )
    columns = (Column("method", kind="method"), "about", "data_sets", "mean", "low", "high")
    data = table("likely", caption, columns, [(r.method, r.mark, r.n, r.estimate, r.low, r.high) for r in rows])
    groups = {"data sets like these": rows}
    return Figure(
        "likely", caption, partial(forest_figure, groups, "difference (points)", analysis.smallest_effect, ""), data
    )


def _blocks(analysis: Analysis) -> Table:
    rows = []
    for method in analysis.last.methods:
        if gains := list(block_gains(analysis.last, method).values()):
            middle, share = interquartile_mean(gains), probability_of_improvement(gains)
            bounds = (middle.estimate, middle.low, middle.high, share.estimate, share.low, share.high)
            rows.append((method, len(gains), *bounds))
    caption = "Blocks of data set and seed: interquartile mean, and the share of blocks above the reference"
    return table("blocks", caption, BLOCKS, rows)
