"""Situation -> Plan: what to do about every run, and why. Pure and total: no clock, no disk, no scheduler."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cached_property

from kd_hpc.claim import take_over
from kd_hpc.diagnosis.causes.unknown import UNKNOWN
from kd_hpc.experiment import Experiment
from kd_hpc.planning.breaker import bad_nodes, on_probation
from kd_hpc.planning.decision import Action, Decision, Ending, Plan
from kd_hpc.planning.job_packing import Job, Ready
from kd_hpc.planning.listed_jobs import ListedJobs
from kd_hpc.planning.parent_readiness import parent_obstacle
from kd_hpc.planning.retry_policy import after_death, ending_of, memory_needed, waived
from kd_hpc.planning.situation import RunView, Situation
from kd_hpc.planning.slots import Slots, count_slots
from kd_hpc.planning.teacher_readiness import teacher_readiness
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import Gone, Live, Lost, Observation, Obstacle, Phase, Unknown
from kd_hpc.schedulers.own_jobs import JobRef
from kd_hpc.store import Unreadable


def plan(situation: Situation) -> Plan:
    """Decide about every run of the campaign, and about this user's jobs that no run explains."""
    return _Planner(situation).plan()


def importance(experiment: Experiment, teachers: Collection[str]) -> tuple[bool, int]:
    """Sort key: teachers before all others, low seeds before high ones, so that students become ready early."""
    return (not (experiment.is_pure and experiment.student in teachers), experiment.seed)


OTHER_RECIPE = "Put that recipe back into the campaign, close the round, or name another folder with --experiments"
NOT_LISTED = "it could start, but your jobs could not be listed, so nobody knows which slots are free"


