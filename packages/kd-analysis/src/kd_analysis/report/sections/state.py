"""Sections on the state of the campaign and its cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from kd_analysis.accuracy.names import rank, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.overview import OverviewRow, accuracy_overview_figure, progress_figure
from kd_analysis.figures.overview_data import accuracy_rows, progress_grid
from kd_analysis.reading.durations import SHARED, device_seconds, show_students, students_a_job, wall_seconds
from kd_analysis.reading.runs_table import Tree
from kd_analysis.report.document import Block, Column, Figure, Section, Text, table
from kd_hpc.catalogue import DATASETS
from kd_hpc.triage.run_directory import Run


def state_section(analysis: Analysis) -> Section:
    """Progress grid and accuracy overview."""
    tree = analysis.tree
    if not tree.runs and not tree.expected:
        return Section("state", "State of the campaign", (Text("Nothing to show yet."),))
    blocks: list[Block] = [_progress(tree)]
    if overview := accuracy_rows(tree):
        blocks.append(_overview(overview))
    return Section("state", "State of the campaign", tuple(blocks))


def _progress(tree: Tree) -> Figure:
    grid = progress_grid(tree)
    caption = f"Every run by method, alpha, data set and seed: {tree.counted} of {tree.planned} counted."
    rows = [(row, *column, verdict) for (row, column), verdict in grid.verdicts.items()]
    data = table("progress_grid", caption, ("row", "dataset", "seed", "verdict"), rows)
    return Figure("progress_grid", caption, partial(progress_figure, grid), data)


def _overview(groups: dict[str, list[OverviewRow]]) -> Figure:
    caption = "Test accuracy of every finished run; bars are means of counted runs, crosses quarantined runs."
    rows = [
        (name, row.label, value, counted)
        for name, found in groups.items()
        for row in found
        for counted, values in (("yes", row.values), ("quarantined", row.flagged))
        for value in values
    ]
    data = table("accuracy_overview", caption, ("dataset", "row", "accuracy", "counted"), rows)
    return Figure("accuracy_overview", caption, partial(accuracy_overview_figure, groups), data)


COST = (
    "data set",
    "runs",
    "students a job",
    "n timed",
    Column("mean seconds an epoch", 1),
    Column("mean device hours a run", 2),
    Column("device hours in all", 1),
)


def cost_section(analysis: Analysis) -> Section:
    """What the runs cost in device time, where something recorded it."""
    groups: dict[tuple[str, str, tuple[int, int]], list[Run]] = defaultdict(list)
    for run in (item.run for item in analysis.tree.runs):
        students = students_a_job(run)
        if students and run.epochs:
            label = f"pure {run.identity.student}" if run.identity.is_pure else show_method(run.identity.method)
            groups[run.identity.dataset, label, students].append(run)
    if not groups:
        return Section("cost", "Cost", (Text("No run records how long it took."),))
    rows = [
        (dataset, label, show_students(students), *_cost(groups[dataset, label, students]))
        for dataset, label, students in sorted(groups, key=lambda key: (rank(key[0], DATASETS), *key[1:]))
    ]
    total, timed = sum(row[-1] for row in rows), sum(row[3] for row in rows)
    text = (
        f"{total:.1f} hours of device time over the {timed} of {len(analysis.tree.runs)} runs whose whole "
        f"duration is recorded. {SHARED} "
        "Runs resumed without a record of every epoch are left out, not estimated."
    )
    caption = "Device time by data set, method and students a job"
    return Section("cost", "Cost", (Text(text), table("cost", caption, COST, rows)))


def _cost(runs: Sequence[Run]) -> tuple[int, float, float, float]:
    """How many, mean wall seconds of an epoch, mean and total device hours."""
    hours = [device_seconds(run) / 3600 for run in runs]
    return len(runs), _mean(wall_seconds(run) / run.epochs for run in runs), _mean(hours), sum(hours)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
