"""The control arm "shuffled": each item gets the teacher's logits of another item of its class in the batch.

What a student then learns is what the teacher says of classes, without what it says of items: label smoothing class by
class. Who gets whose is drawn on the device from seed, epoch and the items' indices alone, so that it is the same after
a resume, in a recorded step and beside other students. Shapes: B images, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kd_core.data.loaders import Batch
from kd_core.networks.base import Outputs
from kd_core.runtime.determinism import seed_of

_MASK = 2**31 - 1
_ROUNDS = (0x2C1B3C6D, 0x297A2D39, 0x5A4E9B17)
"""Odd, so that a product modulo 2**31 can be undone: no two items ever draw the same number."""


class ShuffledTargets:
    """Targets of one run; `begin_epoch` comes before an epoch's first batch."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed_of("shuffled", seed) & _MASK
        self._epoch = torch.zeros((), dtype=torch.int64, device=device)

    def begin_epoch(self, epoch: int) -> None:
        """Kept on the device: a recorded step reads it there."""
        self._epoch.fill_(epoch)

    def __call__(self, teacher: Outputs, batch: Batch) -> Outputs:
        """The teacher's outputs with its logits (B, K) permuted among the items of each class."""
        lots = _scrambled(batch.indices ^ _scrambled(self._epoch ^ self._seed))
        whose = within_classes(batch.labels, batch.indices, lots)
        return teacher._replace(logits=teacher.logits.index_select(0, whose))


def within_classes(labels: Tensor, indices: Tensor, lots: Tensor) -> Tensor:
    """For each of B items the place of the item of its class whose lot it drew; all (B,) int64.

    It depends on which items there are, not on their order: in each class the item with the n-th index gets the one
    with the n-th lot.
    """
    by_index, by_lot = _sorted_by(labels, indices), _sorted_by(labels, lots)
    return by_lot.index_select(0, by_index.argsort())


def _sorted_by(labels: Tensor, numbers: Tensor) -> Tensor:
    """The places of the items in the order of label, then number."""
    order = numbers.argsort(stable=True)
    return order.index_select(0, labels.index_select(0, order).argsort(stable=True))


def _scrambled(numbers: Tensor) -> Tensor:
    """A number below 2**31 for each, far from those of its neighbours; different ones stay different."""
    for factor in _ROUNDS:
        numbers = (numbers ^ (numbers >> 15)) * factor & _MASK
    return numbers ^ (numbers >> 15)
