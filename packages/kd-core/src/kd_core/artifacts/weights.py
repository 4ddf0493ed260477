"""Weight files: `{'weights': state_dict}`, today's and those of the earlier rounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.remedies import train_it
from kd_core.artifacts.torchfile import parse_torch, to_bytes
from kd_core.networks import build
from kd_core.networks.base import Network
from kd_core.runtime.device import place
from kd_hpc.disk.sealed import read_archive
from kd_hpc.errors import CheckpointError, Damaged
from kd_hpc.experiment import Experiment
from kd_hpc.fence import Fence
from kd_hpc.records import FileDigest, StatusRecord
from kd_hpc.store import Store


def save_weights(fence: Fence, path: Path, state: Mapping[str, Any], **more: Any) -> None:
    """Publish `state`, and `more` of what it is, for any machine: on the CPU, in the ordinary memory layout."""
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    fence.publish(path, to_bytes({"weights": weights, **more}))


def read_weights(store: Store, experiment: Experiment, file: str) -> bytes:
    """The weight file called `file` of a run, which is the one that the run's own record names if it names one.

    Raises CheckpointError.
    """
    path = store.directory(experiment) / file
    again = train_it(store, experiment)
    try:
        content = read_archive(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist.", remedy=again) from None
    except Damaged as error:
        raise CheckpointError(f"{path} cannot be used: {error.what}.", remedy=again) from None
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}.", remedy="Mend that, then try again."
        ) from None
    record = store.read(experiment)
    known = record.files.get(file) if isinstance(record, StatusRecord) and record.is_done else None
    if known and known != FileDigest.of(content):
        raise CheckpointError(f"{path} is not the file that its run left behind.", remedy=again)
    return content


def load_network(
    content: bytes, path: Path, experiment: Experiment, classes: int, device: torch.device, again: str
) -> Network:
    """The network of `experiment` with the weights in `content`, read from `path`.

    Raises CheckpointError; `again` says how to get others.
    """
    model = build(experiment.student, classes)
    try:
        model.load_state_dict(parse_torch(content, torch.device("cpu"))["weights"])
    except (Damaged, RuntimeError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} does not hold the weights of a {experiment.student}: {reason}.", remedy=again
        ) from None
    return place(model, device)
