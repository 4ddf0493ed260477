"""Beside what others published of the same protocol: a campaign file says what its runs should reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Block, Column, Text, table
from kd_analysis.stats.intervals import t_interval
from kd_hpc.campaign import STUDENT, TEACHER, Campaign
from kd_hpc.catalogue import PURE

COLUMNS = (
    Column("method", kind="method"),
    "network",
    Column("published", 2, label="published (%)"),
    "n",
    Column("mean", 2, label="mean last (%)"),
    Column("low", 2, kind="percent"),
    Column("high", 2, kind="percent"),
    Column("difference", 2, signed=True, label="ours less theirs"),
    Column("mean_best", 2, label="mean best (%)"),
)
NOTE = (
    "Published accuracies are means of other people's runs, without their spread; the interval is of our own seeds. "
    "A table seldom says whether it gives the last epoch or the best one, so both of ours stand here."
)


def published_blocks(analysis: Analysis) -> Iterator[Block]:
    """A table of each number that the campaign file names, with ours; nothing where it names none."""
    campaign = analysis.campaign
    if campaign is None or not campaign.published:
        return
    rows = [_row(analysis, campaign, name, value) for name, value in campaign.published.items()]
    yield Text(NOTE)
    yield table("published", "Beside published accuracies", COLUMNS, rows)


def _row(analysis: Analysis, campaign: Campaign, name: str, published: float) -> tuple[object, ...]:
    last, best = _values(analysis, campaign, name)
    ours = t_interval([last[seed] for seed in sorted(last)]) if last else None
    mean_best = sum(best.values()) / len(best) if best else None
    network = campaign.teacher if name == TEACHER else campaign.student
    method = PURE if name in (TEACHER, STUDENT) else name
    found = (ours.estimate, ours.low, ours.high, ours.estimate - published) if ours else (None,) * 4
    return (method, network, published, len(last), *found, mean_best)


def _values(analysis: Analysis, campaign: Campaign, name: str) -> tuple[Mapping[int, float], Mapping[int, float]]:
    """Accuracies of the last and of the best epoch by seed; none where there is no counted run."""
    (dataset,) = campaign.datasets
    grids = (analysis.last, analysis.best)
    if name in (TEACHER, STUDENT):
        model = campaign.teacher if name == TEACHER else campaign.student
        first, second = (grid.pure.get((dataset, model), {}) for grid in grids)
        return first, second
    first, second = (
        next((cell.values for cell in grid.cells if (cell.setting.dataset, cell.method) == (dataset, name)), {})
        for grid in grids
    )
    return first, second
