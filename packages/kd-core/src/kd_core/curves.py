"""metrics.json: the curves of a run, one entry for each finished epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kd_hpc.files import publish_text
from kd_hpc.store import METRICS

_PLAIN = ("train_loss", "train_acc", "test_loss", "test_acc", "lr", "seconds", "skipped_steps")
_GROUPED = ("terms", "gradient_norms")


class Curves:
    """Accuracies in percent, losses as means over the epoch, times in seconds; one more list for each loss term."""

    def __init__(self, saved: dict[str, Any] | None = None) -> None:
        self.data: dict[str, Any] = saved or {**{name: [] for name in _PLAIN}, **{name: {} for name in _GROUPED}}

    def append(self, **epoch: Any) -> None:
        """Add one epoch; every curve must get its value."""
        for name in _PLAIN:
            self.data[name].append(epoch[name])
        for group in _GROUPED:
            for term, value in epoch[group].items():
                self.data[group].setdefault(term, []).append(value)

    @property
    def epochs(self) -> int:
        return len(self.data["test_acc"])

    def publish(self, directory: Path) -> None:
        publish_text(directory / METRICS, json.dumps(self.data, indent=1))
