"""The watchdog: counts optimizer steps that were skipped because a gradient was not finite, and ends hopeless runs.

It looks at gradients, not at the loss: under float16 a method can have a finite loss and a gradient of NaN in every
step, and a gradient scaler then skips every update of a run without a word.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kd_hpc.errors import WatchdogStop

REMEDY = "Train with --amp-dtype float32, or lower --lr or that term's weight; then type kd-hpc retry."


class GradientWatchdog:
    """Counts on the device, without waiting for it and always in the same tensors; `step` counts on the host."""

    def __init__(self, limit: int, device: torch.device) -> None:
        self.limit = limit
        self.step = 0
        self._in_a_row = torch.zeros((), device=device)
        self._longest = torch.zeros((), device=device)
        self._skipped = torch.zeros((), device=device)

    def saw(self, found_inf: Tensor) -> None:
        """Count one optimizer step on the device; `found_inf` is not 0 where it was skipped."""
        skip = (found_inf != 0).float()
        self._in_a_row.add_(skip).mul_(skip)
        torch.maximum(self._longest, self._in_a_row, out=self._longest)
        self._skipped.add_(skip)

    @property
    def has_tripped(self) -> bool:
        """True once `limit` steps in a row were skipped. A GPU is asked only every `limit` steps: the answer waits."""
        if self._skipped.device.type != "cpu" and self.step % self.limit:
            return False
        return bool(self._longest >= self.limit)

    def require_scale(self, scale: float) -> None:
        """Raise WatchdogStop if the gradient scale fell below 1: no finite float16 gradient is left to be had."""
        if scale < 1:
            raise WatchdogStop(
                f"The gradient scale fell to {scale} by step {self.step}: float16 gradients overflow.",
                remedy="Train with --amp-dtype float32, or lower --lr or the method's weight.",
            )

    def too_many_skipped(self, terms: list[str]) -> WatchdogStop:
        """The error that ends the run; `terms` are the loss terms whose gradient is not finite now."""
        return WatchdogStop(
            f"{self.limit} optimizer steps in a row were skipped up to step {self.step}: "
            f"the gradient of {_named(terms)} is not finite.",
            remedy=REMEDY,
        )

    def loss_not_finite(self, terms: list[str]) -> WatchdogStop:
        """The error that ends the run at the end of an epoch; `terms` are the loss terms whose mean is not finite."""
        return WatchdogStop(
            f"The mean loss of the epoch that ended with step {self.step} is not finite: {_named(terms)}.",
            remedy=REMEDY,
        )

    def take_skipped(self) -> int:
        """Skipped steps since the last call."""
        skipped = int(self._skipped)
        self._skipped.zero_()
        return skipped

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {"skips in a row": self._in_a_row, "longest row": self._longest, "skips": self._skipped}

    def state_dict(self) -> dict[str, float]:
        return {"step": self.step, "in_a_row": float(self._in_a_row)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.step = int(state["step"])
        self._in_a_row.fill_(state["in_a_row"])


def _named(terms: list[str]) -> str:
    return f"the term {' and '.join(terms)}" if terms else "the sum of the terms"


def non_finite(gradients: list[Tensor]) -> Tensor:
    """1 where any gradient has a value that is not finite, else 0, as a float scalar on their device.

    A norm of each, but all in a few launches: one launch a gradient would be a tenth of a recorded step.
    """
    norms = torch.stack(torch._foreach_norm(gradients))
    return (~torch.isfinite(norms).all()).float()
