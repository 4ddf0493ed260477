"""What happened to a run: starts, resumptions, early ends; from its record, or from its log where that is silent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kd_hpc.triage.run_directory import Run

RECORD, LOG = "record", "log"
_KILL = re.compile(r"job killed: (\w+)|DUE TO (\w+ \w+)")


@dataclass(frozen=True)
class EarlyEnd:
    """An attempt that ended before its run was complete: `cause` in a word, what it printed, when as far as known;
    `job` as `Attempt.job`."""

    cause: str
    detail: str
    when: datetime | None
    job: tuple[str, str] | None = None


@dataclass(frozen=True)
class History:
    """`starts` are those with a date; `attempts` counts all that left a trace; `resumed` are finished epochs at which
    one went on; `ended` is the last end that anything dates. `source`: RECORD, LOG, or nothing."""

    starts: tuple[datetime, ...] = ()
    attempts: int = 0
    resumed: tuple[int, ...] = ()
    early: tuple[EarlyEnd, ...] = ()
    ended: datetime | None = None
    source: str = ""


def history_of(run: Run) -> History:
    """The record's attempts where there are any, else what the log shows of the latest."""
    if run.record and run.record.attempts:
        return _from_record(run)
    return _from_log(run)


def _from_record(run: Run) -> History:
    assert run.record is not None
    attempts = run.record.attempts
    resumed = tuple(attempt.start_epoch for attempt in attempts if attempt.start_epoch)
    if not resumed and run.log.resumed_at:
        resumed = (run.log.resumed_at,)
    return History(
        starts=tuple(attempt.started_at for attempt in attempts if attempt.started_at),
        attempts=len(attempts),
        resumed=resumed,
        early=tuple(EarlyEnd(a.cause, a.detail or a.cause, a.ended_at, a.job) for a in attempts if a.cause),
        ended=max((attempt.ended_at for attempt in attempts if attempt.ended_at), default=None),
        source=RECORD,
    )


def _from_log(run: Run) -> History:
    log = run.log
    resumed = () if log.resumed_at is None else (log.resumed_at,)
    printed = bool(log.started or log.epochs or log.crash or log.killed)
    if not printed:
        return History()
    last = log.started[-1] if log.started else None
    ended = last + timedelta(seconds=log.seconds) if last and log.seconds is not None else None
    return History(
        starts=log.started,
        attempts=max(len(log.started), 1 + bool(resumed)),
        resumed=resumed,
        early=tuple(_early(run, ended or last)),
        ended=ended,
        source=LOG,
    )


def _early(run: Run, when: datetime | None) -> Iterator[EarlyEnd]:
    log = run.log
    if log.killed:
        found = _KILL.search(log.killed)
        cause = next((word for word in found.groups() if word), "killed") if found else "killed"
        yield EarlyEnd(cause.lower(), log.killed.removeprefix("=>> "), when)
    elif log.crash:
        yield EarlyEnd("exception", log.crash, when)
