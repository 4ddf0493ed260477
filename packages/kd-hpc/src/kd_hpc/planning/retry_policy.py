"""After a job's death: whether the run goes on, with how much memory, and when it is time to stop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kd_hpc.campaign import Campaign
from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.experiment import Experiment, experiment_at
from kd_hpc.planning.decision import Action, Decision, Ending
from kd_hpc.planning.situation import RunView, Situation
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.schedulers.base import Gone
from kd_hpc.schedulers.memory_sizes import in_kilobytes

HOPELESS = 10
"""Deaths in a row without an epoch, as a multiple of the budget, that stop a run although none was charged."""


def ending_of(run: RunView, record: StatusRecord, gone: Gone) -> Ending:
    """What the record is to say of its latest attempt, whose job is gone."""
    attempt = record.attempt or Attempt()
    began = attempt.start_epoch is not None
    found = diagnose(
        gone,
        run.stderr_tail,
        run.stdout_tail,
        start_epoch=attempt.start_epoch,
        end_epoch=record.progress if began else None,
        memory=attempt.memory,
        token=attempt.token,
        run=run.experiment.label,
        folder_problem=run.folder_problem,
    )
    return Ending(
        cause=found.cause,
        detail=found.detail,
        remedy=found.remedy,
        charged=found.charged,
        end_epoch=record.progress if began else None,
        exit_status=gone.exit_status,
        host=gone.host or attempt.host or "",
        next_memory=found.next_memory,
    )


def waived(ending: Ending, run: RunView, record: StatusRecord, situation: Situation) -> Ending:
    """`ending`, not charged where the end of a shared job says nothing about this run.

    A person ended the job to cancel another run of it; or it was good for an epoch of another, so that this one's was
    next; or it died before this run's turn to begin had come.
    """
    attempt = record.attempt or Attempt()
    others = [other for other in _sharing(attempt, situation) if other.experiment != run.experiment]
    cancelled = next((other for other in others if other.cancelled), None)
    if cancelled and not run.cancelled and ending.cause.is_outside:
        detail = f"it was ended to cancel {cancelled.experiment.label}, which shared it"
        return replace(ending, detail=detail, charged=False)
    theirs = [their for other in others for their in _in_job(other, attempt.token)]
    had_no_turn = attempt.start_epoch is None and any(their.start_epoch is not None for their in theirs)
    if had_no_turn or any(_gained(their, their.end_epoch) for their in theirs):
        return replace(ending, charged=False)
    return ending


def after_death(experiment: Experiment, record: StatusRecord, ending: Ending, campaign: Campaign) -> Decision | None:
    """The decision to give the run up, or None if it may go on."""
    if ending.next_memory and _within_limit(ending.next_memory, record, campaign) is None:
        return _failure(experiment, ending, ending.detail)
    deaths, charged = _in_a_row(record, ending)
    budget = campaign.budgets.deaths_without_progress
    if ending.charged and charged >= budget:
        return _failure(experiment, ending, f"{charged} jobs in a row died without an epoch; the last: {ending.detail}")
    if deaths >= HOPELESS * budget:
        return _failure(experiment, ending, f"{deaths} jobs in a row died without an epoch; the last: {ending.detail}")
    return None


def memory_needed(campaign: Campaign, record: StatusRecord | None, ending: Ending | None) -> str:
    """What the next job asks for: the campaign's memory, or more after memory kills."""
    sizes = [campaign.resources.memory]
    for attempt in record.attempts if record else ():
        if attempt.next_memory and not attempt.forgiven:
            sizes.append(attempt.next_memory)
    if ending and ending.next_memory:
        sizes.append(ending.next_memory)
    largest = max(sizes, key=lambda size: in_kilobytes(size) or 0)
    ceiling = campaign.resources.max_memory
    if len(sizes) > 1 and ceiling and _kilobytes(largest) > _kilobytes(ceiling):
        return ceiling
    return largest


def _in_a_row(record: StatusRecord, ending: Ending) -> tuple[int, int]:
    """Deaths without an epoch since the last gain, with this one: all, and those charged."""
    if _gained(record.attempt or Attempt(), ending.end_epoch):
        return 0, 0
    deaths, charged = 1, int(ending.charged)
    for attempt in reversed(record.attempts[:-1]):
        if attempt.forgiven or attempt.job_id is None:
            continue
        if _gained(attempt, attempt.end_epoch):
            break
        deaths += 1
        charged += attempt.charged
    return deaths, charged


def _gained(attempt: Attempt, end_epoch: int | None) -> bool:
    return attempt.start_epoch is not None and (end_epoch or 0) > attempt.start_epoch


def _sharing(attempt: Attempt, situation: Situation) -> Iterable[RunView]:
    """The runs of a shared job whose records still name it."""
    for label in attempt.runs or ():
        experiment = experiment_at(label)
        view = situation.by_run.get(experiment) if experiment else None
        if view and _in_job(view, attempt.token):
            yield view


def _in_job(run: RunView, token: str) -> list[Attempt]:
    attempts = run.record.attempts if isinstance(run.record, StatusRecord) else ()
    return [attempt for attempt in attempts if attempt.token == token]


def _within_limit(next_memory: str, record: StatusRecord, campaign: Campaign) -> str | None:
    """The size to go on with after a memory kill, if the campaign allows one larger than what was not enough."""
    ceiling = campaign.resources.max_memory
    asked = (record.attempt.memory if record.attempt else None) or campaign.resources.memory
    candidates = [size for size in (next_memory, ceiling, campaign.resources.memory) if size]
    limit = max(_kilobytes(ceiling or "0kb"), _kilobytes(campaign.resources.memory))
    return next((size for size in candidates if _kilobytes(asked) < _kilobytes(size) <= limit), None)


def _failure(experiment: Experiment, ending: Ending, reason: str) -> Decision:
    retry = f"kd-hpc retry {experiment.label}"
    remedy = ending.remedy if retry in ending.remedy else f"{ending.remedy} To try again: {retry}".strip()
    return Decision(experiment, Action.FAIL, reason, remedy=remedy, ending=ending)


def _kilobytes(size: str) -> int:
    return in_kilobytes(size) or 0
