"""Weight files: `{'weights': state_dict}`, today's and those of the earlier rounds."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.torchfile import publish_torch
from kd_core.networks import build
from kd_core.networks.base import Network
from kd_core.runtime.device import place
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import CheckpointError
from kd_hpc.experiment import Experiment


def save_weights(path: Path, state: Mapping[str, Any]) -> None:
    """Publish `state` for any machine: on the CPU, in the ordinary memory layout."""
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    publish_torch(path, {"weights": weights})


def load_network(content: bytes, path: Path, experiment: Experiment, device: torch.device) -> Network:
    """The network of `experiment` with the weights in `content`, read from `path`. Raises CheckpointError."""
    model = build(experiment.student, DATASETS[experiment.dataset].classes)
    try:
        model.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)["weights"])
    except (RuntimeError, EOFError, KeyError, ValueError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} does not hold the weights of a {experiment.student}: {reason}", remedy="Train that run again."
        ) from None
    return place(model, device)
