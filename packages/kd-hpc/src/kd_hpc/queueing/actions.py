"""The actions of a tick: each leaves something that the next tick can read if this one dies after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from kd_hpc.claim import by_runner, take_over
from kd_hpc.command import train_arguments
from kd_hpc.errors import (
    LockHeld,
    OwnerUnseen,
    RunOwned,
    SchedulerUnreachable,
    StoreError,
    SubmissionRefused,
    SubmissionUncertain,
    Superseded,
)
from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action, Decision, Ending, Plan
from kd_hpc.planning.situation import RunView, Situation
from kd_hpc.queueing.job_notes import JobNotes, Stuck
from kd_hpc.queueing.tick_report import Report
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import JobSpec
from kd_hpc.schedulers.job_names import job_name, new_token
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.store import Store, Unreadable

Result = TypeVar("Result")


@dataclass(frozen=True)
class Trainer:
    """What jobs run: `program` is the trainer's command, `data` the folder its data sets are in."""

    program: str = "kd-core"
    data: Path = Path("data")
    new_token: Callable[[], str] = new_token


class Actions:
    """The actions of one tick, on what `situation` showed."""

    def __init__(
        self, store: Store, scheduler: OwnJobs, trainer: Trainer, situation: Situation, notes: JobNotes
    ) -> None:
        self.store, self.scheduler, self.trainer, self.situation = store, scheduler, trainer, situation
        self.notes = notes
        self.acted: list[Decision] = []
        self.problems: list[str] = []
        self.to_release: list[JobRef] = []
        self.avoid: tuple[str, ...] = ()
        self.refused = ""
        self.unheard = ""

    def carry_out(self, planned: Plan) -> Report:
        jobs = planned.jobs
        self.avoid = tuple(node.host for node in planned.bad_nodes) if planned.avoids_nodes else ()
        try:
            for decision in planned.decisions:
                if not decision.action.is_submission:
                    self._act(decision)
                elif decision.experiment in jobs and not (self.refused or self.unheard):
                    self._submit(jobs[decision.experiment])
        finally:
            self._tell_scheduler(planned)
        live = tuple(dict.fromkeys((*self.situation.job_ids, *(job.job_id for job in self.to_release))))
        return Report(planned, live, tuple(self.acted), tuple(self.problems), self.refused, self.unheard)

    def _act(self, decision: Decision) -> None:
        run = self.situation.by_run[decision.experiment]
        if decision.action == Action.RELEASE and decision.job_id:
            self.to_release.append(self._reference(run, decision.job_id))
        elif self._changes_record(decision) and not self._is_unchanged(run):
            return
        elif decision.action == Action.QUARANTINE and isinstance(run.record, Unreadable):
            if not self._set_aside(run, run.record):
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
            if self._write(run.experiment, record, decision.ending) is None:
                return False
            self.to_release.append(self._reference(run, decision.job_id))
            return True
        elif decision.ending is None:
            return False
        return self._write(run.experiment, record, decision.ending) is not None

    def _set_aside(self, run: RunView, unreadable: Unreadable) -> bool:
        ours = by_runner(run.record)
        act = partial(self.store.set_record_aside, run.experiment, unreadable, may_take_from=ours)
        return self._tried(run.experiment, act) is not None

    def _write(self, run: Experiment, record: StatusRecord, ending: Ending | None = None) -> StatusRecord | None:
        """Publish what the planned record has become, after taking from all earlier owners the right to.

        None, and a problem told, where that record is not the one on disk any more, or somebody may be at work.
        """
        ours, because = by_runner(self.situation.by_run[run].record), ending.detail if ending else ""
        return self._tried(run, partial(self.store.write, run, record, may_take_from=ours, because=because))

    def _tried(self, run: Experiment, act: Callable[[], Result]) -> Result | None:
        """What `act` returns; what goes wrong with one run's directory is told, and ends nothing else."""
        try:
            return act()
        except OwnerUnseen as error:
            self.problems.append(f"{run.label}: {error.what} {take_over(run.label)}")
        except (LockHeld, RunOwned, Superseded, StoreError) as error:
            self.problems.append(f"{run.label}: {error}")
        return None

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
        endings = {decision.experiment: decision.ending for decision in decisions}
        drafts = self._intents(decisions).items()
        intents = {run: intent for run, draft in drafts if (intent := self._write(run, draft, endings[run]))}
        if not intents:
            return
        decisions = [decision for decision in decisions if decision.experiment in intents]
        spec = self._spec(intents)
        try:
            job_id = self.scheduler.submit_held(spec)
        except SubmissionRefused as error:
            self.refused = f"{decisions[0].experiment.label} was not taken: {error}"
            for decision in decisions:
                self._take_back(decision, intents[decision.experiment], error)
        except SubmissionUncertain as error:
            self.unheard = f"{decisions[0].experiment.label}: {error}"
        else:
            self._queued(intents, JobRef(job_id, spec.token))
            self.acted += decisions

    def _take_back(self, decision: Decision, intent: StatusRecord, refusal: SubmissionRefused) -> None:
        """There is no job: the record is what it would be without the intent, and says why."""
        base = self._base(self.situation.by_run[decision.experiment], decision.ending)
        told = {"reason": f"not taken: {refusal.what}", "remedy": refusal.remedy}
        self._write(decision.experiment, base.model_copy(update=told).made_from(intent))

    def _queued(self, intents: Mapping[Experiment, StatusRecord], job: JobRef) -> None:
        known = [
            self._write(run, intent.with_attempt(job_id=job.job_id).model_copy(update={"state": State.QUEUED}))
            for run, intent in intents.items()
        ]
        if all(known):
            self.to_release.append(job)

    def _intents(self, decisions: Sequence[Decision]) -> dict[Experiment, StatusRecord]:
        """What to write before there is a job, for its leader first: one token, and an attempt of its own a run."""
        token, labels = self.trainer.new_token(), tuple(decision.experiment.label for decision in decisions)
        runs = labels if len(labels) > 1 else None
        return {decision.experiment: self._intent(decision, token, runs) for decision in decisions}

    def _intent(self, decision: Decision, token: str, runs: tuple[str, ...] | None) -> StatusRecord:
        record = self._base(self.situation.by_run[decision.experiment], decision.ending)
        campaign = self.situation.campaign
        recipe = campaign.recipe_for(decision.experiment)
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
                "epochs": recipe.epochs,
                "recipe": recipe.model_dump(mode="json"),
                "recipe_sha256": recipe.identity(decision.experiment.method),
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
            avoid=self.avoid,
        )

    def _reference(self, run: RunView, job_id: str) -> JobRef:
        attempt = run.record.attempt if isinstance(run.record, StatusRecord) else None
        return JobRef(job_id, attempt.token if attempt else "")

    def _tell_scheduler(self, planned: Plan) -> None:
        """The last actions of a tick: one call to release, one to delete. Either may be repeated by the next tick."""
        to_release = list(dict.fromkeys(self.to_release))
        surplus = [JobRef(surplus.job_id, surplus.token) for surplus in planned.surplus]
        for ask, jobs in ((self._release, to_release), (self.scheduler.cancel, surplus)):
            try:
                if jobs:
                    ask(jobs)
            except SchedulerUnreachable as error:
                self.unheard = str(error)
        if self.situation.snapshot.listed is not None:
            self.notes.note_stuck(stuck(planned))
            self.notes.forget_all_but({*self.situation.job_ids, *(job.job_id for job in to_release)})

    def _release(self, jobs: Sequence[JobRef]) -> None:
        self.scheduler.release(jobs)
        self.notes.note_released(jobs)


def stuck(planned: Plan) -> dict[str, Stuck]:
    """The runs whose live jobs wait for a person."""
    waiting = (decision for decision in planned.decisions if decision.action == Action.BLOCK)
    return {d.experiment.label: Stuck(d.job_id, d.reason, d.remedy) for d in waiting if d.job_id}


def with_ending(record: StatusRecord, ending: Ending, now: datetime) -> StatusRecord:
    """`record` between two jobs: its latest attempt ended, in progress if it has epochs."""
    assert record.attempt is not None, "only an attempt can end"
    state = State.IN_PROGRESS if record.progress else State.NOT_STARTED
    return record.with_attempt(
        ended_at=now,
        end_epoch=ending.end_epoch,
        host=ending.host or record.attempt.host,
        exit_status=ending.exit_status,
        cause=ending.cause.name,
        detail=ending.detail,
        charged=ending.charged,
        next_memory=ending.next_memory,
    ).model_copy(update={"state": state})
