"""metrics.json: the curves of a run, one entry for each finished epoch."""

from __future__ import annotations

import json
from typing import Any

from kd_hpc.disk.sealed import seal_object
from kd_hpc.fence import Fence
from kd_hpc.store import METRICS

_PLAIN = ("train_loss", "train_acc", "test_loss", "test_acc", "lr", "seconds", "students", "skipped_steps")
_VALIDATION = ("validation_loss", "validation_acc")
_GROUPED = ("terms", "gradient_norms")


class Curves:
    """Accuracies in percent, losses as means over the epoch, seconds of the clock; one more list for each loss term.

    `students` counts those that an epoch trained side by side: its seconds are of all of them together. The curves of
    the test images are there in any case; those of validation images only where some are held out, and then they, and
    not the test images', decide which epoch is best.
    """

    def __init__(self, saved: dict[str, Any] | None = None) -> None:
        self.data: dict[str, Any] = {
            **{name: [] for name in _PLAIN},
            **{name: {} for name in _GROUPED},
            **(saved or {}),
        }
        missing = self.epochs - len(self.data["students"])  # an earlier version trained one at a time
        self.data["students"] = [*(1 for _ in range(missing)), *self.data["students"]]

    def append(self, **epoch: Any) -> None:
        """Add one epoch; every plain curve must get its value. A term that an epoch does not have is None there."""
        before = self.epochs
        for name in _PLAIN:
            self.data[name].append(epoch[name])
        for name in _VALIDATION:
            if name in epoch:
                self.data.setdefault(name, []).append(epoch[name])
        for group in _GROUPED:
            for term in {**self.data[group], **epoch[group]}:
                values = self.data[group].setdefault(term, [None] * before)
                values.append(epoch[group].get(term))

    @property
    def choosing(self) -> list[float]:
        """The accuracy that says which epoch is the best."""
        return list(self.data.get("validation_acc") or self.data["test_acc"])

    @property
    def epochs(self) -> int:
        return len(self.data["test_acc"])

    def publish(self, fence: Fence) -> None:
        """Write metrics.json into the run directory. Raises StoreError, Superseded."""
        fence.publish(fence.directory / METRICS, json.dumps(seal_object(self.data), indent=1).encode())
