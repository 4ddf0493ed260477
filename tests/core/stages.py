"""First stages in the test's own process, on a few of the digits; and a disk that refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from kd_core.data.images import Split, load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.teacher.frozen import Frozen
from kd_core.teacher.load import Teacher
from kd_core.training.first_stage import TeachersStage
from kd_hpc import fence
from kd_hpc.recipe import Recipe

CPU = torch.device("cpu")


def few(teacher: Path, augment: str = "auto") -> Loader:
    """An epoch of 64, 64 and 32 images."""
    whole = load_dataset(teacher / "data", "Digits")
    train, test = (Split(split.images[:160], split.labels[:160]) for split in (whole.train, whole.test))
    shorter = whole._replace(train=train, test=test)
    return make_loader("device", shorter, seed=0, batch_size=64, augment=augment, device=CPU)


@contextmanager
def stage(teacher: Path, frozen: Frozen, at: Path, told: list[float]) -> Iterator[TeachersStage]:
    recipe = Recipe(batch_size=64, paraphraser_epochs=3)
    at.mkdir(exist_ok=True)
    with fence.opened(at) as mine:
        yield TeachersStage(
            Teacher(frozen, "best.pth", "0" * 64), recipe, few(teacher), CPU, 0, fence=mine, shared=at,
            on_epoch=lambda name, finished, loss: told.append(loss),
        )  # fmt: skip


def remember(module: nn.Module, into: list[Tensor]) -> nn.Module:
    into += [parameter.detach().clone() for parameter in module.parameters()]
    return module


def no_permission(path: Path, *words: object) -> bytes:
    """In the place of reading a file: what root never meets."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
