"""This user's jobs in the scheduler, sorted by what explains them: a record, a run whose record is lost, or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Surplus
from kd_hpc.planning.situation import Situation
from kd_hpc.planning.slots import is_in_queue
from kd_hpc.records import StatusRecord
from kd_hpc.schedulers.base import ListedJob, Phase
from kd_hpc.schedulers.job_names import JobName, age_order, parse_job_name, tag
from kd_hpc.schedulers.own_jobs import JobRef


class ListedJobs:
    """The jobs in `situation`. `orphans`: by run, a job of it that may write and that its record does not know."""

    def __init__(self, situation: Situation) -> None:
        self.listed = sorted(situation.snapshot.listed or (), key=lambda job: age_order(job.job_id))
        self.names = {job.job_id: name for job in self.listed if (name := parse_job_name(job.name))}
        records = [run.record for run in situation.runs if isinstance(run.record, StatusRecord)]
        latest = [record.attempt for record in records if record.attempt]
        self.current = {attempt.token for attempt in latest if attempt.token and attempt.ended_at is None}
        self.recorded = {(a.job_id, a.token) for record in records for a in record.attempts if a.job_id}
        cancelled = [run.record for run in situation.runs if run.cancelled and isinstance(run.record, StatusRecord)]
        self.ended_by_you = {record.attempt.token for record in cancelled if record.attempt} - {""}
        """Tokens of jobs with a run that a person cancelled."""
        self.queue = situation.campaign.resources.queue
        self.unwanted = set(situation.unwanted)
        self.replaced = {a.token for record in records for a in record.attempts if a.token} - self.current
        self.lost = list(self._lost(situation)) if self.names else []
        """Jobs, each with a run that it may train and whose record does not know of it: that record was lost."""
        self.orphans = {run: job for job, run in reversed(self.lost) if job.observation.phase != Phase.HELD}

    def keeper(self, token: str) -> ListedJob | None:
        """The one job of a submission that stays: the one on record, else the oldest."""
        jobs = [job for job in self.listed if self._token(job) == token]
        return next((job for job in jobs if self.is_recorded(job)), jobs[0] if jobs else None)

    def is_recorded(self, job: ListedJob) -> bool:
        """True if a record has its id, and its name the token of that: ids are given out again."""
        return (job.job_id, self._token(job)) in self.recorded or (job.job_id, "") in self.recorded

    def remedy(self, job: ListedJob) -> str:
        """What a run that waits for the end of `job` can hope for."""
        if self.is_recorded(job):
            return "It waits for that job's end: it trains other runs, too"
        return f"It waits for that job's end; to end it now: kd-hpc cancel {job.job_id}"

    def surplus(self) -> Iterable[Surplus]:
        """Jobs that a person wants ended, and those of ours that will never run.

        These are held ones that nobody will release, and those the scheduler gave up.
        """
        for job in self.listed:
            token = self._token(job)
            if reason := self._wish(job, token) or (self._uselessness(job, token) if token else ""):
                yield Surplus(job.job_id, reason, token or job.name)

    def _wish(self, job: ListedJob, token: str) -> str:
        is_meant = token in self.ended_by_you or JobRef(job.job_id, job.name) in self.unwanted
        return "you asked for its end" if is_meant else ""

    def _uselessness(self, job: ListedJob, token: str) -> str:
        if job.observation.phase == Phase.STUCK:
            return f"the scheduler gave it up ({job.observation.detail})"
        if job.observation.phase != Phase.HELD:
            return ""
        if self.is_recorded(job):
            is_over = (job.job_id, token) in self.recorded and token not in self.current
            return f"its attempt {token} is over" if is_over else ""
        if token in self.replaced:
            return f"its submission {token} was given up and made again"
        if token not in self.current:
            is_lost = any(job.job_id == lost.job_id for lost, _ in self.lost)
            return f"the record of its submission {token} is lost" if is_lost else ""
        return f"its submission {token} has another job" if job != self.keeper(token) else ""

    def strays(self, surplus: Iterable[Surplus]) -> tuple[ListedJob, ...]:
        """Jobs that fill slots of the campaign's queue for nothing it knows of."""
        ending = {job.job_id for job in surplus}
        here = (job for job in self.listed if is_in_queue(job, self.queue))
        others = (job for job in here if not self.is_recorded(job) and job.job_id not in ending)
        return tuple(job for job in others if self._token(job) not in self.current)

    def _token(self, job: ListedJob) -> str:
        name = self.names.get(job.job_id)
        return name.token if name else ""

    def _lost(self, situation: Situation) -> Iterator[tuple[ListedJob, Experiment]]:
        trained = _Trained(situation, {name.token for name in self.names.values()})
        for job in self.listed:
            if name := self.names.get(job.job_id):
                yield from ((job, run) for run in trained.by(name) if run not in trained.knowing[name.token])


class _Trained:
    """Which runs jobs may train, as far as names and records tell. `knowing`: by token, runs whose records have it."""

    def __init__(self, situation: Situation, tokens: set[str]) -> None:
        self.runs = [run.experiment for run in situation.runs]
        self.by_tag = {tag(situation.root, run): run for run in self.runs}
        self.knowing: dict[str, set[Experiment]] = defaultdict(set)
        self.labels: dict[str, set[str]] = defaultdict(set)
        for run in situation.runs:
            for attempt in run.record.attempts if isinstance(run.record, StatusRecord) else ():
                if attempt.token in tokens:
                    self.knowing[attempt.token].add(run.experiment)
                    self.labels[attempt.token].update(attempt.runs or ())

    def by(self, name: JobName) -> list[Experiment]:
        """The run in the job's name, and those that share it; all that could, where every record of it is lost."""
        leader, labels = self.by_tag.get(name.tag), self.labels[name.token]
        if labels:
            return [run for run in self.runs if run == leader or run.label in labels]
        if leader and name.is_shared:
            return [run for run in self.runs if run.company == leader.company]
        return [leader] if leader else []
