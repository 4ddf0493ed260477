"""Claiming a run inside a job: while it lasts this process alone may write its directory, or it writes nothing.

Three fences. The record names one job, by token and job id: any other job is superseded and leaves. The owner lock in
the run directory names one process: a second one, on whatever machine, is refused while the first may be alive. And
whoever takes over takes from all before him the right to change a file (kd_hpc.fence).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kd_hpc.disk import locks
from kd_hpc.errors import LockHeld, OwnerUnseen, RunOwned, StoreError, Superseded
from kd_hpc.experiment import Experiment
from kd_hpc.fence import OWNER
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import RUNNER, OpenRun, Store, Unreadable

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


@dataclass(frozen=True)
class Claim:
    """A run that is this process's: its record, whose last attempt is this start, and the right to write it.

    `run` is None where the run is done: then there is nothing to write.
    """

    record: StatusRecord
    run: OpenRun | None


@contextlib.contextmanager
def claimed(store: Store, experiment: Experiment, job: JobIdentity) -> Iterator[Claim]:
    """Own the run for the body.

    A run in a final state is yielded as it is, for the caller to say so. Raises Superseded, RunOwned where another
    process may be alive, StoreError where the record is unreadable. Writes nothing but the lock.
    """
    record = inspect(store, experiment, job)
    if record.is_done:
        yield Claim(record, None)
        return
    with owned(store, experiment, token=job.token, may_take_from=replaced_by(record, job.token)) as run:
        record = _unchanged(record, run, job)
        yield Claim(record, None) if record.is_done else Claim(_with_this_start(record, job, run), run)


@contextlib.contextmanager
def owned(
    store: Store,
    experiment: Experiment,
    *,
    token: str = "",
    role: str = "",
    may_take_from: locks.MayTakeFrom = locks.nobody,
) -> Iterator[OpenRun]:
    """`Store.opened`, whose refusal says what to type. Raises RunOwned."""
    with contextlib.ExitStack() as stack:
        try:
            run = stack.enter_context(store.opened(experiment, token=token, role=role, may_take_from=may_take_from))
        except OwnerUnseen as error:
            raise RunOwned(
                f"{experiment.label} may be in use: {error.what}", remedy=take_over(experiment.label)
            ) from None
        except LockHeld as error:
            remedy = error.remedy or "Wait for it, or end that process first."
            raise RunOwned(f"{experiment.label} is in use: {error.what}", remedy=remedy) from None
        yield run


def take_over(run: str) -> str:
    """What to type where nobody here can know whether a run's owner lives, and what that risks."""
    return (
        f"If you know that nothing works on it any more: kd-hpc retry --gone {run}; if something does after all, it "
        "loses the epoch it is in and ends: it can write nothing more"
    )


def by_runner(record: StatusRecord | Unreadable | None) -> locks.MayTakeFrom:
    """Whose lock a tick may take that it cannot see: of jobs on record, which it saw end, of a runner, of nobody known.

    It holds the tick lock, so another runner is gone or has lost the right to act.
    """
    attempts = record.attempts if isinstance(record, StatusRecord) else ()
    tokens = {attempt.token for attempt in attempts if attempt.token}
    return lambda owner: owner is None or owner.role == RUNNER or owner.token in tokens


def replaced_by(record: StatusRecord, token: str) -> locks.MayTakeFrom:
    """Whose lock a job may take that it cannot see: of attempts that its own replaced, of a runner, of nobody known."""
    earlier = {attempt.token for attempt in record.attempts if attempt.token and attempt.token != token}

    def may_take_from(owner: locks.Owner | None) -> bool:
        return bool(token) and (owner is None or owner.role == RUNNER or owner.token in earlier)

    return may_take_from


def owner(directory: Path) -> locks.Owner | None:
    """The last process that claimed the run in `directory` to train it; None if none did. Raises StoreError."""
    return next((owner for owner in locks.owners(directory / OWNER) if not owner.role), None)


def inspect(store: Store, experiment: Experiment, job: JobIdentity) -> StatusRecord:
    """The run's record, if this process may try to claim it; raises what `claimed` would. Writes nothing."""
    found = _readable(store.read(experiment), experiment)
    if job.token:
        require_recorded(found, job)
    elif found is not None:
        _require_no_job(store, experiment, found)
    return found or StatusRecord(experiment=experiment)


def _unchanged(record: StatusRecord, run: OpenRun, job: JobIdentity) -> StatusRecord:
    """The record as it is now that no earlier owner can change it, if it may still be claimed."""
    found = _readable(run.read(), run.experiment)
    if job.token:
        require_recorded(found, job)
    elif found != record and (found or record.revision):
        raise RunOwned(f"{run.experiment.label} was changed this very moment.", remedy="Try again.")
    return found or record


def _readable(found: StatusRecord | Unreadable | None, experiment: Experiment) -> StatusRecord | None:
    if isinstance(found, Unreadable):
        raise StoreError(
            f"{found.path} is unreadable: {found.reason}.",
            remedy=f"Look at it, then clear it with: kd-hpc retry {experiment.label}",
        )
    return found


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
    its_own = last is not None and attempt is not None and last.token == attempt.token
    if record.state == State.IN_PROGRESS and its_own and last and last.is_alive() is False:
        return
    raise RunOwned(
        f"{experiment.label} is {record.state} in job {record.job_id or 'not yet known'}, which may be alive.",
        remedy=f"Ask kd-hpc why {experiment.label}, or end it with kd-hpc cancel {experiment.label}",
    )


def _with_this_start(record: StatusRecord, job: JobIdentity, run: OpenRun) -> StatusRecord:
    start: dict[str, Any] = {
        "started_at": datetime.now(UTC),
        "host": os.uname().nodename,
        "start_epoch": record.progress,
        "end_epoch": record.progress,
    }
    if run.fence.bid.doubtful:
        start["assumed_gone"] = run.fence.bid.doubtful
    if job.token:
        return record.with_attempt(**start)
    attempt = Attempt(number=len(record.attempts) + 1, **start)
    return record.model_copy(update={"attempts": (*record.attempts, attempt)})
