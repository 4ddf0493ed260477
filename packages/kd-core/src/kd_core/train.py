"""The training loop: k students, one teacher, the same batches. k = 1 is the ordinary case."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from kd_core.data.loaders import Loader
from kd_core.evaluate import evaluate
from kd_core.lane import Lane
from kd_core.models import Outputs, ResNet
from kd_hpc.errors import KdError

OnEpoch = Callable[[Lane, bool], None]
"""Called with a lane after each epoch it finished, and whether its weights are the best so far."""


def train(lanes: Sequence[Lane], teacher: ResNet | None, loader: Loader, on_epoch: OnEpoch) -> None:
    """Train every lane to its last epoch, or to its own failure, which stays in `lane.failure` and stops no other.

    Lanes killed together may resume one epoch apart; those behind go first until all are level.
    """
    while unfinished := [lane for lane in lanes if lane.failure is None and lane.epoch < lane.recipe.epochs]:
        epoch = min(lane.epoch for lane in unfinished)
        train_epoch([lane for lane in unfinished if lane.epoch == epoch], teacher, loader, epoch, on_epoch)


def train_epoch(lanes: Sequence[Lane], teacher: ResNet | None, loader: Loader, epoch: int, on_epoch: OnEpoch) -> None:
    """One pass over the training images, one over the test images, for lanes that are at the same epoch."""
    start = time.perf_counter()
    for lane in lanes:
        lane.begin_epoch()
    for batch in loader.train(epoch):
        live = [lane for lane in lanes if lane.failure is None]
        if not live:
            return
        targets = teacher_outputs(teacher, batch.images, live[0].dtype)
        for lane in live:
            _guarded(lane, lambda lane: lane.step(batch, targets))  # noqa: B023 # called before the next batch
    for lane in [lane for lane in lanes if lane.failure is None]:
        _guarded(lane, lambda lane: _finish(lane, loader, start, on_epoch))


@torch.no_grad()
def teacher_outputs(teacher: ResNet | None, images: torch.Tensor, dtype: torch.dtype) -> Outputs | None:
    """What all students of this batch learn from; eval mode is set again each time, for nothing may have undone it."""
    if teacher is None:
        return None
    teacher.eval()
    with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
        outputs: Outputs = teacher(images)
    return outputs


def _finish(lane: Lane, loader: Loader, start: float, on_epoch: OnEpoch) -> None:
    score = evaluate(lane.model, loader.test(), lane.dtype)
    on_epoch(lane, lane.end_epoch(score, time.perf_counter() - start))


def _guarded(lane: Lane, work: Callable[[Lane], None]) -> None:
    try:
        work(lane)
    except KdError as error:
        lane.failure = error
