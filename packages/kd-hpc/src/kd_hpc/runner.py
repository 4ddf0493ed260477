"""One tick: look -> plan -> act. Every act leaves something that the next tick can read if this one dies after it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kd_hpc import locks
from kd_hpc.campaign import Campaign
from kd_hpc.command import train_arguments
from kd_hpc.decision import Action, Decision, Ending, Plan
from kd_hpc.errors import LockHeld, SchedulerUnreachable, StoreError, SubmissionRefused, SubmissionUncertain
from kd_hpc.evidence import Evidence
from kd_hpc.experiment import Experiment
from kd_hpc.names import job_name, new_token
from kd_hpc.planner import plan
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import Gone, JobSpec, Scheduler
from kd_hpc.situation import RunView, Situation
from kd_hpc.store import Store, Unreadable

CONTROL = ".kd"
"""The folder below the experiments where kd-hpc keeps its own files."""


@dataclass(frozen=True)
class Report:
    """What a tick planned and did. `jobs`: this user's jobs now; `problems`, `refused`, `unreachable`: sentences about
    what could not be done."""

    plan: Plan
    jobs: tuple[str, ...] = ()
    acted: tuple[Decision, ...] = ()
    problems: tuple[str, ...] = ()
    refused: str = ""
    unreachable: str = ""

    @property
    def exit_code(self) -> int:
        if self.unreachable or self.plan.unknown:
            return SchedulerUnreachable.exit_code
        return 1 if self.problems or self.refused else 0


@dataclass
class Runner:
    """`program` is the trainer's command, `data` the folder its data sets are in."""

    campaign: Campaign
    store: Store
    scheduler: Scheduler
    evidence: Evidence
    program: str = "kd-core"
    data: Path = Path("data")
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_token: Callable[[], str] = new_token

    @property
    def root(self) -> str:
        return str(self.store.root.absolute())

    def look(self) -> Situation:
        """Everything the planner needs, in the one order that is safe: records, then jobs, then the dead jobs' records.

        A job may write its last record between two looks; after it is gone, nobody does.
        """
        records = {experiment: self.store.read(experiment) for experiment in self.campaign.experiments()}
        jobs = {run: job_id for run, record in records.items() if (job_id := self._job_to_ask_for(record))}
        snapshot = self.scheduler.look(list(jobs.values()))
        dead = {run for run, job_id in jobs.items() if isinstance(snapshot.of(job_id), Gone)}
        runs = tuple(self._view(run, record, is_dead=run in dead) for run, record in records.items())
        runs = tuple(self._with_weights(view) for view in runs)
        return Situation(self.campaign, self.root, self.scheduler.kind, runs, snapshot, self.clock())

    def tick(self) -> Report:
        """Look, plan, act. Nothing is changed where the scheduler could not be reached."""
        situation = self.look()
        planned = plan(situation)
        if situation.snapshot.unreachable:
            return Report(planned, _listed(situation), unreachable=situation.snapshot.unreachable)
        return _Acts(self, situation).carry_out(planned)

    def _job_to_ask_for(self, record: StatusRecord | Unreadable | None) -> str | None:
        if not isinstance(record, StatusRecord) or not record.state.has_job or record.attempt is None:
            return None
        ours = record.attempt.scheduler == self.scheduler.kind and record.attempt.ended_at is None
        return record.attempt.job_id if ours else None

    def _view(self, run: Experiment, record: StatusRecord | Unreadable | None, *, is_dead: bool) -> RunView:
        owner_alive = None
        if isinstance(record, StatusRecord) and record.state.has_job and _is_by_hand(record):
            owner_alive = self.evidence.owner_alive(run)
        if is_dead or owner_alive is False:
            return RunView(
                run,
                self.store.read(run),
                owner_alive,
                stderr_tail=self.evidence.stderr_tail(run),
                cancelled=self.evidence.is_cancelled(run),
            )
        is_final = isinstance(record, StatusRecord) and record.state.is_final
        return RunView(run, record, owner_alive, cancelled=not is_final and self.evidence.is_cancelled(run))

    def _with_weights(self, view: RunView) -> RunView:
        is_teacher = view.experiment.is_pure and view.experiment.student == self.campaign.teacher
        if not is_teacher or not isinstance(view.record, StatusRecord) or view.record.state != State.COMPLETED:
            return view
        return RunView(view.experiment, view.record, weights=self.evidence.weights(view.experiment))


