"""The actions of a tick: each leaves something that the next tick can read if this one dies after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kd_hpc.command import train_arguments
from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused, SubmissionUncertain
from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action, Decision, Ending, Plan
from kd_hpc.planning.situation import RunView, Situation
from kd_hpc.queueing.tick_report import Report
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import JobSpec, Scheduler
from kd_hpc.schedulers.job_names import job_name, new_token
from kd_hpc.store import Store, Unreadable


@dataclass(frozen=True)
class Trainer:
    """What jobs run: `program` is the trainer's command, `data` the folder its data sets are in."""

    program: str = "kd-core"
    data: Path = Path("data")
    new_token: Callable[[], str] = new_token


class Actions:
    """The actions of one tick, on what `situation` showed."""

    def __init__(self, store: Store, scheduler: Scheduler, trainer: Trainer, situation: Situation) -> None:
        self.store, self.scheduler, self.trainer, self.situation = store, scheduler, trainer, situation
        self.acted: list[Decision] = []
        self.problems: list[str] = []
        self.to_release: list[str] = []
        self.refused = ""
        self.unreachable = ""

    def carry_out(self, planned: Plan) -> Report:
        jobs = planned.jobs
        try:
            for decision in planned.decisions:
                if not decision.action.is_submission:
                    self._act(decision)
                elif decision.experiment in jobs and not (self.refused or self.unreachable):
                    self._submit(jobs[decision.experiment])
        finally:
            self._tell_scheduler([surplus.job_id for surplus in planned.surplus])
        live = tuple(dict.fromkeys((*self.situation.job_ids, *self.to_release)))
        return Report(planned, live, tuple(self.acted), tuple(self.problems), self.refused, self.unreachable)

    def _act(self, decision: Decision) -> None:
        run = self.situation.by_run[decision.experiment]
        if decision.action == Action.RELEASE and decision.job_id:
            self.to_release.append(decision.job_id)
        elif self._changes_record(decision) and not self._is_unchanged(run):
            return
        elif decision.action == Action.QUARANTINE and isinstance(run.record, Unreadable):
            if self.store.quarantine_record(run.record) is None:
                return
        elif not self._keep_record(run, decision):
            return
        self.acted.append(decision)

    def _changes_record(self, decision: Decision) -> bool:
        return decision.action in (Action.ADOPT, Action.FAIL, Action.QUARANTINE) or decision.ending is not None

    def _is_unchanged(self, run: RunView) -> bool:
        if self.store.read(run.experiment) == run.record:
            return True
        self.problems.append(f"{run.experiment.label} changed while it was planned: left for the next tick.")
        return False

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

    def _submit(self, decisions: Sequence[Decision]) -> None:
        """Intents on disk, one job held, its id on disk; it is released with all others of this tick.

        `decisions` are about the runs of one job. It is not to be released before all of them know its id: it would
        leave the others alone.
        """
        by_run = self.situation.by_run
        decisions = [decision for decision in decisions if self._is_unchanged(by_run[decision.experiment])]
        if not decisions:
            return
        intents = self._intents(decisions)
        for run, intent in intents.items():
            self.store.write(run, intent)
        try:
            job_id = self.scheduler.submit_held(self._spec(intents))
        except SubmissionRefused as error:
            for decision in decisions:
                self.store.write(decision.experiment, self._base(by_run[decision.experiment], decision.ending))
            self.refused = str(error)
        except SubmissionUncertain as error:
            self.unreachable = f"{decisions[0].experiment.label}: {error}"
        else:
            for run, intent in intents.items():
                queued = intent.with_attempt(job_id=job_id)
                self.store.write(run, queued.model_copy(update={"state": State.QUEUED}))
            self.to_release.append(job_id)
            self.acted += decisions

    def _intents(self, decisions: Sequence[Decision]) -> dict[Experiment, StatusRecord]:
        """What to write before there is a job, for its leader first: one token, and an attempt of its own a run."""
        token, labels = self.trainer.new_token(), tuple(decision.experiment.label for decision in decisions)
        runs = labels if len(labels) > 1 else None
        return {decision.experiment: self._intent(decision, token, runs) for decision in decisions}

    def _intent(self, decision: Decision, token: str, runs: tuple[str, ...] | None) -> StatusRecord:
        record = self._base(self.situation.by_run[decision.experiment], decision.ending)
        campaign = self.situation.campaign
        attempt = Attempt(
            number=len(record.attempts) + 1,
            token=token,
            scheduler=self.scheduler.kind,
            runs=runs,
            submitted_at=self.situation.now,
            memory=decision.memory,
            walltime=campaign.resources.walltime,
        )
        return record.model_copy(
            update={
                "state": State.SUBMITTING,
                "epochs": campaign.recipe.epochs,
                "recipe": campaign.recipe.of(decision.experiment.method).model_dump(mode="json"),
                "teacher_sha256": decision.teacher_sha256,
                "attempts": (*record.attempts, attempt),
                "reason": "",
                "remedy": "",
            }
        )

    def _spec(self, intents: Mapping[Experiment, StatusRecord]) -> JobSpec:
        campaign, root = self.situation.campaign, self.situation.root
        (leader, *others), attempt = intents, next(iter(intents.values())).attempt
        assert attempt is not None, "an intent has an attempt"
        data, resources = self.trainer.data.absolute(), campaign.resources
        arguments = train_arguments(leader, campaign.recipe, Path(root), data, gpus=resources.gpus, beside=others)
        return JobSpec(
            name=job_name(root, leader, attempt.token, is_shared=bool(others)),
            token=attempt.token,
            command=[self.trainer.program, *arguments],
            directory=self.store.create(leader),
            resources=resources.model_copy(update={"memory": attempt.memory or resources.memory}),
        )

    def _tell_scheduler(self, surplus: list[str]) -> None:
        """The last actions of a tick: one call to release, one to delete. Either may be repeated by the next tick."""
        to_release = list(dict.fromkeys(self.to_release))
        for ask, job_ids in ((self.scheduler.release, to_release), (self.scheduler.cancel, surplus)):
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
