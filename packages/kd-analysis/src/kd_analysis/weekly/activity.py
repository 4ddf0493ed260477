"""What the runs did in a stretch of time, as far as records, or else their logs, carry dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kd_analysis.reading.history import LOG, history_of
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
    logged = [_from_log(run, start, end) for run in runs]
    return Activity(
        started=(*(path for path, _ in started), *(path for each in logged for path in each.started)),
        jobs_started=len(jobs_of(attempt for _, attempt in started)) + sum(each.jobs_started for each in logged),
        completed=(
            *(path for path, record in records if record.is_done and _within(_ended(record), start, end)),
            *(path for each in logged for path in each.completed),
        ),
        hours=sum(job.hours(start, end) for job in jobs_of(attempt for _, attempt in attempts))
        + sum(each.hours for each in logged),
        deaths=(
            *(death for path, record in records for death in _deaths(path, record, start, end)),
            *(death for each in logged for death in each.deaths),
        ),
        given_up=tuple(
            (path, record.reason, record.remedy)
            for path, record in records
            if record.state == State.FAILED and _within(_ended(record), start, end)
        ),
    )


def _from_log(run: Run, start: datetime, end: datetime) -> Activity:
    """What the log of a run says whose record holds no attempts; one start is one job there."""
    history = history_of(run)
    if history.source != LOG:
        return Activity((), 0, (), 0.0, (), ())
    started = [moment for moment in history.starts if _within(moment, start, end)]
    done = run.record is not None and run.record.is_done and _ended(run.record) is None
    hours = 0.0
    if history.starts and history.ended:
        first, last = max(history.starts[-1], start), min(history.ended, end)
        hours = max(0.0, (last - first).total_seconds() / 3600)
    answer = "completed all the same" if run.record and run.record.is_done else "no later attempt is on record"
    deaths = [Death(run.path, e.cause, e.detail, answer, None) for e in history.early if _within(e.when, start, end)]
    return Activity(
        started=(run.path,) * len(started),
        jobs_started=len(started),
        completed=(run.path,) if done and _within(history.ended, start, end) else (),
        hours=hours,
        deaths=tuple(deaths),
        given_up=(),
    )


def undated(runs: list[Run]) -> list[str]:
    """Runs with something to tell of which neither record nor log carries a date: no week can claim them."""
    return [run.path for run in runs if run.epochs and not _has_date(run)]


def _has_date(run: Run) -> bool:
    history = history_of(run)
    return bool((run.record and _ended(run.record)) or history.starts or history.ended)


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
