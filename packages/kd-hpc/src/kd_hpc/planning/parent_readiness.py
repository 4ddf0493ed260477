"""May this fork begin? Only from a checkpoint that its parent has kept; once it has one of its own, at any time."""

from __future__ import annotations

from kd_hpc.planning.decision import Action, Decision
from kd_hpc.planning.situation import RunView, Situation
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Unreadable


def parent_obstacle(situation: Situation, run: RunView) -> Decision | None:
    """Why a fork cannot begin yet, or at all; None for one that can, or has begun, and for what is no fork."""
    parent = run.experiment.parent
    if parent is None or (isinstance(run.record, StatusRecord) and run.record.epoch):
        return None
    view = situation.by_run.get(parent)
    record, label = view.record if view else None, parent.label
    if isinstance(record, Unreadable):
        why = f"the record of its parent {label} is unreadable"
        return Decision(run.experiment, Action.BLOCK, why, remedy=f"kd-hpc why {label}")
    if record is None or record.epoch < run.experiment.first_epoch:
        return _too_early(run, record, label)
    if run.parent_problem:
        why = f"it cannot begin: {run.parent_problem}"
        remedy = f"Put that file back from a copy, or train the parent again: kd-hpc retry --anew {label}"
        return Decision(run.experiment, Action.BLOCK, why, remedy=remedy)
    return None


def _too_early(run: RunView, record: StatusRecord | None, label: str) -> Decision:
    state = record.state if record else State.NOT_STARTED
    if record and state.is_final:
        why = f"its parent {label} is {state}: {record.reason or 'no reason on record'}"
        return Decision(run.experiment, Action.BLOCK, why, remedy=record.remedy or f"kd-hpc why {label}")
    reached = f"{state}, epoch {record.epoch}" if record and record.epoch else str(state)
    why = f"its parent {label} has not finished epoch {run.experiment.first_epoch} yet ({reached})"
    return Decision(run.experiment, Action.WAIT, why)
