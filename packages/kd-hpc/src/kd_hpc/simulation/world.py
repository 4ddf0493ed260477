"""A whole campaign in a world of faults: real runners, simulated disk, scheduler, jobs and clock; judged all along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from kd_hpc.campaign import Campaign
from kd_hpc.command import student_beside
from kd_hpc.experiment import Experiment
from kd_hpc.interventions.retry import forgive
from kd_hpc.planning.decision import Plan
from kd_hpc.planning.planner import plan
from kd_hpc.queueing.actions import Trainer
from kd_hpc.queueing.runner import Runner
from kd_hpc.queueing.tick_report import Report
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import JobSpec
from kd_hpc.schedulers.job_names import ALPHABET, TOKEN_LENGTH, parse_job_name, tag
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.simulation.cluster import Cluster, SimJob
from kd_hpc.simulation.disk import Disk, SimEvidence, SimStore
from kd_hpc.simulation.faults import CALM, Faults, Killed
from kd_hpc.simulation.scheduler import SimScheduler
from kd_hpc.simulation.trainer import Nature, SimTrainer, Violation, Witness

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """`natures` says what each run is like; runs it leaves out are ordinary. Raises Violation where a promise breaks.

    `lock_holds`: False for a file system on which two runners can tick at once.
    """

    def __init__(
        self,
        campaign: Campaign,
        seed: int = 0,
        faults: Faults = CALM,
        natures: dict[Experiment, Nature] | None = None,
        *,
        running_limit: int = 4,
        queued_limit: int | None = None,
        lock_holds: bool = True,
    ) -> None:
        self.campaign, self.faults, self.rng = campaign, faults, Random(seed)
        self.natures = natures or {}
        self.lock_holds = lock_holds
        self.witness = Witness()
        self.seconds = 0.0
        self.jumped = timedelta()
        self.ticks = 0
        self.disk = Disk(self._step)
        self.store = SimStore(self.disk)
        self.cluster = Cluster(running_limit, queued_limit, self.rng, ghosts=self.witness.ghosts)
        self.scheduler = SimScheduler(self.cluster, self._trainer, self._require_submittable, self._step)
        self.experiments = campaign.experiments()
        self._by_tag = {tag(str(self.store.root), experiment): experiment for experiment in self.experiments}
        self._steps_left: int | None = None
        self._at_step: Callable[[], None] = self._kill_runner
        self._is_ticking = False
        self._purged_meanwhile: set[Experiment] = set()
        self.strays: set[str] = set()

    # What may happen

    def tick(self) -> Report | None:
        """One tick of a runner; None if it was killed in the middle."""
        self.ticks += 1
        self.scheduler.faults = self.faults
        self.cluster.reused_id_rate = self.faults.reused_id
        self._is_ticking = True
        self._purged_meanwhile.clear()
        try:
            report = self._runner().tick()
        except Killed:
            report = None
        finally:
            self._is_ticking, self._steps_left = False, None
        return report

    def tick_killed(self, step: int) -> Report | None:
        """A tick whose runner dies at its `step`-th act, if it comes so far."""
        self._steps_left, self._at_step = step, self._kill_runner
        return self.tick()

    def tick_interrupted(self, step: int) -> Report | None:
        """A tick during which, at its `step`-th act, jobs go on and another runner ticks, or finds the lock."""
        self._steps_left, self._at_step = step, self._meanwhile
        return self.tick()

    def advance(self, seconds: float) -> None:
        self.cluster.death_rate, self.cluster.node_fault_rate = self.faults.death, self.faults.node
        self.cluster.lost_node_rate = self.faults.lost_node
        self.seconds += seconds
        self.cluster.advance(seconds)

    def jump_clock(self, by: timedelta) -> None:
        """The wall clock, which runners read, is set forward or back."""
        self.jumped += by

    def purge(self, experiment: Experiment) -> None:
        """Its run directory disappears, whoever writes it."""
        self.disk.purge(experiment)

    def cancel(self, experiment: Experiment) -> None:
        """A person ends it, and with it the job that others may share."""
        record = self.store.read(experiment)
        self.disk.run(experiment).cancelled = True
        attempt = record.attempt if isinstance(record, StatusRecord) and record.state.has_job else None
        job = self.cluster.jobs.get(attempt.job_id or "") if attempt else None
        if job and attempt and attempt.token in job.name:
            self.cluster.delete(job.job_id)

    def retry(self, experiment: Experiment) -> None:
        """A person has it tried again, if it failed, even while the job that it left trains others."""
        record = self.store.read(experiment)
        if isinstance(record, StatusRecord) and record.state == State.FAILED:
            self.store.write(experiment, forgive(record))
            self.disk.run(experiment).cancelled = False

    def obey(self, told: Plan) -> None:
        """A person types what is said of runs of whose jobs nobody knows anything any more."""
        for decision in told.decisions:
            record = self.store.read(decision.experiment)
            if "kd-hpc retry --gone" in decision.remedy and isinstance(record, StatusRecord):
                self.store.write(decision.experiment, forgive(record))

    def submit_stray(self) -> None:
        """The user submits something of their own, which ends by its walltime."""
        job = self.cluster.submit("my_own_job", None)
        self.cluster.release(job.job_id)
        self.strays.add(job.job_id)

    def submit_strangers(self) -> None:
        """Another user submits something, perhaps under an id that a record here knows."""
        self.cluster.release(self.cluster.submit("theirs", None, "another").job_id)

    def random_hour(self) -> None:
        """Between two and four ticks, and whatever else the faults bring."""
        if self._happens(self.faults.clock_jump):
            self.jump_clock(timedelta(hours=self.rng.uniform(-48, 48)))
        if self._happens(self.faults.purge):
            self.purge(self.rng.choice(self.experiments))
        if self._happens(self.faults.stray):
            self.submit_stray()
        if self._happens(self.faults.reused_id):
            self.submit_strangers()
        if self._happens(self.faults.renamed):
            self.cluster.rename_nodes()
        for _ in range(self.rng.randint(2, 4)):
            self._random_tick()
            self.advance(self.rng.uniform(300, 1800))

    def settle(self, patience: int = 600) -> Plan:
        """No faults any more: tick until nothing changes; returns the last plan."""
        self.faults = replace(CALM)
        report: Report | None = None
        for _ in range(patience):
            report = self.tick()
            assert report is not None, "nobody kills runners any more"
            if report.plan.is_settled and not report.acted and not self._is_busy():
                self._require_end(report.plan)
                return report.plan
            self.obey(report.plan)
            self.advance(900)
        left = [decision for decision in report.plan.decisions if not decision.action.is_settled] if report else []
        raise Violation(f"the campaign never ends: {left[:3]}")

    def look(self) -> Plan:
        """What a tick would decide now."""
        return plan(self._runner().look())

    # What must hold

    def require_promises(self) -> None:
        """Raise Violation unless all that must hold at any moment holds now."""
        for job in self.cluster.alive():
            if job.job_id in self.witness.ghosts and self.disk.is_fenced:
                continue  # it may have been taken over without having noticed yet
            for student in job.program.open_students if isinstance(job.program, SimTrainer) else ():
                run = student.experiment
                if (writer := self.witness.writers.get(run)) != job.job_id:
                    raise Violation(f"{run.label}: job {job.job_id} trains it while {writer} writes")

    def _require_submittable(self, spec: JobSpec) -> None:
        experiment, *others = self._runs_of(spec)
        if self.lock_holds and self.scheduler.in_system >= self._capacity():
            raise Violation(f"{experiment.label} is submitted although all {self._capacity()} slots are taken")
        if len(others) >= self.campaign.students_per_job:
            raise Violation(f"{experiment.label} is submitted with {len(others)} others")
        teacher = experiment.teacher_run
        if teacher is None or teacher in self._purged_meanwhile:
            return
        record = self.store.read(teacher)
        if not (isinstance(record, StatusRecord) and record.state == State.COMPLETED):
            raise Violation(f"{experiment.label} is submitted before its teacher {teacher.label} is completed")

    def _require_end(self, last: Plan) -> None:
        for decision in last.decisions:
            record = self.store.read(decision.experiment)
            if not decision.reason or (decision.action != "done" and not decision.remedy):
                raise Violation(f"{decision.experiment.label} ends without a cause or a remedy: {decision}")
            if isinstance(record, StatusRecord) and record.state == State.COMPLETED:
                self._require_whole(decision.experiment, record)
        if self.witness.writers:
            raise Violation(f"these write although no job lives: {self.witness.writers}")

    def _require_whole(self, experiment: Experiment, record: StatusRecord) -> None:
        whole = record.epoch == self.campaign.recipe_for(experiment).epochs and self.disk.run(experiment).best_sha256
        if not whole:
            raise Violation(f"{experiment.label} says completed and is not")

    # How it works

    def _runner(self) -> Runner:
        """A fresh one: a runner remembers nothing between two ticks."""
        evidence = SimEvidence(self.store, self.disk)
        return Runner(
            self.campaign,
            self.store,
            OwnJobs(self.scheduler),
            evidence,
            Trainer(new_token=lambda: "".join(self.rng.choices(ALPHABET, k=TOKEN_LENGTH))),
            clock=lambda: _BEGIN + timedelta(seconds=self.seconds) + self.jumped,
        )

    def _trainer(self, spec: JobSpec, job: SimJob) -> SimTrainer:
        runs = [(run, self.natures.get(run, Nature(epoch_seconds=600))) for run in self._runs_of(spec)]
        epochs = self.campaign.recipe_for(runs[0][0]).epochs
        skew = timedelta(hours=self.rng.uniform(-12, 12)) if self._happens(self.faults.skew) else timedelta()
        clock = lambda: _BEGIN + timedelta(seconds=self.seconds) + skew  # noqa: E731
        trainer = SimTrainer(runs, spec, epochs, self.disk, self.witness, clock)
        trainer.job_id = job.job_id
        return trainer

    def _runs_of(self, spec: JobSpec) -> list[Experiment]:
        """The run that leads the job, by its name, and those beside it, by its command."""
        parsed = parse_job_name(spec.name)
        assert parsed is not None, f"{spec.name} is no name of ours"
        leader = self._by_tag[parsed.tag]
        words = [word for option, word in pairwise(spec.command) if option == "--beside"]
        others = [student_beside(leader, word) for word in words]
        assert parsed.is_shared == bool(others), f"{spec.name} says otherwise than its command"
        return [leader, *others]

    def _random_tick(self) -> None:
        if self._happens(self.faults.runner_death):
            self.tick_killed(self.rng.randint(1, 12))
        elif self._happens(self.faults.second_runner):
            self.tick_interrupted(self.rng.choice((1, self.rng.randint(1, 12))))
        else:
            self.tick()
        self.require_promises()

    def _step(self, what: str) -> None:
        if self._is_ticking and self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left == 0:
                self._at_step()

    def _kill_runner(self) -> None:
        raise Killed

    def _meanwhile(self) -> None:
        """Time passes inside a tick: jobs start, work, end and die between any two of its steps."""
        self._is_ticking = False
        self.advance(self.rng.uniform(1, 3600))
        if self._happens(self.faults.purge):
            self._purged_meanwhile.add(purged := self.rng.choice(self.experiments))
            self.purge(purged)
        if not self.lock_holds:
            self._runner().tick()
        self._is_ticking = True

    def _is_busy(self) -> bool:
        return bool(self.cluster.later) or any(self.cluster.alive())

    def _capacity(self) -> int:
        limit = self.cluster.queued_limit
        return self.campaign.scheduler.slots if limit is None else limit

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability
