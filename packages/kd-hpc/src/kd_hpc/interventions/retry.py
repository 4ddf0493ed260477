"""What a person may do to a run: have it tried again, begun anew, or ended. Nothing is ever deleted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kd_hpc.claim import by_runner, owned, owner, take_over
from kd_hpc.disk.files import read_regular
from kd_hpc.errors import Damaged, FolderError, RunOwned, UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.fence import sweep_rooms
from kd_hpc.queueing.evidence import CANCELLED
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import Gone, Live
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.store import RUNNER, STATUS, OpenRun, Store, Unreadable


@dataclass(frozen=True)
class Retry:
    """What a retry would do to `experiment`, as a sentence; `record` is what its record becomes, None for none.

    `gone`: a person's word that nothing works on it, which counts where nobody here can see whether its owner lives.
    """

    experiment: Experiment
    says: str
    record: StatusRecord | None = None
    anew: bool = False
    is_needless: bool = False
    gone: bool = False


def plan_retry(store: Store, experiment: Experiment, scheduler: OwnJobs | None, *, anew: bool, gone: bool) -> Retry:
    """What can be done so that the next tick takes the run up again.

    `scheduler` is asked whether its job lives, where there is one to ask; `gone` is a person's word that nothing works
    on it. Raises RunOwned where something may, UsageError for a run that can only begin anew.
    """
    record = store.read(experiment)
    unseen = _require_nobody_at_work(store, experiment, record, scheduler, gone=gone)
    planned = replace(_plan(store, experiment, record, anew=anew), gone=gone)
    if not (gone and unseen):
        return planned
    return replace(planned, says=f"{planned.says}; {unseen} is taken for gone", is_needless=False)


def _plan(store: Store, experiment: Experiment, record: StatusRecord | Unreadable | None, *, anew: bool) -> Retry:
    label = experiment.label
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
    """Do it; `aside` is the folder that keeps what is moved away. Raises RunOwned, StoreError, FolderError."""
    experiment, directory = retry.experiment, store.directory(retry.experiment)
    if not directory.exists():
        raise UsageError(f"{directory} does not exist: the next kd-hpc queue begins it.")
    ours = by_runner(store.read(experiment))
    with owned(store, experiment, role=RUNNER, may_take_from=lambda owner: retry.gone or ours(owner)) as run:
        if retry.anew:
            _move(directory, aside / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ") / experiment.path)
            return
        found = run.read()
        if isinstance(found, Unreadable):
            _clear(run, found)
        elif retry.record and found is not None:
            run.write(_assuming(retry.record, run.fence.bid.doubtful))
        run.fence.remove(directory / CANCELLED)


def _clear(run: OpenRun, unreadable: Unreadable) -> None:
    """Set the record aside, and let the notes that say why no longer count."""
    if unreadable.path.name == STATUS:
        run.fence.set_aside(unreadable.path, unreadable.reason)
    for reason in run.directory.glob(f"{STATUS}.quarantined.*.reason"):
        run.fence.publish(reason.with_suffix(".cleared"), read_regular(reason))
        run.fence.remove(reason)


def _assuming(record: StatusRecord, doubtful: str) -> StatusRecord:
    if not doubtful or not record.attempts:
        return record
    return record.with_attempt(assumed_gone=f"{doubtful}; a person said that it is gone")


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
) -> str:
    """The owner whose end nobody can prove from here, in words; empty if there is none. Raises RunOwned."""
    alive, whom, token = _owner(store, experiment)
    if alive:
        raise RunOwned(
            f"{experiment.label} is being trained by {whom}.",
            remedy=f"Wait for it, or end it: kd-hpc cancel {experiment.label}",
        )
    unseen = whom if alive is None else ""
    if not isinstance(record, StatusRecord) or not record.state.has_job or gone:
        return unseen
    attempt = record.attempt
    if attempt and (attempt.ended_at or (alive is False and token == attempt.token)):
        return unseen
    seen = None
    if attempt and attempt.job_id and scheduler and attempt.scheduler == scheduler.kind:
        seen = scheduler.look([JobRef(attempt.job_id, attempt.token)]).of(attempt.job_id)
    if isinstance(seen, Gone):
        return unseen
    doubt = f"its job {attempt.job_id}" if attempt and attempt.job_id else "whoever trained it"
    known = "is alive" if isinstance(seen, Live) else "may be alive: nobody here can know"
    raise RunOwned(
        f"{experiment.label} is {record.state}, and {doubt} {known}.",
        remedy=f"Wait, or kd-hpc cancel {experiment.label}"
        + ("" if isinstance(seen, Live) else f". {take_over(experiment.label)}"),
    )


def _owner(store: Store, experiment: Experiment) -> tuple[bool | None, str, str | None]:
    """Whether the last trainer lives, None where nobody here can know; who it is; and its job's token."""
    try:
        last = owner(store.directory(experiment))
    except Damaged as error:
        return None, error.what, None
    return (last.is_alive(), str(last.process), last.token) if last else (False, "", None)


def _move(directory: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(target)
    except OSError as error:
        raise FolderError(f"{directory} cannot be moved to {target}: {error.strerror}.") from error
    sweep_rooms(target)