class _Planner:
    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.listed = situation.snapshot.listed
        self.jobs = ListedJobs(situation)
        self.records = [run.record for run in situation.runs if isinstance(run.record, StatusRecord)]
        self.bad_nodes = bad_nodes(self.records, situation.campaign.budgets.node_faults, situation.now)

    def plan(self) -> Plan:
        situation, teachers = self.situation, self.situation.campaign.teachers
        runs = sorted(situation.runs, key=lambda run: importance(run.experiment, teachers))
        unknown = tuple(filter(None, map(self._unknown, runs)))
        slots = count_slots(situation, {job_id for job_id, _ in self.jobs.recorded}, self._unlisted(runs))
        outcomes = [self._decide(run) for run in runs]
        surplus = tuple(self.jobs.surplus())
        could_submit = any(isinstance(outcome, Ready) for outcome in outcomes)
        return Plan(
            decisions=tuple(self._fill(outcomes, slots)),
            surplus=surplus,
            strays=self.jobs.strays(surplus),
            unknown=unknown,
            capacity=slots.capacity,
            in_use=slots.in_use,
            bad_nodes=self.bad_nodes,
            avoids_nodes=situation.can_avoid_nodes,
            closed=situation.snapshot.closed if could_submit else None,
        )

    def _unlisted(self, runs: Iterable[RunView]) -> int:
        """Recorded jobs that nobody listed and nobody proved gone: each may sit in a slot."""
        records = [run.record for run in runs if isinstance(run.record, StatusRecord)]
        seen = {record.job_id: self._job(record) for record in records}
        unknown = {job_id for job_id, job in seen.items() if isinstance(job, Unknown) and not isinstance(job, Lost)}
        return len(unknown - {job.job_id for job in self.listed or ()})

    def _unknown(self, run: RunView) -> str:
        seen = self._job(run.record) if isinstance(run.record, StatusRecord) else None
        return f"{run.experiment.label}: {seen.reason}" if isinstance(seen, Unknown) else ""

    def _job(self, record: StatusRecord) -> Observation | None:
        """What is known of the job that may own the run; None if the record names none that could live."""
        attempt = record.attempt
        if not record.state.has_job or attempt is None or attempt.job_id is None or attempt.ended_at is not None:
            return None
        if attempt.scheduler != self.situation.scheduler:
            return Unknown(f"its job {attempt.job_id} is in {attempt.scheduler}, not in {self.situation.scheduler}")
        return self.situation.snapshot.of(attempt.job_id)

    def _fill(self, outcomes: Iterable[Decision | Ready], slots: Slots) -> Iterable[Decision]:
        """Give the free slots away, the most important runs first; who joins another's job needs none."""
        outcomes, jobs, obstacles = list(outcomes), dict[Experiment, Job](), dict[Experiment, str]()
        made = 0
        for ready in (outcome for outcome in outcomes if isinstance(outcome, Ready)):
            job = next((job for job in jobs.values() if job.takes(ready)), None)
            if job is None and (obstacle := self._obstacle(slots, made)):
                obstacles[ready.run.experiment] = obstacle
                continue
            if job is None:
                job, made = Job(self.situation.campaign.students_per_job), made + 1
            job.members.append(ready)
            jobs[ready.run.experiment] = job
        for outcome in outcomes:
            if isinstance(outcome, Decision):
                yield outcome
            elif obstacle := obstacles.get(outcome.run.experiment, ""):
                yield Decision(outcome.run.experiment, Action.WAIT, obstacle, ending=outcome.ending)
            else:
                yield _submission(outcome, jobs[outcome.run.experiment])

    def _obstacle(self, slots: Slots, made: int) -> str:
        """Why no job can be made beside the `made` ones; empty if one can."""
        if self.listed is None:
            return NOT_LISTED
        if closed := self.situation.snapshot.closed:
            return closed.says
        if self.bad_nodes and not self.situation.can_avoid_nodes and (made or self._on_probation):
            return f"{self.bad_nodes[0].says} one job at a time is sent, the next when it has trained an epoch"
        return "" if made < slots.free else f"all {slots.capacity} slots are taken"

    @cached_property
    def _on_probation(self) -> bool:
        return on_probation(self.records, self.bad_nodes)

    def _decide(self, run: RunView) -> Decision | Ready:
        record = run.record
        if isinstance(record, Unreadable):
            return _unreadable(run.experiment, record)
        if record is None or record.state == State.NOT_STARTED:
            return self._ready(run, "it has not been trained yet", None)
        if record.state == State.COMPLETED:
            return self._completed(run, record)
        if record.state.is_final:
            return _stopped(run.experiment, record)
        if record.attempt is not None and record.attempt.ended_at is not None:
            return self._ready(run, _continues(record), None)
        if record.attempt is None or record.attempt.scheduler == "hand":
            return self._by_hand(run, record)
        return self._intent(run, record) if record.attempt.job_id is None else self._with_job(run, record)

    def _completed(self, run: RunView, record: StatusRecord) -> Decision:
        if differs := self._recipe_differs(run, record):
            why = f"it was completed with another recipe ({differs}), so it is no run of this campaign"
            return Decision(run.experiment, Action.BLOCK, why, remedy=OTHER_RECIPE)
        return Decision(run.experiment, Action.DONE, "completed")

    def _by_hand(self, run: RunView, record: StatusRecord) -> Decision | Ready:
        if run.owner_alive is False:
            return self._after_death(run, record, Gone("the process that was training it is gone"))
        if run.owner_alive:
            return Decision(run.experiment, Action.LEAVE, "somebody is training it by hand")
        return Decision(
            run.experiment,
            Action.BLOCK,
            f"it is {record.state} with no job on record, and nobody here can know whether a process works on it",
            remedy=take_over(run.experiment.label),
        )

    def _intent(self, run: RunView, record: StatusRecord) -> Decision | Ready:
        """A submission was begun and its job id never came back: the token tells whether there is a job."""
        assert record.attempt is not None, "an intent has an attempt"
        token = record.attempt.token
        if self.listed is None:
            return Decision(run.experiment, Action.LEAVE, "your jobs could not be listed: its job may be among them")
        job = self.jobs.keeper(token)
        if job and token in self.jobs.ended_by_you:
            return _being_ended(run, job.job_id)
        if job:
            found = f"its job {job.job_id} was found by its token {token}"
            return Decision(run.experiment, Action.ADOPT, found, job_id=job.job_id)
        why = f"its submission {token} left no job behind"
        lost = Ending(cause=UNKNOWN, detail=why, remedy="", charged=False)
        return self._ready(run, why, lost)

    def _with_job(self, run: RunView, record: StatusRecord) -> Decision | Ready:
        match self._job(record):
            case Live() as seen:
                return self._live(run, record, seen)
            case Gone() as gone:
                return self._after_death(run, record, gone)
            case Lost(ends_by=ends_by) as lost:
                until = f", at most until {ends_by.astimezone():%Y-%m-%d %H:%M}" if ends_by else ""
                return self._left(run, record, lost.reason, f"It waits for that node{until}. ")
            case seen:
                return self._left(run, record, seen.reason if seen else "no word about it", "")

    def _left(self, run: RunView, record: StatusRecord, why: str, so_far: str) -> Decision:
        return Decision(
            run.experiment,
            Action.LEAVE,
            f"nobody knows of job {record.job_id}: {why}",
            remedy=so_far + take_over(run.experiment.label),
            job_id=record.job_id,
        )

    def _live(self, run: RunView, record: StatusRecord, seen: Live) -> Decision:
        job_id = record.job_id
        assert job_id is not None, "only a recorded job was looked at"
        if record.attempt and record.attempt.token in self.jobs.ended_by_you:
            return _being_ended(run, job_id)
        reference = JobRef(job_id, record.attempt.token if record.attempt else "")
        is_held_again = seen.phase == Phase.HELD and reference in self.situation.released
        held = Obstacle(f"job {job_id} was released, and somebody holds it", f"To let it run, release job {job_id}")
        if obstacle := seen.obstacle or (held if is_held_again else None):
            again = f", then: kd-hpc cancel --yes {job_id}; kd-hpc retry {run.experiment.label}"
            remedy = obstacle.remedy + (again if obstacle.needs_new_job else "")
            return Decision(run.experiment, Action.BLOCK, obstacle.says, remedy=remedy, job_id=job_id)
        if seen.phase == Phase.HELD:
            return Decision(run.experiment, Action.RELEASE, "its job is still held", job_id=job_id)
        at_work = f"job {job_id}: {seen.detail or seen.phase}"
        return Decision(run.experiment, Action.LEAVE, at_work, job_id=job_id)

    def _after_death(self, run: RunView, record: StatusRecord, gone: Gone) -> Decision | Ready:
        ending = waived(ending_of(run, record, gone), run, record, self.situation)
        if run.cancelled:
            remedy = f"kd-hpc retry {run.experiment.label}"
            return Decision(run.experiment, Action.FAIL, "cancelled by you", remedy=remedy, ending=ending)
        if failure := after_death(run.experiment, record, ending, self.situation.campaign):
            return failure
        return self._ready(run, f"its job has ended: {ending.detail}", ending)

    def _ready(self, run: RunView, why: str, ending: Ending | None) -> Decision | Ready:
        """Everything but a slot: the last obstacles of a run that has no job."""
        record = run.record if isinstance(run.record, StatusRecord) else None
        if run.cancelled:
            remedy = f"kd-hpc retry {run.experiment.label}"
            return Decision(run.experiment, Action.FAIL, "cancelled by you", remedy=remedy, ending=ending)
        if job := self.jobs.orphans.get(run.experiment):
            return Decision(
                run.experiment,
                Action.WAIT,
                f"job {job.job_id} is a job of it that its record does not know",
                remedy=self.jobs.remedy(job),
                ending=ending,
            )
        if record and record.progress and (differs := self._recipe_differs(run, record)):
            return Decision(
                run.experiment,
                Action.BLOCK,
                f"it was begun with another recipe ({differs})",
                remedy=OTHER_RECIPE,
                ending=ending,
            )
        readiness = teacher_readiness(self.situation, run)
        if obstacle := readiness.decision or parent_obstacle(self.situation, run):
            return replace(obstacle, ending=ending)
        return Ready(run, readiness, memory_needed(self.situation.campaign, record, ending), why, ending)

    def _recipe_differs(self, run: RunView, record: StatusRecord) -> str:
        return self.situation.campaign.recipe_for(run.experiment).differences(record.recipe, run.experiment.method)


