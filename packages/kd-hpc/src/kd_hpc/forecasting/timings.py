"""What finished epochs and attempts teach about the rest: seconds an epoch, waits, deaths, jobs at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from kd_hpc.disk.sealed import read_object
from kd_hpc.errors import Damaged
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, StatusRecord, most_at_once
from kd_hpc.store import METRICS, Store

Kind = tuple[str, str, str]
"""Data set, method, and the models at work: runs of one kind should take equally long."""
SharedKind = tuple[str, str, int]
"""Data set, models, and how many students share the job, of whatever methods."""


@dataclass(frozen=True)
class Timings:
    """`paces`: seconds an epoch, one number for each run measured alone, by kind; `shared`: for each run measured in a
    job with others, of an epoch of all of them. `waits`: seconds from submission to start.

    `deaths_per_hour`: of running jobs, apart from walltime kills. `most_running`: jobs seen at work at once.
    `spent_seconds`: of all epochs trained so far, those of a shared job once.
    """

    paces: Mapping[Kind, Sequence[float]]
    shared: Mapping[SharedKind, Sequence[float]] = field(default_factory=dict)
    waits: Sequence[float] = ()
    deaths_per_hour: float = 0.0
    most_running: int = 0
    spent_seconds: float = 0.0

    def paces_for(self, experiment: Experiment, students: int = 1) -> tuple[Sequence[float], str]:
        """Seconds an epoch to draw from, of a job of so many such students, and where they come from; empty if nothing
        was measured at all.

        Never too hopeful: from m students to k > m the time grows as k/m, from more to fewer it stays.
        """
        is_measured_alone = students == 1 and kind_of(experiment) in self.paces
        if not is_measured_alone and (found := self._of_shared_jobs(experiment, students)):
            return found
        alone, source = self._alone(experiment)
        if students == 1 or not alone:
            return alone, source
        return [students * pace for pace in alone], f"{source}, {students} times one alone"

    def _of_shared_jobs(self, experiment: Experiment, students: int) -> tuple[Sequence[float], str] | None:
        """From jobs of the same data set and models that students shared, as many, or nearly as many."""
        dataset, _, models = kind_of(experiment)
        known = {k: paces for (of, by, k), paces in self.shared.items() if (of, by) == (dataset, models)}
        if not known:
            return None
        nearest = min(known, key=lambda k: (abs(k - students), k))
        if nearest == students:
            return known[nearest], "measured"
        return [max(1.0, students / nearest) * pace for pace in known[nearest]], f"jobs of {nearest} students"

    def _alone(self, experiment: Experiment) -> tuple[Sequence[float], str]:
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


def read_timings(store: Store, records: Mapping[Experiment, StatusRecord]) -> Timings:
    """Everything the runs in `records` have shown."""
    paces: dict[Kind, list[float]] = defaultdict(list)
    shared: dict[SharedKind, list[float]] = defaultdict(list)
    spent = 0.0
    for experiment, record in records.items():
        seconds = epoch_seconds(store.directory(experiment))
        students = _students(record, len(seconds))
        seconds, students = seconds[experiment.first_epoch :], students[experiment.first_epoch :]
        spent += sum(whole / sharing for whole, sharing in zip(seconds, students, strict=True))
        if not seconds:
            continue
        latest = [whole for whole, sharing in zip(seconds, students, strict=True) if sharing == students[-1]]
        dataset, _, models = kind = kind_of(experiment)
        of_its_kind = paces[kind] if students[-1] == 1 else shared[dataset, models, students[-1]]
        of_its_kind.append(median(latest[-50:]))
    jobs = _jobs(attempt for record in records.values() for attempt in record.attempts)
    spans = ((job.started_at, job.ended_at) for job in jobs if job.started_at and job.ended_at)
    return Timings(paces, shared, _waits(jobs), _deaths_per_hour(jobs, spent), most_at_once(spans), spent)


def _students(record: StatusRecord, epochs: int) -> list[int]:
    """How many students shared the job that trained each of the run's first `epochs` epochs."""
    students = [1] * epochs
    for attempt in record.attempts:
        first, last = (max(0, (end or 0) - record.warmup_epochs) for end in (attempt.start_epoch, attempt.end_epoch))
        for epoch in range(first, min(epochs, last)):
            students[epoch] = len(attempt.runs or ("",))
    return students


def _jobs(attempts: Iterable[Attempt]) -> list[Attempt]:
    """One attempt a job: of those that share one, that of the run which ended last."""
    alone: list[Attempt] = []
    shared: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        (shared[attempt.token] if attempt.runs else alone).append(attempt)
    return alone + [max(same, key=_end) for same in shared.values()]


def _end(attempt: Attempt) -> float:
    return attempt.ended_at.timestamp() if attempt.ended_at else float("inf")


def epoch_seconds(directory: Path) -> list[float]:
    """The seconds of every epoch on record in metrics.json; empty where there are none."""
    try:
        values = read_object(directory / METRICS)["seconds"]
        return [float(value) for value in values if float(value) > 0]
    except (OSError, Damaged, ValueError, TypeError, KeyError, OverflowError):
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
