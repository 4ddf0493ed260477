"""The acts of a tick: each leaves something that the next tick can read if this one dies after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kd_hpc.command import train_arguments
from kd_hpc.decision import Action, Decision, Ending, Plan
from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused, SubmissionUncertain
from kd_hpc.experiment import Experiment
from kd_hpc.names import job_name, new_token
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.report import Report
from kd_hpc.schedulers.base import JobSpec, Scheduler
from kd_hpc.situation import RunView, Situation
from kd_hpc.store import Store, Unreadable


@dataclass(frozen=True)
class Trainer:
    """What jobs run: `program` is the trainer's command, `data` the folder its data sets are in."""

    program: str = "kd-core"
    data: Path = Path("data")
    new_token: Callable[[], str] = new_token


class Acts:
    """The acts of one tick, on what `situation` showed."""

    def __init__(self, store: Store, scheduler: Scheduler, trainer: Trainer, situation: Situation) -> None:
        self.store, self.scheduler, self.trainer, self.situation = store, scheduler, trainer, situation
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
        jobs = tuple(dict.fromkeys((*self.situation.job_ids, *self.to_release)))
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
        record, campaign = self._base(run, decision.ending), self.situation.campaign
        attempt = Attempt(
            number=len(record.attempts) + 1,
            token=self.trainer.new_token(),
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
        campaign, attempt, root = self.situation.campaign, intent.attempt, self.situation.root
        assert attempt is not None, "an intent has an attempt"
        resources = campaign.resources
        arguments = train_arguments(run, campaign.recipe, Path(root), self.trainer.data.absolute(), gpus=resources.gpus)
        return JobSpec(
            name=job_name(root, run, attempt.token),
            token=attempt.token,
            command=[self.trainer.program, *arguments],
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
