"""Sections on the state of the campaign and its cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import partial

from kd_analysis.analysis import Analysis
from kd_analysis.cells import rank, show_method
from kd_analysis.collect import wall_seconds
from kd_analysis.figures.overview import accuracy_overview_figure, progress_figure
from kd_analysis.overview import accuracy_rows, progress_grid
from kd_analysis.report.document import Block, Column, Figure, Section, Text, table
from kd_hpc.catalogue import DATASETS


def state_section(analysis: Analysis) -> Section:
    """Progress grid and accuracy overview."""
    tree = analysis.tree
    if not tree.runs and not tree.expected:
        return Section("state", "State of the campaign", (Text("Nothing to show yet."),))
    caption = f"Every run by method, alpha, data set and seed: {tree.counted} of {tree.planned} counted."
    blocks: list[Block] = [Figure("progress_grid", caption, partial(progress_figure, progress_grid(tree)))]
    if overview := accuracy_rows(tree):
        caption = "Test accuracy of every finished run; bars are means of counted runs, crosses quarantined runs."
        blocks.append(Figure("accuracy_overview", caption, partial(accuracy_overview_figure, overview)))
    return Section("state", "State of the campaign", tuple(blocks))


COST = (
    "data set",
    "runs",
    "n timed",
    Column("mean seconds an epoch", 1),
    Column("mean hours a run", 2),
    Column("hours in all", 1),
)


def cost_section(analysis: Analysis) -> Section:
    """What the runs cost in wall time, where something recorded it."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    epochs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for item in analysis.tree.runs:
        run, seconds = item.run, wall_seconds(item.run)
        if math.isfinite(seconds) and run.epochs:
            label = f"pure {run.identity.student}" if run.identity.is_pure else show_method(run.identity.method)
            groups[run.identity.dataset, label].append(seconds)
            epochs[run.identity.dataset, label].append(seconds / run.epochs)
    keys = sorted(groups, key=lambda key: (rank(key[0], DATASETS), key[1]))
    rows = [
        (key[0], key[1], len(groups[key]), _mean(epochs[key]), _mean(groups[key]) / 3600, sum(groups[key]) / 3600)
        for key in keys
    ]
    if not rows:
        return Section("cost", "Cost", (Text("No run records how long it took."),))
    total, timed = sum(row[5] for row in rows), sum(row[2] for row in rows)
    text = (
        f"{total:.1f} hours of device time over the {timed} of {len(analysis.tree.runs)} runs whose whole "
        f"duration is recorded. "
        "Runs resumed without a record of every epoch are left out, not estimated."
    )
    return Section("cost", "Cost", (Text(text), table("cost", "Wall time by data set and method", COST, rows)))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