class _Acts:
    """The acts of one tick."""

    def __init__(self, runner: Runner, situation: Situation) -> None:
        self.runner, self.situation = runner, situation
        self.store, self.scheduler = runner.store, runner.scheduler
        self.acted: list[Decision] = []
        self.problems: list[str] = []
        self.to_release: list[str] = []
        self.refused = ""
        self.unreachable = ""

    def carry_out(self, planned: Plan) -> Report:
        try:
            for decision in planned.decisions:
                if not (decision.action.is_submission and (self.refused or self.unreachable)):
                    self._act(decision)
        finally:
            self._tell_scheduler([surplus.job_id for surplus in planned.surplus])
        self.runner.evidence.keep()
        jobs = tuple(dict.fromkeys((*_listed(self.situation), *self.to_release)))
        return Report(planned, jobs, tuple(self.acted), tuple(self.problems), self.refused, self.unreachable)

    def _act(self, decision: Decision) -> None:
        run = self.situation.by_run[decision.experiment]
        if decision.action == Action.RELEASE and decision.job_id:
            self.to_release.append(decision.job_id)
        elif self._changes_record(decision) and self.store.read(run.experiment) != run.record:
            self.problems.append(f"{run.experiment.label} changed while it was planned: left for the next tick.")
            return
        elif decision.action == Action.QUARANTINE and isinstance(run.record, Unreadable):
            if self.store.quarantine_record(run.record) is None:
                return
        elif decision.action.is_submission:
            self._submit(run, decision)
            return
        elif not self._keep_record(run, decision):
            return
        self.acted.append(decision)

    def _changes_record(self, decision: Decision) -> bool:
        is_change = decision.action in (Action.ADOPT, Action.FAIL, Action.QUARANTINE)
        return is_change or decision.action.is_submission or decision.ending is not None

    def _keep_record(self, run: RunView, decision: Decision) -> bool:
        """Write down what was decided without a submission; False if there is nothing to write."""
        record = self._base(run, decision.ending)
        if decision.action == Action.FAIL:
            record = record.model_copy(
                update={"state": State.FAILED, "reason": decision.reason, "remedy": decision.remedy}
            )
        elif decision.action == Action.ADOPT and decision.job_id:
            record = record.with_attempt(job_id=decision.job_id).model_copy(update={"state": State.QUEUED})
            self.to_release.append(decision.job_id)
        elif decision.ending is None:
            return False
        self.store.write(run.experiment, record)
        return True

    def _base(self, run: RunView, ending: Ending | None) -> StatusRecord:
        """The run's record with the end of its latest attempt, or a new one."""
        record = run.record if isinstance(run.record, StatusRecord) else StatusRecord()
        record = record.model_copy(update={"experiment": run.experiment})
        return with_ending(record, ending, self.situation.now) if ending and record.attempts else record

    def _submit(self, run: RunView, decision: Decision) -> None:
        """Intent on disk, job held, job id on disk; it is released with all others of this tick."""
        intent = self._intent(run, decision)
        self.store.write(run.experiment, intent)
        try:
            job_id = self.scheduler.submit_held(self._spec(run.experiment, intent))
        except SubmissionRefused as error:
            self.store.write(run.experiment, self._base(run, decision.ending))
            self.refused = str(error)
        except SubmissionUncertain as error:
            self.unreachable = f"{run.experiment.label}: {error}"
        else:
            queued = intent.with_attempt(job_id=job_id).model_copy(update={"state": State.QUEUED})
            self.store.write(run.experiment, queued)
            self.to_release.append(job_id)
            self.acted.append(decision)

    def _intent(self, run: RunView, decision: Decision) -> StatusRecord:
        record, campaign = self._base(run, decision.ending), self.runner.campaign
        attempt = Attempt(
            number=len(record.attempts) + 1,
            token=self.runner.new_token(),
            scheduler=self.scheduler.kind,
            submitted_at=self.situation.now,
            memory=decision.memory,
            walltime=campaign.resources.walltime,
        )
        return record.model_copy(
            update={
                "state": State.SUBMITTING,
                "epochs": campaign.recipe.epochs,
                "recipe": campaign.recipe.model_dump(mode="json"),
                "teacher_sha256": decision.teacher_sha256,
                "attempts": (*record.attempts, attempt),
                "reason": "",
                "remedy": "",
            }
        )

    def _spec(self, run: Experiment, intent: StatusRecord) -> JobSpec:
        campaign, attempt = self.runner.campaign, intent.attempt
        assert attempt is not None, "an intent has an attempt"
        resources = campaign.resources
        arguments = train_arguments(
            run, campaign.recipe, Path(self.runner.root), self.runner.data.absolute(), gpus=resources.gpus
        )
        return JobSpec(
            name=job_name(self.runner.root, run, attempt.token),
            token=attempt.token,
            command=[self.runner.program, *arguments],
            directory=self.store.create(run),
            resources=resources.model_copy(update={"memory": attempt.memory or resources.memory}),
        )

    def _tell_scheduler(self, surplus: list[str]) -> None:
        """The last acts of a tick: one call to release, one to delete. Either may be repeated by the next tick."""
        for ask, job_ids in ((self.scheduler.release, self.to_release), (self.scheduler.cancel, surplus)):
            try:
                if job_ids:
                    ask(job_ids)
            except SchedulerUnreachable as error:
                self.unreachable = str(error)


def with_ending(record: StatusRecord, ending: Ending, now: datetime) -> StatusRecord:
    """`record` between two jobs: its latest attempt ended, in progress if it has epochs."""
    assert record.attempt is not None, "only an attempt can end"
    state = State.IN_PROGRESS if record.progress else State.NOT_STARTED
    return record.with_attempt(
        ended_at=now,
        end_epoch=ending.end_epoch,
        host=ending.host or record.attempt.host,
        exit_status=ending.exit_status,
        cause=ending.cause,
        detail=ending.detail,
        charged=ending.charged,
        next_memory=ending.next_memory,
    ).model_copy(update={"state": state})


@contextlib.contextmanager
def tick_lock(control: Path) -> Iterator[None]:
    """Hold the right to change runs. Raises LockHeld, saying who holds it."""
    try:
        control.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{control} cannot be made: {error.strerror}.", remedy="Name another folder with --experiments."
        ) from error
    try:
        with locks.held(control / "tick-lock"):
            yield
    except LockHeld as error:
        remedy = error.remedy or (
            f"Let that kd-hpc finish; if its machine is gone for good, delete {control}/tick-lock.* and try again."
        )
        raise LockHeld(error.what, remedy=remedy) from None


def _listed(situation: Situation) -> tuple[str, ...]:
    return tuple(job.job_id for job in situation.snapshot.listed or ())


def _is_by_hand(record: StatusRecord) -> bool:
    return record.attempt is None or record.attempt.scheduler == "hand"
