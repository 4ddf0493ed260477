"""The chain of evidence about one run: what is on record, who may be at work, what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_hpc.claim import owner, take_over
from kd_hpc.errors import KdError
from kd_hpc.experiment import Experiment
from kd_hpc.inspection.find_run import FoundRun, campaign_of
from kd_hpc.planning.decision import Decision, Plan
from kd_hpc.planning.planner import plan
from kd_hpc.planning.situation import Situation
from kd_hpc.queueing.runner import CONTROL, TAKE_OVER_TICKS, tick_owner
from kd_hpc.queueing.session import Session, open_session
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.remedies import with_folder
from kd_hpc.schedulers.base import Gone, Live, Observation
from kd_hpc.schedulers.own_jobs import JobRef
from kd_hpc.screen.durations import ago
from kd_hpc.store import Store, Unreadable, read_record

_NEXT = "next"
TYPED = ("remedy", _NEXT)
"""Links that hold a command to copy."""


@dataclass(frozen=True)
class Link:
    """One link of the chain: what kind of evidence, and what it says."""

    kind: str
    says: str


def chain(store: Store, found: FoundRun, campaign_file: Path | None) -> list[Link]:
    """Everything known about the run, from its identity to what to type next."""
    links = [Link("run", str(store.root / found.path)), *_record_links(found)]
    links += _teacher_links(store, found.experiment)
    links += [*_owner_links(store, found), *_tick_links(store), *_campaign_links(store, found, campaign_file)]
    once = list(dict.fromkeys(reversed(links)))[::-1]
    return [Link(link.kind, with_folder(link.says, store.root) if link.kind in TYPED else link.says) for link in once]


def _campaign_links(store: Store, found: FoundRun, campaign_file: Path | None) -> Iterator[Link]:
    """What the campaign's scheduler and planner say of it."""
    known = campaign_of(store, found.experiment, campaign_file)
    if known is None or found.experiment is None:
        yield Link("campaign", "none that was queued here plans this run; name one with --campaign")
        return
    session = open_session(known[0], store.root)
    situation = session.runner.look()
    yield Link("campaign", f"{known[1].name} ({known[0]})")
    yield from _scheduler_links(session, situation, found)
    yield from _decision_links(plan(situation), found)


def as_json(links: list[Link]) -> list[dict[str, Any]]:
    return [{"kind": link.kind, "says": link.says} for link in links]


def _record_links(found: FoundRun) -> Iterator[Link]:
    record = found.record
    if record is None:
        yield Link("record", "none: it was never queued, or its record was lost")
        return
    if not isinstance(record, StatusRecord):
        yield Link("record", f"unreadable: {record.reason}")
        return
    yield Link("record", _state(record))
    if record.reason:
        yield Link("reason", record.reason)
    if record.remedy:
        yield Link("remedy", record.remedy)
    for attempt in record.attempts:
        yield Link(f"attempt {attempt.number}", "; ".join(_attempt(attempt)))


def _state(record: StatusRecord) -> str:
    words = [record.state.value]
    if record.epochs:
        words.append(f"epoch {record.epoch} of {record.epochs}")
    if record.acc_last is not None:
        words.append(f"test accuracy {record.acc_last:.2f} %")
    if record.updated_at:
        words.append(f"written {ago(record.updated_at)}")
    return ", ".join(words)


def _attempt(attempt: Attempt) -> Iterator[str]:
    job = f"{attempt.scheduler} job {attempt.job_id}" if attempt.job_id else f"no {attempt.scheduler} job on record"
    yield "started by hand" if attempt.scheduler == "hand" else job
    if attempt.token:
        yield f"token {attempt.token}"
    if attempt.leader:
        yield f"shared by {len(attempt.runs or ())} runs, its output in {attempt.leader}"
    for when, what in ((attempt.submitted_at, "submitted"), (attempt.started_at, "started")):
        if when:
            yield f"{what} {when.astimezone():%Y-%m-%d %H:%M:%S}" + _where(attempt, what)
    if attempt.start_epoch is not None:
        yield f"epochs {attempt.start_epoch} to {attempt.end_epoch}"
    if attempt.detail:
        yield f"ended: {attempt.detail}" + (f" [{attempt.cause}]" if attempt.cause else "")
    if attempt.assumed_gone:
        yield f"taken over from {attempt.assumed_gone}"
    if attempt.charged:
        yield "counts against the run's budget" if not attempt.forgiven else "was forgiven"


