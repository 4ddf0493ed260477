"""representations.npz: what a network makes of every test image."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kd_core.data.loaders import Batch
from kd_core.networks.base import Network
from kd_hpc.disk.sealed import seal_archive
from kd_hpc.fence import Fence

REPRESENTATIONS_BEST = "representations_best.npz"


def at_epoch(epoch: int) -> str:
    """The file that keeps the representations after `epoch` finished epochs."""
    return f"representations_epoch_{epoch}.npz"


@torch.no_grad()
def extract(model: Network, batches: Iterable[Batch]) -> dict[str, NDArray[np.generic]]:
    """Per test image, in the data set's order: layer1 (N, 16), layer2 (N, 32), layer3 (N, 64), averaged over space, and
    logits (N, K), all computed in float32; labels (N,) and item_index (N,) as int64.
    """
    was_training = model.training
    model.eval()
    parts: dict[str, list[torch.Tensor]] = {}
    for images, labels, _ in batches:
        outputs = model(images)
        found = {"layer1": outputs.layer1, "layer2": outputs.layer2, "layer3": outputs.layer3}
        pooled = {name: features.mean(dim=(2, 3)) for name, features in found.items()}
        for name, values in {**pooled, "logits": outputs.logits, "labels": labels}.items():
            parts.setdefault(name, []).append(values.cpu())
    model.train(was_training)
    arrays = {name: torch.cat(values).numpy() for name, values in parts.items()}
    return {**arrays, "item_index": np.arange(len(arrays["labels"]), dtype=np.int64)}


def save_representations(fence: Fence, path: Path, arrays: dict[str, Any]) -> None:
    """Publish `arrays`. Raises StoreError, Superseded."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    fence.publish(path, seal_archive(buffer.getvalue()))
