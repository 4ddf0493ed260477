"""Ending runs and jobs because a person says so."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from kd_hpc.errors import RunOwned, UsageError
from kd_hpc.experiment import Experiment, experiment_at
from kd_hpc.inspection.find_run import FoundRun, campaign_of, is_called
from kd_hpc.inspection.rows import Row
from kd_hpc.inspection.selection import find_runs
from kd_hpc.interventions.retry import request_cancel
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import CONTROL
from kd_hpc.queueing.session import find_campaign, open_session, remembered_campaigns
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.schedulers.base import Scheduler
from kd_hpc.schedulers.registry import make
from kd_hpc.store import Store


@dataclass(frozen=True)
class Cancellation:
    """A run, a job of it, or a job of nobody's, that is to end."""

    says: str
    experiment: Experiment | None
    job_id: str | None
    scheduler: Scheduler | None

    @property
    def is_needless(self) -> bool:
        """True for a run that has ended already."""
        return self.experiment is None and self.job_id is None


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
    return [*cancellations, *(_plan_cancellation(store, found, runs, campaign_file) for found in runs.values())]


def cancel_runs(store: Store, cancellations: list[Cancellation]) -> None:
    """Leave word in the run directories first: a job that dies without word would be queued again."""
    for ended in cancellations:
        if ended.experiment:
            request_cancel(store, ended.experiment)
    for job_id, scheduler in {ended.job_id: ended.scheduler for ended in cancellations}.items():
        if scheduler and job_id:
            scheduler.cancel([job_id])


def _runs(store: Store, word: str, states: Sequence[str], campaign_file: Path | None) -> list[FoundRun]:
    """The runs that `word` names; where it names a job, every run that is in it still."""
    found = find_runs(store, [word], states, campaign_file=campaign_file, worthwhile=_has_not_ended)
    attempts = [run.record.attempt if isinstance(run.record, StatusRecord) else None for run in found]
    current = [run for run, attempt in zip(found, attempts, strict=True) if attempt and is_called(attempt, word)]
    return current or found


def _has_not_ended(row: Row) -> bool:
    return not row.known.state.is_final


def _plan_cancellation(
    store: Store, found: FoundRun, ending: Container[Experiment], campaign_file: Path | None
) -> Cancellation:
    experiment, record = found.require_experiment(), found.record
    if not isinstance(record, StatusRecord) or not record.state.has_job or record.attempt is None:
        if isinstance(record, StatusRecord) and record.state.is_final:
            return Cancellation(f"{found.label} is {record.state}: there is nothing to end", None, None, None)
        return Cancellation(f"{found.label}: it has no job; it is not queued any more", experiment, None, None)
    attempt = record.attempt
    if attempt.scheduler == "hand":
        _require_gone(store, experiment)
        return Cancellation(f"{found.label}: it is not queued any more", experiment, None, None)
    known = campaign_of(store, experiment, campaign_file)
    scheduler = make(known[1], store.root / CONTROL) if known else None
    if attempt.job_id and (scheduler is None or scheduler.kind != attempt.scheduler):
        raise UsageError(
            f"{found.label} has job {attempt.job_id} in {attempt.scheduler}, and "
            + (
                f"campaign {known[1].name} runs in {scheduler.kind}."
                if known and scheduler
                else "no campaign is known."
            ),
            remedy="Name the campaign that it was queued with: --campaign campaigns/NAME.toml",
        )
    what = f"job {attempt.job_id} is deleted" if attempt.job_id else "it has no job on record"
    says = f"{found.label}: {what}; it is not queued any more{_others(store, attempt, ending)}"
    return Cancellation(says, experiment, attempt.job_id, scheduler)


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
    listed = session.scheduler.look([]).listed or ()
    job = next((job for job in listed if job_id in (job.job_id, job.job_id.partition(".")[0])), None)
    if job is None:
        return None
    return Cancellation(
        f"job {job.job_id} ({job.name}), of no run here, is deleted", None, job.job_id, session.scheduler
    )


def _require_gone(store: Store, experiment: Experiment) -> None:
    if Evidence(store, store.root / CONTROL / "weights.json").owner_alive(experiment) is not False:
        raise RunOwned(
            f"{experiment.label} is being trained by hand, perhaps on another machine.",
            remedy=f"End that process where it runs: kd-hpc why {experiment.label}",
        )
