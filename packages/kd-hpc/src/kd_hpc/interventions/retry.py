"""What a person may do to a run: have it tried again, begun anew, or ended. Nothing is ever deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kd_hpc.claim import owner
from kd_hpc.errors import FolderError, RunOwned, UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.queueing.evidence import CANCELLED
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import Gone, Live
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.store import STATUS, Store, Unreadable


@dataclass(frozen=True)
class Retry:
    """What a retry would do to `experiment`, as a sentence; `record` is what its record becomes, None for none."""

    experiment: Experiment
    says: str
    record: StatusRecord | None = None
    anew: bool = False
    is_needless: bool = False


def plan_retry(store: Store, experiment: Experiment, scheduler: OwnJobs | None, *, anew: bool, gone: bool) -> Retry:
    """What can be done so that the next tick takes the run up again.

    `scheduler` is asked whether its job lives, where there is one to ask; `gone` is a person's word that nothing works
    on it. Raises RunOwned where something may, UsageError for a run that can only begin anew.
    """
    record, label = store.read(experiment), experiment.label
    _require_nobody_at_work(store, experiment, record, scheduler, gone=gone)
    if anew:
        return Retry(experiment, f"{label}: its directory is moved aside, and it begins at epoch 0", anew=True)
    if isinstance(record, Unreadable):
        return Retry(experiment, f"{label}: its unreadable record stays aside; it goes on from its checkpoint, if any")
    if record is None or record.state == State.NOT_STARTED:
        if (store.directory(experiment) / CANCELLED).exists():
            return Retry(experiment, f"{label}: it is no longer cancelled", record)
        return Retry(experiment, f"{label} has not failed: the next kd-hpc queue takes it up", is_needless=True)
    again = f"To begin it again from epoch 0, its present files kept aside: kd-hpc retry --anew {label}"
    if record.state == State.COMPLETED:
        return Retry(experiment, f"{label} is completed: nothing is left to train. {again}", is_needless=True)
    if record.state == State.SUSPECT:
        raise UsageError(f"{label} is suspect, and has trained all its epochs.", remedy=again)
    return Retry(experiment, f"{label}: tried again from epoch {record.epoch}", forgive(record))


def carry_out(store: Store, retry: Retry, aside: Path) -> None:
    """Do it; `aside` is the folder that keeps what is moved away."""
    directory = store.directory(retry.experiment)
    if retry.anew:
        _move(directory, aside / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ") / retry.experiment.path)
        return
    if isinstance(unreadable := store.read(retry.experiment), Unreadable):
        store.quarantine_record(unreadable)
        for reason in directory.glob(f"{STATUS}.quarantined.*.reason"):
            reason.rename(reason.with_suffix(".cleared"))
    elif retry.record:
        store.write(retry.experiment, retry.record)
    (directory / CANCELLED).unlink(missing_ok=True)


def forgive(record: StatusRecord) -> StatusRecord:
    """`record` ready for another attempt: its deaths no longer count, its latest attempt is over."""
    now = datetime.now(UTC)
    attempts = tuple(
        attempt.model_copy(update={"forgiven": True, "ended_at": attempt.ended_at or now})
        for attempt in record.attempts
    )
    state = State.IN_PROGRESS if record.progress and attempts else State.NOT_STARTED
    return record.model_copy(update={"state": state, "attempts": attempts, "reason": "", "remedy": ""})


def request_cancel(store: Store, experiment: Experiment) -> None:
    """Leave word that the run is not to be queued again. The next tick writes it into the record."""
    (store.create(experiment) / CANCELLED).touch()


def _require_nobody_at_work(
    store: Store,
    experiment: Experiment,
    record: StatusRecord | Unreadable | None,
    scheduler: OwnJobs | None,
    *,
    gone: bool,
) -> None:
    last = owner(store.directory(experiment))
    alive = last.is_alive() if last else None
    if alive:
        raise RunOwned(
            f"{experiment.label} is being trained by {last.process if last else ''}.",
            remedy=f"Wait for it, or end it: kd-hpc cancel {experiment.label}",
        )
    attempt = record.attempt if isinstance(record, StatusRecord) else None
    if not isinstance(record, StatusRecord) or not record.state.has_job or alive is False or gone:
        return
    if attempt and attempt.ended_at:
        return
    seen = None
    if attempt and attempt.job_id and scheduler and attempt.scheduler == scheduler.kind:
        seen = scheduler.look([JobRef(attempt.job_id, attempt.token)]).of(attempt.job_id)
    if isinstance(seen, Gone):
        return
    doubt = f"its job {attempt.job_id}" if attempt and attempt.job_id else "whoever trained it"
    known = "is alive" if isinstance(seen, Live) else "may be alive: nobody here can know"
    raise RunOwned(
        f"{experiment.label} is {record.state}, and {doubt} {known}.",
        remedy=f"Wait, or kd-hpc cancel {experiment.label}"
        + (
            ""
            if isinstance(seen, Live)
            else f"; if you know that nothing works on it: kd-hpc retry --gone {experiment.label}"
        ),
    )


def _move(directory: Path, target: Path) -> None:
    if not directory.exists():
        raise UsageError(f"{directory} does not exist: the next kd-hpc queue begins it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(target)
    except OSError as error:
        raise FolderError(f"{directory} cannot be moved to {target}: {error.strerror}.") from error
