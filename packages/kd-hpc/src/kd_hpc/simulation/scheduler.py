"""The simulated cluster behind the seam, with every way a scheduler can fail to answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers.base import Identity, JobSpec, Limits, ListedJob, Live, Lost, Observation, Snapshot, Unknown
from kd_hpc.simulation.cluster import Cluster, Program, SimJob
from kd_hpc.simulation.faults import Faults


class SimScheduler:
    """`step` is told of every act before and after it, and may raise. `make_program` gives a job what it runs.

    `judge` is shown every submission, and raises if it must never have been made.
    """

    kind = "pbs"
    user = "simulated"
    can_avoid_nodes = False
    list_jobs = "qstat"

    def __init__(
        self,
        cluster: Cluster,
        make_program: Callable[[JobSpec, SimJob], Program],
        judge: Callable[[JobSpec], None],
        step: Callable[[str], None],
    ) -> None:
        self.cluster, self._make_program, self._step = cluster, make_program, step
        self.judge = judge
        self.faults = Faults()
        self.rng: Random = cluster.rng
        self.keeps_history = True
        self.in_system = 0
        """Jobs of the user as the last look told them, and those submitted since."""

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        self._step("before a look")
        if self._fails(self.faults.hung):
            return Snapshot({}, None, unreachable="qstat gave no answer within 90 s")
        observations = {job_id: self._observe(job_id) for job_id in job_ids}
        listed = tuple(ListedJob(job.job_id, job.name, _live(job)) for job in self.cluster.listed())
        self.in_system = len(listed)
        limits = Limits(self.cluster.running_limit, self.cluster.queued_limit)
        names = {
            job_id: Identity(self.cluster.jobs[job_id].name, self.cluster.jobs[job_id].user)
            for job_id in job_ids
            if job_id in self.cluster.jobs
        }
        return Snapshot(observations, None if self._fails(self.faults.unlisted) else listed, limits, identities=names)

    def submit_held(self, spec: JobSpec) -> str:
        self._step("before a submission")
        self.judge(spec)
        self.in_system += 1
        if self._fails(self.faults.refusal):
            raise SubmissionRefused("qsub: Job violates queue and/or server resource limits")
        if self._fails(self.faults.lost_request):
            raise SubmissionUncertain("qsub gave no answer within 60 s")
        if self._fails(self.faults.late_request):
            self.cluster.at(self.rng.uniform(60, 7200), lambda: self._accept(spec))
            raise SubmissionUncertain("qsub gave no answer within 60 s")
        job = self._accept(spec)
        if self._fails(self.faults.lost_answer):
            raise SubmissionUncertain("qsub gave no answer within 60 s")
        self._step("after a submission")
        return job.job_id

    def release(self, job_ids: Sequence[str]) -> None:
        self._tell(job_ids, self.cluster.release, "a release")

    def cancel(self, job_ids: Sequence[str]) -> None:
        self._tell(job_ids, self.cluster.delete, "a deletion")

    def wait(self, job_ids: Sequence[str], seconds: float) -> None:
        self.cluster.advance(seconds)

    def _accept(self, spec: JobSpec) -> SimJob:
        job = self.cluster.submit(spec.name, spec)
        job.program = self._make_program(spec, job)
        return job

    def _tell(self, job_ids: Sequence[str], act: Callable[[str], None], what: str) -> None:
        self._step(f"before {what}")
        if self._fails(self.faults.deaf):
            raise SchedulerUnreachable("cannot connect to server")
        for job_id in job_ids:
            act(job_id)
        self._step(f"after {what}")

    def _observe(self, job_id: str) -> Observation:
        job = self.cluster.jobs.get(job_id)
        if self._fails(self.faults.unsure):
            return Unknown("the answer holds a line that explains nothing")
        if job is None:
            return Unknown("this server does not take its id")
        if job.is_listed:
            return _live(job)
        ending = job.ending(with_history=self.keeps_history)
        return Lost(f"{ending.evidence}: its node was lost", ending) if job.is_lost and self.keeps_history else ending

    def _fails(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability


def _live(job: SimJob) -> Live:
    assert job.phase is not None, "only live jobs are listed"
    return Live(job.phase, job.host)
