"""Where a fork begins: with the checkpoint that its parent kept after an epoch."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from kd_core.artifacts.torchfile import parse_torch
from kd_hpc.disk.files import MOST_BYTES, read_regular
from kd_hpc.errors import Damaged, UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.records import FileDigest
from kd_hpc.store import CHECKPOINT, Store, kept_checkpoint


class Beginning(NamedTuple):
    """A parent's state after `epoch`, and what the record of its fork says of it."""

    parent: Experiment
    epoch: int
    state: dict[str, Any]
    sha256: str

    @property
    def provenance(self) -> dict[str, Any]:
        return {"run": self.parent.label, "epoch": self.epoch, "sha256": self.sha256}


def beginning_of(store: Store, run: Experiment, data_sha256: str, device: torch.device) -> Beginning | None:
    """None for a run that is no fork, or that has a checkpoint of its own to go on from.

    Writes nothing. Raises UsageError where the parent's checkpoint is gone, damaged, or of another run or data set.
    """
    parent = run.parent
    if parent is None or (store.directory(run) / CHECKPOINT).exists():
        return None
    path = store.directory(parent) / kept_checkpoint(run.first_epoch)
    again = f"Put it back from a copy, or train {parent.label} with --checkpoint-epoch {run.first_epoch}."
    try:
        content = read_regular(path, MOST_BYTES)
        state: dict[str, Any] = parse_torch(content, device)
        found = (state["identity"]["experiment"], state["identity"]["data_sha256"], state["epoch"])
    except FileNotFoundError:
        raise UsageError(f"{run.label} cannot begin: {path} is gone.", remedy=again) from None
    except (OSError, Damaged, LookupError, TypeError) as error:
        raise UsageError(f"{run.label} cannot begin: {path}: {error}.", remedy=again) from None
    if found != (parent.label, data_sha256, run.first_epoch):
        raise UsageError(f"{run.label} cannot begin: {path} is of {found[0]}, epoch {found[2]}.", remedy=again)
    return Beginning(parent, run.first_epoch, state, FileDigest.of(content).sha256)
