"""Claiming a run inside a job: afterwards this process alone may write its directory, or it writes nothing.

Two fences. The record names one job, by token and job id: any other job is superseded and leaves. The owner lock in
the run directory names one process: a second one, on whatever machine, is refused while the first may be alive.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kd_hpc import locks
from kd_hpc.errors import LockHeld, RunOwned, StoreError
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store, Unreadable

OWNER = ".owner"
TOKEN_VARIABLE = "KD_TOKEN"
JOB_ID_VARIABLE = "KD_JOB_ID"
_JOB_ID_VARIABLES = (JOB_ID_VARIABLE, "PBS_JOBID", "SLURM_JOB_ID")
"""The first is what a job's script sets; the others are for jobs that an earlier version queued."""


@dataclass(frozen=True)
class JobIdentity:
    """Which job this process runs in; both empty for a start by hand."""

    token: str = ""
    job_id: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> JobIdentity:
        token = environment.get(TOKEN_VARIABLE, "")
        ids = (environment[name] for name in _JOB_ID_VARIABLES if environment.get(name))
        return cls(token, next(ids, "")) if token else cls()


class Superseded(Exception):
    """This job is not the one on record: it must touch nothing and exit 0."""


@contextlib.contextmanager
def claimed(store: Store, experiment: Experiment, job: JobIdentity) -> Iterator[StatusRecord]:
    """Own the run for the body; yields its record, whose last attempt is this start.

    A run in a final state is yielded as it is, for the caller to say so. Raises Superseded, RunOwned where another
    process may be alive, StoreError where the record is unreadable. Writes nothing but the lock.
    """
    record = _record(store, experiment, job)
    if record.is_done:
        yield record
        return
    lock = store.create(experiment) / OWNER
    earlier = {attempt.token for attempt in record.attempts if attempt.token and attempt.token != job.token}
    try:
        with locks.held(lock, token=job.token, may_take_from=lambda owner: owner.token in earlier):
            yield _with_this_start(_record(store, experiment, job), job)
    except LockHeld as error:
        raise RunOwned(
            f"{experiment.label} is being trained: {error.what}",
            remedy="Wait for it, or stop that process first; if its machine is gone for good, delete "
            f"{lock}.* and run this again.",
        ) from None


def inspect(store: Store, experiment: Experiment, job: JobIdentity) -> StatusRecord:
    """The run's record, if this process may try to claim it; raises what `claimed` would. Writes nothing."""
    return _record(store, experiment, job)


def owner(directory: Path) -> locks.Owner | None:
    """The last process that claimed the run in `directory`; None if none ever did."""
    return locks.current_owner(directory / OWNER)


def _record(store: Store, experiment: Experiment, job: JobIdentity) -> StatusRecord:
    found = store.read(experiment)
    if isinstance(found, Unreadable):
        raise StoreError(
            f"{found.path} is unreadable: {found.reason}.",
            remedy=f"Look at it, then clear it with: kd-hpc retry {experiment.label}",
        )
    if job.token:
        require_recorded(found, job)
    elif found is not None:
        _require_no_job(store, experiment, found)
    return found or StatusRecord(experiment=experiment)


def require_recorded(record: StatusRecord | None, job: JobIdentity) -> None:
    """Raise Superseded unless `job` is the one on record: the fence that makes a doubled submission harmless."""
    attempt = record.attempt if record else None
    if attempt is None or (attempt.token, attempt.job_id) != (job.token, job.job_id):
        on_record = f"{attempt.token} in job {attempt.job_id}" if attempt else "none"
        raise Superseded(f"superseded: this is {job.token} in job {job.job_id}, on record is {on_record}")


def _require_no_job(store: Store, experiment: Experiment, record: StatusRecord) -> None:
    """Raise RunOwned for a start by hand while a job of the run may be alive."""
    attempt = record.attempt
    if not record.state.has_job or (attempt and (attempt.scheduler == "hand" or attempt.ended_at)):
        return
    last = owner(store.directory(experiment))
    if record.state == State.IN_PROGRESS and last is not None and last.is_alive() is False:
        return
    raise RunOwned(
        f"{experiment.label} is {record.state} in job {record.job_id or 'not yet known'}, which may be alive.",
        remedy=f"Ask kd-hpc why {experiment.label}, or end it with kd-hpc cancel {experiment.label}",
    )


def _with_this_start(record: StatusRecord, job: JobIdentity) -> StatusRecord:
    start = {
        "started_at": datetime.now(UTC),
        "host": os.uname().nodename,
        "start_epoch": record.progress,
        "end_epoch": record.progress,
    }
    if job.token:
        return record.with_attempt(**start)
    attempt = Attempt(number=len(record.attempts) + 1, **start)
    return record.model_copy(update={"attempts": (*record.attempts, attempt)})
