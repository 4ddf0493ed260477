"""The training loop: k students, one teacher, the same batches. k = 1 is the ordinary case."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from kd_core.data.loaders import Loader
from kd_core.training.evaluate import evaluate
from kd_core.training.step import Step, guarded
from kd_core.training.student import Student
from kd_hpc.errors import KdError

OnEpoch = Callable[[Student, bool], None]
"""Called with a student after each epoch it finished, and whether its weights are the best so far."""
OnFailure = Callable[[Student, KdError], None]
"""Called once with a student that failed, and why, before the others take another step."""


def train(
    students: Sequence[Student],
    step: Step,
    loader: Loader,
    on_epoch: OnEpoch,
    on_failure: OnFailure = lambda student, error: None,
) -> None:
    """Train every student to its last epoch, or to its own failure, which stays in its `failure` and stops no other.

    Students killed together may resume one epoch apart; those behind go first until all are level.
    """
    while unfinished := [student for student in _live(students) if student.epoch < student.recipe.epochs]:
        epoch = min(student.epoch for student in unfinished)
        level = [student for student in unfinished if student.epoch == epoch]
        train_epoch(level, step, loader, epoch, on_epoch, on_failure)


def train_epoch(
    students: Sequence[Student], step: Step, loader: Loader, epoch: int, on_epoch: OnEpoch, on_failure: OnFailure
) -> None:
    """One pass over the training images, one over the test images, for students that are at the same epoch."""
    start = time.perf_counter()
    for student in students:
        student.begin_epoch()
    for inputs in loader.draw(epoch):
        live = _live(students)
        if not live:
            return
        step(live, inputs)
        _tell(live, on_failure)
    for student in _live(students):
        guarded(student, lambda student: on_epoch(student, _finish(student, loader, start, len(students))))
        _tell([student], on_failure)


def _finish(student: Student, loader: Loader, start: float, side_by_side: int) -> bool:
    score = evaluate(student.model, loader.test(), student.dtype)
    held_out = loader.validation()
    choosing = evaluate(student.model, held_out, student.dtype) if held_out else None
    return student.end_epoch(score, time.perf_counter() - start, side_by_side, validation=choosing)


def _live(students: Iterable[Student]) -> list[Student]:
    return [student for student in students if student.failure is None]


def _tell(students: Iterable[Student], on_failure: OnFailure) -> None:
    for student in students:
        if student.failure is not None:
            on_failure(student, student.failure)
