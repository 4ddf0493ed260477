"""One tick: look -> plan -> act."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.disk import locks
from kd_hpc.errors import LockHeld, OwnerUnseen, StoreError
from kd_hpc.experiment import Experiment
from kd_hpc.planning.planner import plan
from kd_hpc.planning.situation import RunView, Situation
from kd_hpc.queueing.actions import Actions, Trainer
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.lost_jobs import resolved
from kd_hpc.queueing.tick_report import Report, silence_of
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.remedies import with_folder
from kd_hpc.schedulers.base import Gone, Lost, Snapshot
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.store import RUNNER, Store, Unreadable

CONTROL = ".kd"
"""The folder below the experiments where kd-hpc keeps its own files."""
TAKE_OVER_TICKS = (
    "If you know that it is gone: kd-hpc retry --gone; if it lives after all, both may submit: a job too many waits in "
    "the queue, and leaves without training"
)
"""What to type where nobody here can know whether the kd-hpc that has the tick lock lives, and what that risks."""
_TICK_LOCK = "tick-lock"


@dataclass
class Runner:
    campaign: Campaign
    store: Store
    scheduler: OwnJobs
    evidence: Evidence
    trainer: Trainer = field(default_factory=Trainer)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def root(self) -> str:
        return str(self.store.root.absolute())

    def look(self) -> Situation:
        """Everything the planner needs, in the one order that is safe: records, then jobs, then the dead jobs' records.

        A job may write its last record between two looks; after it is gone, nobody does.
        """
        records = {experiment: self.store.read(experiment) for experiment in self.campaign.experiments()}
        jobs = {run: attempt for run, record in records.items() if (attempt := self._to_ask_for(record))}
        snapshot = self._without_the_dead(self.scheduler.look(map(_reference, jobs.values())), jobs)
        dead = {run for run, attempt in jobs.items() if isinstance(snapshot.of(str(attempt.job_id)), Gone)}
        runs = tuple(self._view(run, record, is_dead=run in dead) for run, record in records.items())
        return Situation(
            campaign=self.campaign,
            root=self.root,
            scheduler=self.scheduler.kind,
            runs=tuple(self._with_parent(self._with_weights(view)) for view in runs),
            snapshot=snapshot,
            now=self.clock(),
            can_avoid_nodes=self.scheduler.can_avoid_nodes,
            released=self.evidence.notes.released(),
            unwanted=self.evidence.notes.unwanted(),
        )

    def tick(self) -> Report:
        """Look, plan, act. Nothing is changed where the scheduler could not be reached."""
        situation = self.look()
        planned = plan(situation)
        if situation.snapshot.unreachable:
            return Report(planned, situation.job_ids, silence=silence_of(situation.snapshot))
        report = Actions(self.store, self.scheduler, self.trainer, situation, self.evidence.notes).carry_out(planned)
        self.evidence.keep()
        return report

    def _to_ask_for(self, record: StatusRecord | Unreadable | None) -> Attempt | None:
        """The attempt whose job the scheduler is to be asked about."""
        if not isinstance(record, StatusRecord) or not record.state.has_job or record.attempt is None:
            return None
        ours = record.attempt.scheduler == self.scheduler.kind and record.attempt.ended_at is None
        return record.attempt if ours and record.attempt.job_id else None

    def _without_the_dead(self, snapshot: Snapshot, jobs: Mapping[Experiment, Attempt]) -> Snapshot:
        """`snapshot` with those jobs gone whose node was lost and that cannot live any more."""
        lost = {run: attempt for run, attempt in jobs.items() if isinstance(snapshot.of(str(attempt.job_id)), Lost)}
        owners = {str(attempt.job_id): self.evidence.owner_alive(run) for run, attempt in lost.items()}
        attempts = {str(attempt.job_id): attempt for attempt in lost.values()}
        return resolved(snapshot, attempts, owners, self.clock())

    def _view(self, run: Experiment, record: StatusRecord | Unreadable | None, *, is_dead: bool) -> RunView:
        owner_alive = None
        if isinstance(record, StatusRecord) and record.state.has_job and _is_by_hand(record):
            owner_alive = self.evidence.owner_alive(run)
        if is_dead or owner_alive is False:
            last = self.store.read(run)
            cancelled = self.evidence.is_cancelled(run)
            stderr, stdout, problem = self._left_behind(run, last)
            return RunView(run, last, owner_alive, stderr, stdout, problem, cancelled=cancelled)
        is_done = isinstance(record, StatusRecord) and record.is_done
        return RunView(run, record, owner_alive, cancelled=not is_done and self.evidence.is_cancelled(run))

    def _left_behind(self, run: Experiment, record: StatusRecord | Unreadable | None) -> tuple[str, str, str]:
        """The last words of the run's job on stderr and stdout, and what is wrong with the folder they are in."""
        attempt = record.attempt if isinstance(record, StatusRecord) else None
        where = attempt.leader if attempt and attempt.leader else run.label
        return (*self.evidence.last_words(where), self.evidence.folder_problem(where))

    def _with_weights(self, view: RunView) -> RunView:
        is_teacher = view.experiment.is_pure and view.experiment.student in self.campaign.teachers
        if not is_teacher or not isinstance(view.record, StatusRecord) or view.record.state != State.COMPLETED:
            return view
        return RunView(view.experiment, view.record, weights=self.evidence.weights(view.experiment))

    def _with_parent(self, view: RunView) -> RunView:
        begun = isinstance(view.record, StatusRecord) and view.record.epoch
        parent = view.experiment.parent
        if parent is None or begun:
            return view
        return replace(view, parent_problem=self.evidence.checkpoint_problem(parent, view.experiment.first_epoch))


@contextlib.contextmanager
def tick_lock(control: Path, *, gone: bool = False) -> Iterator[None]:
    """Hold the right to change runs. `gone`: a person knows that an owner who cannot be seen from here is gone.

    Raises LockHeld, saying who holds it and what to type.
    """
    try:
        control.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{control} cannot be made: {error.strerror}.", remedy="Name another folder with --experiments."
        ) from error
    with contextlib.ExitStack() as stack:
        try:
            lock = locks.held(control / _TICK_LOCK, role=RUNNER, may_take_from=lambda owner: gone or owner is None)
            doubtful = stack.enter_context(lock).doubtful
        except OwnerUnseen as error:
            raise LockHeld(error.what, remedy=with_folder(TAKE_OVER_TICKS, control.parent)) from None
        except LockHeld as error:
            raise LockHeld(error.what, remedy=error.remedy or "Let that kd-hpc finish.") from None
        if doubtful:
            print(f"The right to change runs was taken from {doubtful}.", file=sys.stderr)
        yield


def tick_owner(control: Path) -> locks.Owner | None:
    """Who has the right to change runs, alive or not; None if nobody ever had. Raises StoreError, LockHeld."""
    return locks.current_owner(control / _TICK_LOCK)


def _reference(attempt: Attempt) -> JobRef:
    return JobRef(str(attempt.job_id), attempt.token)


def _is_by_hand(record: StatusRecord) -> bool:
    return record.attempt is None or record.attempt.scheduler == "hand"
