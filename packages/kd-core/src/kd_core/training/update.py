"""One optimizer step, whatever the arithmetic: scale, differentiate, skip what is not finite, count the skips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from kd_core.training.gradient_watchdog import GradientWatchdog, non_finite
from kd_core.training.optimizer import SGD
from kd_hpc.errors import TrainingError
from kd_hpc.recipe import Recipe


class Updater:
    """Optimizer, gradient scaler (float16 only) and watchdog of one set of parameters, each with its name."""

    def __init__(
        self, parameters: Iterable[tuple[str, Tensor]], recipe: Recipe, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.parameters = dict(parameters)
        self.optimizer = SGD(
            self.parameters.values(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.scaler = torch.amp.GradScaler(device.type) if dtype == torch.float16 else None
        self.watchdog = GradientWatchdog(recipe.watchdog_skips, device)

    @property
    def scale(self) -> float:
        """What the loss is multiplied by before it is differentiated; reading it waits for the device."""
        return self.scaler.get_scale() if self.scaler else 1.0

    def apply(self, loss: Tensor) -> None:
        """One step downhill, or none where a gradient is not finite; the host reads nothing, so nothing waits.

        Raises TrainingError for a parameter that the loss does not depend on.
        """
        self.optimizer.zero_grad()
        torch.autograd.backward(loss if self.scaler is None else self.scaler.scale(loss))
        self._require_use()
        if self.scaler is None:
            self.optimizer.found_inf = non_finite(self.optimizer.gradients)
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)  # type: ignore[arg-type] # it asks for the protocol, not the class
            self.scaler.update()
        self.watchdog.saw(self.optimizer.skipped)

    def require_health(self, culprits: Callable[[], list[str]]) -> None:
        """After each step: count it on the host. Raises WatchdogStop, naming `culprits()`, if too many were skipped."""
        self.watchdog.step += 1
        if self.watchdog.has_tripped:
            raise self.watchdog.too_many_skipped(culprits())

    def _require_use(self) -> None:
        if unused := [name for name, parameter in self.parameters.items() if parameter.grad is None]:
            raise TrainingError(
                f"The loss does not depend on {', '.join(unused[:3])}{' and others' if unused[3:] else ''}, "
                "which would never be trained.",
                remedy="Use it in the network's forward or the method's terms, or leave it out.",
            )

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything `apply` changes on the device, by name; a scaler's only after its first step."""
        scaler = (
            {"scale": self.scaler._scale, "growth of the scale": self.scaler._growth_tracker} if self.scaler else {}
        )
        velocity = zip(self.parameters, self.optimizer.velocity, strict=True)
        return {
            **{name: parameter.detach() for name, parameter in self.parameters.items()},
            **{f"velocity of {name}": value for name, value in velocity},
            **{name: tensor for name, tensor in scaler.items() if tensor is not None},
            **self.watchdog.tensors,
        }

    def renew_scaler(self) -> None:
        """Forget a step that broke off between the scaler's parts; the scale stays."""
        self.optimizer.forget_step()
        if self.scaler:
            state = self.scaler.state_dict()
            self.scaler = torch.amp.GradScaler(self.optimizer.velocity[0].device.type)
            self.scaler.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else {},
            "watchdog": self.watchdog.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], first: int | None = None) -> None:
        """`first`: only so many parameters, the first, are the same ones; the others begin at rest."""
        self.optimizer.load_state_dict(state["optimizer"], first)
        if self.scaler:
            self.scaler.load_state_dict(state["scaler"])
        self.watchdog.load_state_dict(state["watchdog"])
