"""Which checkpoints of a run there are, and looking at one without owning the run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.checkpoint import previous
from kd_core.artifacts.torchfile import read_torch
from kd_hpc.errors import CheckpointError, Damaged
from kd_hpc.experiment import Experiment
from kd_hpc.records import StatusRecord
from kd_hpc.store import CHECKPOINT, Store, kept_checkpoint

_KEPT = re.compile(kept_checkpoint(0).replace(".", r"\.").replace("0", "([0-9]+)"))


def checkpoints(store: Store, run: Experiment, record: StatusRecord) -> dict[int, Path]:
    """The run's checkpoint after each epoch that has one; a fork's first one is its parent's."""
    directory = store.directory(run)
    found = {record.epoch: directory / CHECKPOINT, record.epoch - 1: previous(directory / CHECKPOINT)}
    kept = {int(match[1]): path for path in directory.glob("*.pth") if (match := _KEPT.fullmatch(path.name))}
    if run.parent:
        kept[run.first_epoch] = store.directory(run.parent) / kept_checkpoint(run.first_epoch)
    return {epoch: path for epoch, path in (found | kept).items() if path.is_file()}


def look_at(path: Path, epoch: int) -> dict[str, Any]:
    """The checkpoint at `path`, on the CPU, which must be of `epoch`. Raises CheckpointError; writes nothing."""
    try:
        content = read_torch(path, torch.device("cpu"))
        if content["epoch"] == epoch and isinstance(content["identity"], dict):
            return dict(content)
        reason = f"it is of epoch {content['epoch']}, not {epoch}"
    except (OSError, Damaged, LookupError, TypeError) as error:
        reason = str(error)
    raise CheckpointError(f"{path} cannot be used: {reason}.", remedy="Put it back from a copy.") from None