def _submission(ready: Ready, job: Job) -> Decision:
    run, record = ready.run.experiment, ready.run.record
    again = isinstance(record, StatusRecord) and bool(record.attempts)
    joins = job.leader if job.leader != run else None
    return Decision(
        run,
        Action.RESUBMIT if again else Action.SUBMIT,
        f"{ready.why}; it shares the job of {joins.label}" if joins else ready.why,
        memory=job.memory,
        teacher_sha256=ready.readiness.sha256,
        ending=ready.ending,
        shares_job_of=joins,
    )


def _being_ended(run: RunView, job_id: str) -> Decision:
    whose = "cancelled by you" if run.cancelled else "a run that shares its job was cancelled by you"
    return Decision(run.experiment, Action.LEAVE, f"{whose}; job {job_id} is being deleted", job_id=job_id)


def _unreadable(experiment: Experiment, record: Unreadable) -> Decision:
    remedy = f"Look at {record.path}; then, to begin again from its checkpoint: kd-hpc retry {experiment.label}"
    action = Action.QUARANTINE if record.is_damaged else Action.BLOCK
    return Decision(experiment, action, f"its record is unreadable: {record.reason}", remedy=remedy)


def _stopped(experiment: Experiment, record: StatusRecord) -> Decision:
    reason = f"{record.state}: {record.reason or 'no reason on record'}"
    remedy = record.remedy or f"kd-hpc why {experiment.label}"
    return Decision(experiment, Action.BLOCK, reason, remedy=remedy)


def _continues(record: StatusRecord) -> str:
    attempt = record.attempt
    detail = attempt.detail if attempt and attempt.detail else "its job has ended"
    return f"it goes on from epoch {record.epoch}: {detail}"
