"""What finished epochs and attempts teach about the rest: seconds an epoch, waits, deaths, jobs at once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.store import METRICS, Store

Kind = tuple[str, str, str]
"""Data set, method, and the models at work: runs of one kind should take equally long."""


@dataclass(frozen=True)
class Measures:
    """`paces`: seconds an epoch, one number for each measured run, by kind. `waits`: seconds from submission to start.

    `deaths_per_hour`: of running jobs, apart from walltime kills. `most_running`: jobs seen at work at once.
    `spent_seconds`: of all epochs trained so far.
    """

    paces: Mapping[Kind, Sequence[float]]
    waits: Sequence[float] = ()
    deaths_per_hour: float = 0.0
    most_running: int = 0
    spent_seconds: float = 0.0

    def paces_for(self, experiment: Experiment) -> tuple[Sequence[float], str]:
        """Measured paces to draw from, and where they come from; empty if nothing was measured at all."""
        own = kind_of(experiment)
        if own in self.paces:
            return self.paces[own], "measured"
        for name, alike in (
            ("other methods on that data set", lambda kind: kind[0] == own[0] and kind[2] == own[2]),
            ("other models on that data set", lambda kind: kind[0] == own[0]),
            ("other data sets", lambda kind: True),
        ):
            if found := [pace for kind, paces in self.paces.items() if alike(kind) for pace in paces]:
                return found, name
        return (), "nothing"


def kind_of(experiment: Experiment) -> Kind:
    models = experiment.student if experiment.teacher is None else f"{experiment.teacher}_to_{experiment.student}"
    return (experiment.dataset, experiment.method, models)


def measure(store: Store, records: Mapping[Experiment, StatusRecord]) -> Measures:
    """Everything the runs in `records` have shown."""
    paces: dict[Kind, list[float]] = defaultdict(list)
    spent = 0.0
    for experiment in records:
        seconds = epoch_seconds(store.directory(experiment))
        spent += sum(seconds)
        if seconds:
            paces[kind_of(experiment)].append(median(seconds[-50:]))
    attempts = [attempt for record in records.values() for attempt in record.attempts]
    return Measures(paces, _waits(attempts), _deaths_per_hour(attempts, spent), _most_running(attempts), spent)


def epoch_seconds(directory: Path) -> list[float]:
    """The seconds of every epoch on record in metrics.json; empty where there are none."""
    try:
        values = json.loads((directory / METRICS).read_bytes())["seconds"]
        return [float(value) for value in values if float(value) > 0]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _waits(attempts: Iterable[Attempt]) -> list[float]:
    waits = (
        (attempt.started_at - attempt.submitted_at).total_seconds()
        for attempt in attempts
        if attempt.started_at and attempt.submitted_at
    )
    return [wait for wait in waits if wait >= 0]


def _deaths_per_hour(attempts: Iterable[Attempt], spent_seconds: float) -> float:
    sudden = sum(
        attempt.cause in ("signal", "deleted", "node", "unknown") and bool(attempt.job_id) for attempt in attempts
    )
    return sudden / (spent_seconds / 3600) if spent_seconds else 0.0


def _most_running(attempts: Iterable[Attempt]) -> int:
    """The most attempts whose times overlap."""
    edges: list[tuple[datetime, int]] = []
    for attempt in attempts:
        if attempt.started_at and attempt.ended_at and attempt.started_at <= attempt.ended_at:
            edges += [(attempt.started_at, 1), (attempt.ended_at, -1)]
    running = most = 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    return most
