"""This user's jobs in the scheduler, sorted by what explains them: a record, a run whose record is lost, or nothing."""

from __future__ import annotations

from collections.abc import Iterable

from kd_hpc.decision import Surplus
from kd_hpc.names import age_order, parse_job_name, tag
from kd_hpc.records import StatusRecord
from kd_hpc.schedulers.base import ListedJob, Phase
from kd_hpc.situation import Situation


class ListedJobs:
    """The jobs in `situation`. `orphans`: by run, a job of it that may write and that its record does not know."""

    def __init__(self, situation: Situation) -> None:
        self.listed = sorted(situation.snapshot.listed or (), key=lambda job: age_order(job.job_id))
        self.names = {job.job_id: name for job in self.listed if (name := parse_job_name(job.name))}
        records = [run.record for run in situation.runs if isinstance(run.record, StatusRecord)]
        latest = [record.attempt for record in records if record.attempt]
        self.current = {attempt.token for attempt in latest if attempt.token and attempt.ended_at is None}
        self.recorded = {attempt.job_id for record in records for attempt in record.attempts if attempt.job_id}
        self.replaced = {a.token for record in records for a in record.attempts if a.token} - self.current
        tags = {tag(situation.root, run.experiment): run.experiment for run in situation.runs} if self.names else {}
        self.lost = [
            (job, tags[name.tag])
            for job in self.listed
            if (name := self.names.get(job.job_id))
            and name.tag in tags
            and name.token not in self.current | self.replaced
        ]
        """Jobs of runs whose records do not know of them: those records were lost."""
        self.orphans = {run: job for job, run in reversed(self.lost) if job.observation.phase != Phase.HELD}

    def first_with(self, token: str) -> ListedJob | None:
        """The oldest job with `token`."""
        return next((job for job in self.listed if self._token(job) == token), None)

    def surplus(self) -> Iterable[Surplus]:
        """Jobs of ours that will never run: held ones that nobody will release, and those the scheduler gave up."""
        lost = {job.job_id for job, _ in self.lost}
        for job in self.listed:
            token = self._token(job)
            if token and job.observation.phase == Phase.STUCK:
                yield Surplus(job.job_id, f"the scheduler gave it up ({job.observation.detail})")
            if not token or job.job_id in self.recorded or job.observation.phase != Phase.HELD:
                continue
            if token in self.replaced:
                yield Surplus(job.job_id, f"its submission {token} was given up and made again")
            elif job.job_id in lost:
                yield Surplus(job.job_id, f"the record of its submission {token} is lost")
            elif token in self.current and job != self._keeper(token):
                yield Surplus(job.job_id, f"its submission {token} has another job")

    def strays(self, surplus: Iterable[Surplus]) -> tuple[ListedJob, ...]:
        """Jobs that fill slots for nothing this campaign knows of."""
        explained = self.recorded | {job.job_id for job in surplus}
        return tuple(job for job in self.listed if job.job_id not in explained and self._token(job) not in self.current)

    def _token(self, job: ListedJob) -> str:
        name = self.names.get(job.job_id)
        return name.token if name else ""

    def _keeper(self, token: str) -> ListedJob | None:
        """The one job of a submission that stays: the one on record, else the oldest."""
        jobs = [job for job in self.listed if self._token(job) == token]
        return next((job for job in jobs if job.job_id in self.recorded), jobs[0])
