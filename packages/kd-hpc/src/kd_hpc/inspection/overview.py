"""A campaign at a glance: totals, grid, what is at work, what needs a person, when it ends. From rows alone; pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kd_hpc.experiment import experiment_at
from kd_hpc.forecasting.forecast_text import ForecastText
from kd_hpc.inspection.grid import Grid, make_grid
from kd_hpc.inspection.rows import STATES, Row
from kd_hpc.queueing.live_display import seconds_left
from kd_hpc.records import State
from kd_hpc.remedies import with_folder

_SILENT_SECONDS = 3600.0
"""A run whose record is that much older than the newest one, and than three of its epochs, may be dead."""


@dataclass(frozen=True)
class AtWork:
    """One job by its records. `left`: seconds until its last run ends, None before it has an epoch; `silent`: seconds
    without a word where that is suspicious, else None.
    """

    rows: tuple[Row, ...]
    left: float | None
    silent: float | None

    @property
    def leader(self) -> Row:
        """The run in whose directory the job's output is."""
        attempt = self.rows[0].known.attempt
        leads = attempt.leader if attempt else None
        return next((row for row in self.rows if row.label == leads), self.rows[0])


@dataclass(frozen=True)
class Need:
    """Runs that stopped for one reason. `remedy` ends with the command for the first of them, or for all of them where
    `is_for_all`; `holds_up` counts the runs that wait for theirs.
    """

    reason: str
    remedy: str
    rows: tuple[Row, ...]
    holds_up: int = 0
    is_for_all: bool = True

    def as_json(self) -> dict[str, Any]:
        runs = [row.label for row in self.rows]
        return {"runs": runs, "reason": self.reason, "remedy": self.remedy, "holds_up": self.holds_up}


@dataclass(frozen=True)
class Overview:
    """`title` is the campaign's name, or the folder's; `newest` when the latest record was written.

    `remarks`: sentences about the cluster.
    """

    title: str
    root: Path
    rows: tuple[Row, ...]
    totals: Mapping[str, int]
    grid: Grid
    at_work: tuple[AtWork, ...]
    needs: tuple[Need, ...]
    forecast: ForecastText | None
    newest: datetime | None
    now: datetime
    remarks: tuple[str, ...] = ()


def make_overview(
    title: str,
    root: Path,
    rows: Sequence[Row],
    forecast: ForecastText | None,
    now: datetime,
    remarks: Sequence[str] = (),
) -> Overview:
    """The overview of `rows`, which lie below `root`, as of `now`."""
    written = [record.updated_at for row in rows if (record := row.known).updated_at]
    newest = max(written, default=None)
    counts = Counter(row.state for row in rows)
    return Overview(
        title=title,
        root=root,
        rows=tuple(rows),
        totals={state: counts[state] for state in STATES if counts[state]},
        grid=make_grid(rows),
        at_work=_at_work(rows, newest or now, now),
        needs=_needs(rows, root),
        forecast=forecast,
        newest=newest,
        now=now,
        remarks=tuple(remarks),
    )


def _at_work(rows: Iterable[Row], newest: datetime, now: datetime) -> tuple[AtWork, ...]:
    """Jobs that train by their records: silent ones first, then those that end soonest."""
    jobs: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        if row.state == State.IN_PROGRESS:
            attempt = row.known.attempt
            jobs[(attempt.job if attempt else None) or row.label].append(row)
    found = [_job(tuple(same), newest, now) for same in jobs.values()]
    return tuple(sorted(found, key=lambda job: (job.silent is None, job.left is None, job.left or 0.0)))


def _job(rows: tuple[Row, ...], newest: datetime, now: datetime) -> AtWork:
    left = [seconds for row in rows if (seconds := seconds_left(row.known, now)) is not None]
    heard = max((row.known.updated_at for row in rows if row.known.updated_at), default=None)
    silence = (newest - heard).total_seconds() if heard else None
    pace = max((_pace(row) for row in rows), default=0.0)
    is_silent = silence is not None and silence > max(_SILENT_SECONDS, 3 * pace)
    return AtWork(rows, max(left, default=None), silence if is_silent else None)


def _pace(row: Row) -> float:
    """Seconds an epoch of the latest attempt; 0 before it has one."""
    attempt, until = row.known.attempt, row.known.updated_at
    epochs = row.known.progress - (attempt.start_epoch or 0) if attempt else 0
    if attempt is None or attempt.started_at is None or until is None or epochs <= 0:
        return 0.0
    return (until - attempt.started_at).total_seconds() / epochs


def _needs(rows: Sequence[Row], root: Path) -> tuple[Need, ...]:
    """Runs that stopped by themselves, grouped by reason; those that hold up most others first."""
    needing = {row.label: row for row in rows if row.needs_person}
    holds_up: Counter[str] = Counter()
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in needing.values():
        if (teacher := _teacher(row)) in needing:
            holds_up[teacher] += 1
        else:
            groups[kind_of_stop(row)].append(row)
    found = [_need(same, rows, root, sum(holds_up[row.label] for row in same)) for same in groups.values()]
    return tuple(sorted(found, key=lambda need: (-need.holds_up, -len(need.rows))))


def _teacher(row: Row) -> str:
    experiment = experiment_at(row.label)
    teacher = experiment.teacher_run if experiment else None
    return teacher.label if teacher else ""


def kind_of_stop(row: Row) -> tuple[str, str, str]:
    """What runs that stopped for one reason have in common."""
    reason, remedy = (text.replace(row.label, "RUN") for text in (row.reason, row.remedy))
    return row.state, re.sub(r"\d+(\.\d+)?", "0", reason), re.sub(r"\d+", "0", remedy)


def _need(same: Sequence[Row], rows: Sequence[Row], root: Path, holds_up: int) -> Need:
    first = same[0]
    remedy, is_for_all = first.remedy, len(same) == 1
    if len(same) > 1 and (selection := _selection(same, rows)) and re.search(r"kd-hpc (retry|why) ", remedy):
        remedy, is_for_all = remedy.replace(first.label, selection), True
    return Need(first.reason, with_folder(remedy, root), tuple(same), holds_up, is_for_all)


def _selection(same: Sequence[Row], rows: Sequence[Row]) -> str:
    """The shortest words that mean just the runs `same` among all `rows`; empty if none do."""
    wanted, state = {row.label for row in same}, same[0].state
    parts = same[0].label.split("/")
    for depth in range(len(parts)):
        prefix = "/".join([*parts[:depth], ""])
        meant = {row.label for row in rows if row.state == state and row.label.startswith(prefix)}
        if meant == wanted:
            return f"--state {state}" + (f" '{prefix}*'" if depth else "")
    return ""
