"""Stochastic gradient descent with momentum: torch's own arithmetic, without its class.

The first use of any `torch.optim.Optimizer` imports the compiler stack, 3 seconds for every process of a campaign.
The function behind the class does not, and it can be told on the device whether to skip an update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd


class SGD:
    """w <- w - lr * v with v <- momentum * v + g + weight_decay * w, in place and fused.

    `found_inf` (a scalar on the device) skips the update where it is not 0; `grad_scale` divides the gradients.
    torch.amp.GradScaler knows optimizers of this kind by `_step_supports_amp_scaling`: it sets both attributes before
    a step and deletes them after it. `skipped` remembers the last step's `found_inf`.
    """

    _step_supports_amp_scaling = True
    grad_scale: Tensor
    found_inf: Tensor
    skipped: Tensor

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, momentum: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.momentum, self.weight_decay = momentum, weight_decay
        self.velocity = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._rate = torch.zeros((), device=self.parameters[0].device)
        self.lr = lr

    @property
    def lr(self) -> float:
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        """Kept on the device, too: a recorded step reads it there."""
        self._lr = lr
        self._rate.fill_(lr)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": self.parameters}]

    @property
    def gradients(self) -> list[Tensor]:
        """One for each parameter; the caller has made sure of that."""
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        self.skipped = self.found_inf
        sgd(
            self.parameters,
            self.gradients,
            self.velocity,  # type: ignore[arg-type] # zeros stand for "not yet", and give the same first step
            fused=True,
            grad_scale=getattr(self, "grad_scale", None),
            found_inf=self.found_inf,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=self._rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def forget_step(self) -> None:
        """Forget what a scaler left for a step that then broke off: the next one would divide by its scale twice."""
        for name in ("grad_scale", "found_inf"):
            vars(self).pop(name, None)

    def state_dict(self) -> dict[str, Any]:
        return {"velocity": self.velocity}

    def load_state_dict(self, state: Mapping[str, Any], first: int | None = None) -> None:
        """Of all parameters, or of so many of the `first` ones, which both have."""
        for mine, saved in zip(self.velocity[:first], state["velocity"][:first], strict=True):
            mine.copy_(saved)
