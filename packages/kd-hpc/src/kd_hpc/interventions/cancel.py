"""Ending runs and jobs because a person says so."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.errors import RunOwned, SchedulerUnreachable, UsageError
from kd_hpc.experiment import Experiment, experiment_at
from kd_hpc.inspection.find_run import FoundRun, campaign_of, is_called
from kd_hpc.inspection.rows import Row
from kd_hpc.inspection.selection import find_runs
from kd_hpc.interventions.retry import request_cancel
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import CONTROL
from kd_hpc.queueing.session import find_campaign, open_session, remembered_campaigns
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.schedulers.base import Gone, Observation, Unknown
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.schedulers.registry import make
from kd_hpc.store import Store


@dataclass(frozen=True)
class Cancellation:
    """A run, a job of it, or a job of nobody's, that is to end. `job` is None where there is none to delete."""

    says: str
    experiment: Experiment | None = None
    job: JobRef | None = None
    scheduler: OwnJobs | None = None

    @property
    def is_needless(self) -> bool:
        """True for a run that has ended already."""
        return self.experiment is None and self.job is None


@dataclass(frozen=True)
class _Meant:
    """A run that is to end, with the job on its record, if that is one to ask a scheduler about."""

    found: FoundRun
    job: JobRef | None = None
    scheduler: OwnJobs | None = None


def plan_cancel(
    store: Store, meant: list[str], states: Sequence[str], campaign_file: Path | None
) -> list[Cancellation]:
    """What `meant` names, in one of `states`. Raises UsageError for what is unknown, RunOwned for a run by hand."""
    cancellations: list[Cancellation] = []
    runs: dict[Experiment, FoundRun] = {}
    for word in meant or ["*"]:
        try:
            runs |= {found.require_experiment(): found for found in _runs(store, word, states, campaign_file)}
        except UsageError:
            if (job := _stray(store, word, campaign_file)) is None:
                raise
            cancellations.append(job)
    schedulers: dict[str, OwnJobs] = {}
    planned = [_meant(store, found, campaign_file, schedulers) for found in runs.values()]
    seen = _look(planned, schedulers)
    return [*cancellations, *(_cancellation(store, run, runs, seen) for run in planned)]


def cancel_runs(store: Store, cancellations: list[Cancellation]) -> list[str]:
    """End them; returns what could not be asked for now, as sentences.

    The wishes are left on disk first: a job that dies without word would be queued again, and one that cannot be
    reached now is asked for by each round until it is gone.
    """
    notes = Evidence(store, store.root / CONTROL / "weights.json").notes
    for ended in cancellations:
        if ended.experiment:
            request_cancel(store, ended.experiment)
        elif ended.job:
            notes.want_deleted(ended.job)
    return list(_delete({ended.job: ended.scheduler for ended in cancellations}))


def _delete(jobs: Mapping[JobRef | None, OwnJobs | None]) -> Iterator[str]:
    for job, scheduler in jobs.items():
        try:
            if scheduler and job:
                scheduler.cancel([job])
        except SchedulerUnreachable as error:
            assert job is not None, "only jobs are deleted"
            yield f"Job {job.job_id} may live on: {error.what} Each kd-hpc queue asks for its end until it is gone."


def _runs(store: Store, word: str, states: Sequence[str], campaign_file: Path | None) -> list[FoundRun]:
    """The runs that `word` names; where it names a job, every run that is in it still."""
    found = find_runs(store, [word], states, campaign_file=campaign_file, worthwhile=_has_not_ended)
    attempts = [run.record.attempt if isinstance(run.record, StatusRecord) else None for run in found]
    current = [run for run, attempt in zip(found, attempts, strict=True) if attempt and is_called(attempt, word)]
    return current or found


def _has_not_ended(row: Row) -> bool:
    return not row.known.state.is_final


