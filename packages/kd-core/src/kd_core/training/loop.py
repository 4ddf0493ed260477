"""The training loop: k students, one teacher, the same batches. k = 1 is the ordinary case."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from kd_core.data.loaders import Loader
from kd_core.training.evaluate import evaluate
from kd_core.training.step import Step, guarded
from kd_core.training.student import Lane

OnEpoch = Callable[[Lane, bool], None]
"""Called with a lane after each epoch it finished, and whether its weights are the best so far."""
OnFailure = Callable[[Lane], None]
"""Called once with a lane that failed, before the others take another step."""


def train(
    lanes: Sequence[Lane],
    step: Step,
    loader: Loader,
    on_epoch: OnEpoch,
    on_failure: OnFailure = lambda lane: None,
) -> None:
    """Train every lane to its last epoch, or to its own failure, which stays in `lane.failure` and stops no other.

    Lanes killed together may resume one epoch apart; those behind go first until all are level.
    """
    while unfinished := [lane for lane in _live(lanes) if lane.epoch < lane.recipe.epochs]:
        epoch = min(lane.epoch for lane in unfinished)
        level = [lane for lane in unfinished if lane.epoch == epoch]
        train_epoch(level, step, loader, epoch, on_epoch, on_failure)


def train_epoch(
    lanes: Sequence[Lane], step: Step, loader: Loader, epoch: int, on_epoch: OnEpoch, on_failure: OnFailure
) -> None:
    """One pass over the training images, one over the test images, for lanes that are at the same epoch."""
    start = time.perf_counter()
    for lane in lanes:
        lane.begin_epoch()
    for inputs in loader.draw(epoch):
        live = _live(lanes)
        if not live:
            return
        step(live, inputs)
        _tell(live, on_failure)
    for lane in _live(lanes):
        guarded(lane, lambda lane: on_epoch(lane, _finish(lane, loader, start, len(lanes))))
        _tell([lane], on_failure)


def _finish(lane: Lane, loader: Loader, start: float, students: int) -> bool:
    score = evaluate(lane.model, loader.test(), lane.dtype)
    return lane.end_epoch(score, time.perf_counter() - start, students)


def _live(lanes: Iterable[Lane]) -> list[Lane]:
    return [lane for lane in lanes if lane.failure is None]


def _tell(lanes: Iterable[Lane], on_failure: OnFailure) -> None:
    for lane in lanes:
        if lane.failure is not None:
            on_failure(lane)
