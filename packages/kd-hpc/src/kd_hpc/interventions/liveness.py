"""Which runs may still have a job: proofs of life and doubts, for what must not happen while one is at work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kd_hpc.campaign import load_campaign
from kd_hpc.claim import owner
from kd_hpc.disk.locks import Owner
from kd_hpc.errors import KdError, LockHeld, StoreError
from kd_hpc.queueing.runner import CONTROL
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.schedulers.base import Gone, Live, Observation, Snapshot, Unknown
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.schedulers.registry import make
from kd_hpc.store import Store, Unreadable, read_record


@dataclass(frozen=True)
class MayLive:
    """`proven`: something is at work. Otherwise nobody here can know, and `says` tells why."""

    run: str
    says: str
    proven: bool


def may_live(store: Store) -> Iterator[MayLive]:
    """Every run below `store` that is not proven to be without a job. One look at each scheduler, at most."""
    asked: list[tuple[str, Attempt]] = []
    for path in store.run_directories():
        record = read_record(store.root / path)
        found = _by_files(str(path), record, _owner(store, str(path)))
        if isinstance(found, MayLive):
            yield found
        elif found is not None:
            asked.append((str(path), found))
    yield from _by_schedulers(store, asked)


def _owner(store: Store, run: str) -> Owner | str | None:
    try:
        return owner(store.root / run)
    except (LockHeld, StoreError) as error:
        return error.what


def _by_files(run: str, record: StatusRecord | Unreadable | None, last: Owner | str | None) -> MayLive | Attempt | None:
    """What the run directory alone tells; the attempt where its scheduler has to be asked; None if nothing can live."""
    if isinstance(last, str):
        return MayLive(run, last, proven=False)
    alive = last.is_alive() if last else None
    if last and alive:
        return MayLive(run, f"it is being trained by {last.process}", proven=True)
    if isinstance(record, Unreadable):
        return MayLive(run, f"its record is unreadable: {record.reason}", proven=False)
    if last and alive is None and not (record and record.state.is_final):
        return MayLive(run, f"it was being trained by {last.process}, which cannot be seen from here", proven=False)
    if record is None or not record.state.has_job:
        return None
    attempt = record.attempt or Attempt()
    if attempt.ended_at or (last and alive is False and last.token == attempt.token):
        return None
    if attempt.scheduler == "hand":
        return MayLive(run, f"its record says {record.state} and names no job", proven=False)
    return attempt


def _by_schedulers(store: Store, asked: list[tuple[str, Attempt]]) -> Iterator[MayLive]:
    schedulers = _schedulers(store) if asked else {}
    jobs = {
        kind: [JobRef(a.job_id, a.token) for _, a in asked if a.job_id and a.scheduler == kind] for kind in schedulers
    }
    looks = {kind: scheduler.look(jobs[kind]) for kind, scheduler in schedulers.items()}
    for run, attempt in asked:
        seen = _observation(attempt, looks)
        name = attempt.job_id or f"with token {attempt.token}"
        if isinstance(seen, Live):
            yield MayLive(run, f"job {name} is alive: {seen.detail or seen.phase}", proven=True)
        elif isinstance(seen, Unknown):
            yield MayLive(run, f"job {name} may be alive: {seen.reason}", proven=False)


def _observation(attempt: Attempt, looks: Mapping[str, Snapshot]) -> Observation:
    look = looks.get(attempt.scheduler)
    if look is None:
        return Unknown(f"no campaign queued here uses {attempt.scheduler}")
    if attempt.job_id:
        return look.of(attempt.job_id)
    if look.listed is None:
        return Unknown(look.unreachable or "the scheduler did not list its jobs")
    jobs = [job.observation for job in look.listed if attempt.token and attempt.token in job.name]
    return jobs[0] if jobs else Gone("no job has its token")


def _schedulers(store: Store) -> dict[str, OwnJobs]:
    """The scheduler of each kind that campaigns queued here use."""
    found: dict[str, OwnJobs] = {}
    for path in remembered_campaigns(store.root):
        try:
            campaign = load_campaign(path)
        except KdError:
            continue
        found.setdefault(campaign.scheduler.kind, make(campaign, store.root / CONTROL))
    return found
