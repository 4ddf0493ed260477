"""A scheduler that believes and touches nothing but one's own jobs.

Job ids are given out again: by a server installed anew, by another server, to other users. So an id alone proves
nothing. What is observed of a job counts only if the job's name carries the token that the record has and its owner is
this user; and none is released or deleted that the latest look did not show so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from kd_hpc.errors import SchedulerUnreachable
from kd_hpc.schedulers.base import Identity, JobSpec, Observation, Scheduler, Snapshot, Unknown


class JobRef(NamedTuple):
    """A job as a record knows it. Without a token, as in earlier rounds, its owner alone must be right."""

    job_id: str
    token: str = ""


class OwnJobs:
    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._identities: dict[str, Identity] = {}

    @property
    def kind(self) -> str:
        return self.scheduler.kind

    @property
    def can_avoid_nodes(self) -> bool:
        return self.scheduler.can_avoid_nodes

    @property
    def list_jobs(self) -> str:
        return self.scheduler.list_jobs

    def look(self, jobs: Iterable[JobRef] = ()) -> Snapshot:
        """As the scheduler's own `look`; a job whose id is another's now is Unknown."""
        jobs = list(dict.fromkeys(jobs))
        seen = self.scheduler.look([job.job_id for job in jobs])
        listed = {job.job_id: Identity(job.name, self.scheduler.user) for job in seen.listed or ()}
        self._identities = {**listed, **seen.identities}
        observations = {job.job_id: self._believed(job, seen) for job in jobs if job.job_id in seen.observations}
        return replace(seen, observations=observations)

    def submit_held(self, spec: JobSpec) -> str:
        job_id = self.scheduler.submit_held(spec)
        self._identities[job_id] = Identity(spec.name, self.scheduler.user)
        return job_id

    def release(self, jobs: Sequence[JobRef]) -> None:
        self.scheduler.release([job.job_id for job in self._own(jobs)])

    def cancel(self, jobs: Sequence[JobRef]) -> None:
        self.scheduler.cancel([job.job_id for job in self._own(jobs)])

    def wait(self, job_ids: Sequence[str], seconds: float) -> None:
        self.scheduler.wait(job_ids, seconds)

    def _believed(self, job: JobRef, seen: Snapshot) -> Observation:
        identity = self._identities.get(job.job_id)
        if identity and not self._is_own(job):
            whose = f"{identity.name or 'one without a name'}, of {identity.owner or 'nobody known'}"
            return Unknown(f"its id belongs to another job now: {whose}")
        return seen.of(job.job_id)

    def _is_own(self, job: JobRef) -> bool:
        identity = self._identities.get(job.job_id)
        return identity is not None and identity.owner == self.scheduler.user and job.token in identity.name

    def _own(self, jobs: Sequence[JobRef]) -> list[JobRef]:
        """Those of `jobs` that are one's own, looked at now if the latest look did not show them.

        Raises SchedulerUnreachable if that cannot be known.
        """
        if any(job.job_id not in self._identities for job in jobs):
            seen = self.look(jobs)
            if seen.unreachable:
                raise SchedulerUnreachable(f"{seen.unreachable}.", remedy="The next tick repeats it.")
        return [job for job in jobs if self._is_own(job)]
