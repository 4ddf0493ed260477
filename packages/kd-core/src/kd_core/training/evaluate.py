"""How good a network is on the test images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy

from kd_core.data.loaders import Batch
from kd_core.networks.base import Network


class Score(NamedTuple):
    """Mean cross-entropy over all images, and accuracy in percent."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(model: Network, batches: Iterable[Batch], dtype: torch.dtype) -> Score:
    """The score of `model`, in eval mode during the call, building no graph."""
    was_training = model.training
    model.eval()
    loss, correct, count = 0.0, 0, 0
    for images, labels, _ in batches:
        with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
            logits = model(images).logits
        loss += float(cross_entropy(logits.float(), labels, reduction="sum"))
        correct += int((logits.argmax(dim=1) == labels).sum())
        count += len(labels)
    model.train(was_training)
    return Score(loss / count, 100 * correct / count)