def _meant(store: Store, found: FoundRun, campaign_file: Path | None, schedulers: dict[str, OwnJobs]) -> _Meant:
    """The run with its job, and the scheduler to ask about it. Raises RunOwned, UsageError."""
    experiment, record = found.require_experiment(), found.record
    if not isinstance(record, StatusRecord) or not record.state.has_job or record.attempt is None:
        return _Meant(found)
    attempt = record.attempt
    if attempt.scheduler == "hand":
        _require_gone(store, experiment)
        return _Meant(found)
    if attempt.job_id is None:
        return _Meant(found)
    known = campaign_of(store, experiment, campaign_file)
    if known is None or known[1].scheduler.kind != attempt.scheduler:
        raise _other_scheduler(found, attempt, known)
    if attempt.scheduler not in schedulers:
        schedulers[attempt.scheduler] = make(known[1], store.root / CONTROL)
    return _Meant(found, JobRef(attempt.job_id, attempt.token), schedulers[attempt.scheduler])


def _other_scheduler(found: FoundRun, attempt: Attempt, known: tuple[Path, Campaign] | None) -> UsageError:
    there = f"campaign {known[1].name} runs in {known[1].scheduler.kind}." if known else "no campaign is known."
    return UsageError(
        f"{found.label} has job {attempt.job_id} in {attempt.scheduler}, and {there}",
        remedy="Name the campaign that it was queued with: --campaign campaigns/NAME.toml",
    )


def _look(planned: list[_Meant], schedulers: Mapping[str, OwnJobs]) -> dict[JobRef, Observation]:
    """What is known of their jobs, by one look at each scheduler."""
    seen: dict[JobRef, Observation] = {}
    for scheduler in schedulers.values():
        jobs = [run.job for run in planned if run.job and run.scheduler is scheduler]
        snapshot = scheduler.look(jobs)
        seen |= {job: snapshot.of(job.job_id) for job in jobs if not snapshot.unreachable}
    return seen


def _cancellation(
    store: Store, run: _Meant, ending: Container[Experiment], seen: Mapping[JobRef, Observation]
) -> Cancellation:
    experiment, record, label = run.found.require_experiment(), run.found.record, run.found.label
    if isinstance(record, StatusRecord) and record.state.is_final:
        return Cancellation(f"{label} is {record.state}: there is nothing to end")
    if run.job is None:
        return Cancellation(f"{label}: it has no job; it is not queued any more", experiment)
    known, job_id = seen.get(run.job), run.job.job_id
    if isinstance(known, Gone | Unknown):
        why = "has ended" if isinstance(known, Gone) else f"is left alone: {known.reason}"
        return Cancellation(f"{label}: job {job_id} {why}; it is not queued any more", experiment)
    attempt = record.attempt if isinstance(record, StatusRecord) else None
    others = _others(store, attempt, ending) if attempt else ""
    says = f"{label}: job {job_id} is deleted; it is not queued any more{others}"
    return Cancellation(says, experiment, run.job, run.scheduler)


def _others(store: Store, attempt: Attempt, ending: Container[Experiment]) -> str:
    """What becomes of the runs in the same job that nobody asked to end."""
    runs = filter(None, map(experiment_at, attempt.runs or ()))
    records = [record for run in runs if run not in ending and isinstance(record := store.read(run), StatusRecord)]
    count = sum(
        record.state.has_job and record.attempt is not None and record.attempt.token == attempt.token
        for record in records
    )
    if not count:
        return ""
    return f"; {count} other runs of that job go on in another" if count > 1 else "; another run of that job goes on"


def _stray(store: Store, job_id: str, campaign_file: Path | None) -> Cancellation | None:
    """A job of this user that no record knows; None where there is none, or no scheduler to ask."""
    if campaign_file is None and not remembered_campaigns(store.root):
        return None
    session = open_session(find_campaign(campaign_file, store.root), store.root)
    listed = session.scheduler.look().listed or ()
    job = next((job for job in listed if job_id in (job.job_id, job.job_id.partition(".")[0])), None)
    if job is None:
        return None
    reference = JobRef(job.job_id, job.name)
    return Cancellation(
        f"job {job.job_id} ({job.name}), of no run here, is deleted", None, reference, session.scheduler
    )


def _require_gone(store: Store, experiment: Experiment) -> None:
    if Evidence(store, store.root / CONTROL / "weights.json").owner_alive(experiment) is not False:
        raise RunOwned(
            f"{experiment.label} is being trained by hand, perhaps on another machine.",
            remedy=f"End that process where it runs: kd-hpc why {experiment.label}",
        )
