"""What an epoch adds up: losses and hits, kept on the device, since reading them each step would make the host wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class EpochMeter:
    """Sums over images of named means; always the same tensors, so that a recorded step finds them again."""

    def __init__(self, names: Iterable[str], device: torch.device) -> None:
        self._sums = {name: torch.zeros((), device=device) for name in names}
        self._correct, self._count = torch.zeros((), device=device), torch.zeros((), device=device)

    def clear(self) -> None:
        for value in self.tensors.values():
            value.zero_()

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor], logits: Tensor, labels: Tensor) -> None:
        """Count one batch: mean `values` by name, `logits` (B, K), `labels` (B,)."""
        size = len(labels)
        for name, value in values.items():
            self._sums[name].add_(value, alpha=size)
        self._correct.add_((logits.argmax(dim=1) == labels).sum())
        self._count.add_(size)

    def means(self) -> dict[str, float]:
        """The mean of each value over all images so far, and the share of hits as `correct`; waits for the device."""
        count = float(self._count)
        return {name: float(value) / count for name, value in {**self._sums, "correct": self._correct}.items()}

    @property
    def tensors(self) -> dict[str, Tensor]:
        sums = {f"sum of {name}": value for name, value in self._sums.items()}
        return {**sums, "hits": self._correct, "images": self._count}