def _where(attempt: Attempt, what: str) -> str:
    return f" on {attempt.host}" if attempt.host and what == "started" else ""


def _teacher_links(store: Store, experiment: Experiment | None) -> Iterator[Link]:
    teacher = experiment.teacher_run if experiment else None
    if teacher:
        record = read_record(store.directory(teacher))
        state = _state(record) if isinstance(record, StatusRecord) else "no readable record"
        yield Link("teacher", f"{teacher.label}: {state}")


def _owner_links(store: Store, found: FoundRun) -> Iterator[Link]:
    try:
        last = owner(store.root / found.path)
    except KdError as error:
        yield Link("owner", f"nobody knows: {error.what}")
        yield Link(_NEXT, take_over(found.label))
        return
    alive = last.is_alive() if last else False
    if last:
        says = {True: "alive", False: "gone", None: "which cannot be seen from here: nobody here can know"}[alive]
        yield Link("owner", f"{last.process}, {says}")
    if alive is None and not _is_over(found.record):
        yield Link(_NEXT, take_over(found.label))


def _is_over(record: StatusRecord | Unreadable | None) -> bool:
    """True if whoever owned the run last stands in nobody's way."""
    if not isinstance(record, StatusRecord):
        return False
    return record.is_done or bool(record.attempt and record.attempt.ended_at)


def _tick_links(store: Store) -> Iterator[Link]:
    """Only where nothing can be changed because of somebody whom nobody here can see."""
    control = store.root / CONTROL
    try:
        last = tick_owner(control)
    except KdError:
        return  # the next tick takes over what it cannot read
    if last and last.is_alive() is None:
        yield Link("ticks", f"{last} has the right to change runs, and cannot be seen from here")
        yield Link(_NEXT, TAKE_OVER_TICKS)


def _scheduler_links(session: Session, situation: Situation, found: FoundRun) -> Iterator[Link]:
    if situation.snapshot.unreachable:
        yield Link("scheduler", f"it could not be asked: {situation.snapshot.unreachable}")
        return
    record = found.record
    attempt = record.attempt if isinstance(record, StatusRecord) else None
    if attempt and attempt.job_id and attempt.scheduler == session.scheduler.kind:
        reference = JobRef(attempt.job_id, attempt.token)
        known = situation.snapshot.observations.get(attempt.job_id)
        seen = known or session.scheduler.look([reference]).of(attempt.job_id)
        yield Link("scheduler", f"job {attempt.job_id} {_observation(seen)}")
    listed = situation.snapshot.listed
    yield Link("slots", "unknown" if listed is None else f"{len(listed)} jobs of yours are in the scheduler")


def _observation(seen: Observation) -> str:
    if isinstance(seen, Live):
        return f"is {seen.phase}: {seen.detail}" if seen.detail else f"is {seen.phase}"
    return f"is gone: {seen.evidence}" if isinstance(seen, Gone) else f"is unknown: {seen.reason}"


def _decision_links(found_plan: Plan, found: FoundRun) -> Iterator[Link]:
    decision: Decision | None = next((d for d in found_plan.decisions if d.experiment == found.experiment), None)
    if decision is None:
        yield Link("decision", "none: it is not in that campaign's grid")
        return
    yield Link("decision", f"{decision.action}: {decision.reason}")
    if decision.ending:
        yield Link("ending", f"{decision.ending.cause.name}: {decision.ending.detail}")
    if decision.remedy:
        yield Link(_NEXT, decision.remedy)
