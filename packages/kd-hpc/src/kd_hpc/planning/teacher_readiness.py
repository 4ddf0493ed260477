"""May this student start? Only behind its own teacher: same data set, same seed, completed, weights that load."""

from __future__ import annotations

from typing import NamedTuple

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action, Decision
from kd_hpc.planning.situation import RunView, Situation
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import BEST, Unreadable


class Readiness(NamedTuple):
    """Ready, with the teacher's SHA-256 (None for a pure run), or not, with the decision that says why."""

    sha256: str | None = None
    decision: Decision | None = None


def teacher_readiness(situation: Situation, student: RunView) -> Readiness:
    teacher_run = student.experiment.teacher_run
    if teacher_run is None:
        return Readiness()
    teacher = situation.by_run.get(teacher_run)
    if obstacle := _unfinished(student.experiment, teacher_run, teacher):
        return Readiness(decision=obstacle)
    assert teacher is not None, "a completed teacher was looked at"
    if obstacle := _of_another_recipe(situation, student.experiment, teacher):
        return Readiness(decision=obstacle)
    return _weights(student, teacher)


def _unfinished(student: Experiment, teacher_run: Experiment, teacher: RunView | None) -> Decision | None:
    record, label = teacher.record if teacher else None, teacher_run.label
    if isinstance(record, Unreadable):
        why = f"the record of its teacher {label} is unreadable"
        return Decision(student, Action.BLOCK, why, remedy=f"kd-hpc why {label}")
    state = record.state if record else State.NOT_STARTED
    if state == State.COMPLETED:
        return None
    if record and state.is_final:
        why = f"its teacher {label} is {state}: {record.reason or 'no reason on record'}"
        return Decision(student, Action.BLOCK, why, remedy=record.remedy or f"kd-hpc why {label}")
    how_far = f", epoch {record.epoch} of {record.epochs}" if record and record.epochs else ""
    return Decision(student, Action.WAIT, f"its teacher {label} is not completed yet ({state}{how_far})")


def _of_another_recipe(situation: Situation, student: Experiment, teacher: RunView) -> Decision | None:
    recorded = teacher.record.recipe if isinstance(teacher.record, StatusRecord) else {}
    recipe = situation.campaign.recipe_for(teacher.experiment)
    if differs := recipe.differences(recorded, teacher.experiment.method):
        label = teacher.experiment.label
        why = f"its teacher {label} was trained with another recipe ({differs})"
        return Decision(student, Action.BLOCK, why, remedy=f"kd-hpc why {label}")
    return None


def _weights(student: RunView, teacher: RunView) -> Readiness:
    label, weights = teacher.experiment.label, teacher.weights
    if weights is None or weights.problem:
        problem = weights.problem if weights else "nobody looked"
        return Readiness(
            decision=Decision(
                student.experiment,
                Action.BLOCK,
                f"{BEST} of its teacher {label} cannot be used: {problem}",
                remedy=f"Put that file back from a copy, or train the teacher again: kd-hpc retry --anew {label}",
            )
        )
    record = student.record
    if isinstance(record, StatusRecord) and record.progress and record.teacher_sha256 not in (None, weights.sha256):
        return Readiness(
            decision=Decision(
                student.experiment,
                Action.BLOCK,
                f"it learned {record.progress} epochs from another teacher ({record.teacher_sha256:.12}) than the "
                f"{BEST} that {label} has now ({weights.sha256:.12})",
                remedy=f"Put that teacher back, or begin the student again: "
                f"kd-hpc retry --anew {student.experiment.label}",
            )
        )
    return Readiness(sha256=weights.sha256)
