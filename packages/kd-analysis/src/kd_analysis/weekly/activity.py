"""What the runs did in a stretch of time, as far as their records carry dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kd_analysis.reading.jobs import jobs_of
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.triage.run_directory import Run


@dataclass(frozen=True)
class Death:
    """An attempt that ended before its run was complete, and what was done about it; `job` is that of `Attempt`."""

    run: str
    cause: str
    detail: str
    answer: str
    job: tuple[str, str] | None


@dataclass(frozen=True)
class Activity:
    """Paths of runs, a path for each attempt started, deaths, and runs given up with their reason and remedy.

    `hours` are those of jobs inside the window: of a job that several runs share, once.
    """

    started: tuple[str, ...]
    jobs_started: int
    completed: tuple[str, ...]
    hours: float
    deaths: tuple[Death, ...]
    given_up: tuple[tuple[str, str, str], ...]

    @property
    def jobs_died(self) -> int:
        """The jobs behind the deaths."""
        return len({death.job or place for place, death in enumerate(self.deaths)})

    @property
    def causes(self) -> Counter[str]:
        return Counter(death.cause for death in self.deaths)


def activity(runs: list[Run], start: datetime, end: datetime) -> Activity:
    """Everything dated from `start` until before `end`."""
    records = [(run.path, run.record) for run in runs if run.record]
    attempts = [(path, attempt) for path, record in records for attempt in record.attempts]
    started = [(path, attempt) for path, attempt in attempts if _within(attempt.started_at, start, end)]
    return Activity(
        started=tuple(path for path, _ in started),
        jobs_started=len(jobs_of(attempt for _, attempt in started)),
        completed=tuple(path for path, record in records if record.is_done and _within(_ended(record), start, end)),
        hours=sum(job.hours(start, end) for job in jobs_of(attempt for _, attempt in attempts)),
        deaths=tuple(death for path, record in records for death in _deaths(path, record, start, end)),
        given_up=tuple(
            (path, record.reason, record.remedy)
            for path, record in records
            if record.state == State.FAILED and _within(_ended(record), start, end)
        ),
    )


def undated(runs: list[Run]) -> list[str]:
    """Runs with something to tell whose records carry no date: no week can claim them."""
    return [run.path for run in runs if run.epochs and not (run.record and _ended(run.record))]


def _deaths(path: str, record: StatusRecord, start: datetime, end: datetime) -> Iterator[Death]:
    for place, attempt in enumerate(record.attempts):
        last = place == len(record.attempts) - 1
        if not _within(attempt.ended_at, start, end) or (attempt.cause is None and not _died(record, attempt, last)):
            continue
        if last and record.is_done:
            continue
        cause, detail = attempt.cause or "unknown", attempt.detail or "no cause on record"
        yield Death(path, cause, detail, _answer(record, attempt, last), attempt.job)


def _died(record: StatusRecord, attempt: Attempt, last: bool) -> bool:
    """An ended attempt of a run that was not complete by then."""
    return not (last and record.state.is_final)


def _answer(record: StatusRecord, attempt: Attempt, last: bool) -> str:
    asked = "a person asked for another try; " if attempt.forgiven else ""
    if not last:
        return f"{asked}tried again, now {record.state.value.replace('_', ' ')} at epoch {record.epoch}"
    return f"{asked}given up" if record.state == State.FAILED else f"{asked}not tried again yet"


def _ended(record: StatusRecord) -> datetime | None:
    """When the run came to its present state, as far as anything says."""
    attempt = record.attempt
    return (attempt.ended_at if attempt and record.state.is_final else None) or record.updated_at


def _within(moment: datetime | None, start: datetime, end: datetime) -> bool:
    return moment is not None and start <= moment < end
