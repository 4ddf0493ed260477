"""Logit distillation, "KD" (Hinton, Vinyals, Dean 2015, arXiv:1503.02531: soft targets, and the factor T^2).

    L = T^2 * (1/B) sum_b KL( softmax(t_b / T) || softmax(s_b / T) )

The mean is over the batch: over batch and classes it would be a hundred times weaker on CIFAR-100. It equals
RepDistiller's, mdistiller's and Zagoruyko's (docs/agreement.md); torchdistill leaves T^2 out where it is used without
cross-entropy. Hinton writes a cross-entropy with soft targets; the divergence differs from it by the teacher's entropy,
which has no gradient, and is zero when the two agree. Not to be confused with matching raw logits by squared error (Ba
& Caruana 2014), which sees the constant that a softmax cannot see, nor with label smoothing.

Shapes: B images, K classes.
"""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional

from kd_core.methods.base import Method, require_comparable
from kd_core.networks.base import Outputs, Widths
from kd_hpc.errors import UsageError


def logit_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 times the divergence of the student's from the teacher's softened classes, mean over the batch.

    Both (B, K), any floating dtype; returns a float32 scalar >= 0, zero where both softmaxes agree.
    Raises ShapeMismatch for other shapes, UsageError for a temperature that is not positive and finite.
    """
    require_temperature("logit", temperature)
    require_comparable("logit_loss", student_logits, teacher_logits, axes="BK", same="BK")
    with torch.autocast(student_logits.device.type, enabled=False):
        student = functional.log_softmax(student_logits.float() / temperature, dim=1)
        teacher = functional.log_softmax(teacher_logits.detach().float() / temperature, dim=1)
        return temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def require_temperature(method: str, temperature: float) -> None:
    """Raise UsageError unless logits can be divided by it."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise UsageError(f"{method} cannot soften with temperature {temperature}.", remedy="Use a positive one, as 4.")


class Logit(Method):
    name: ClassVar[str] = "logit"
    definition: ClassVar[str] = "kl: T^2 * KL(softmax(teacher / T) || softmax(student / T)), batch mean"
    source: ClassVar[str] = "Hinton, Vinyals, Dean 2015, arXiv:1503.02531, soft targets"

    def __init__(self, temperature: float) -> None:
        super().__init__()
        require_temperature("logit", temperature)
        self.temperature = temperature

    @classmethod
    def build(cls, *, student: Widths, teacher: Widths, temperature: float) -> Self:
        return cls(temperature)

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        return {"kl": logit_loss(student.logits, teacher.logits, self.temperature)}


METHOD = Logit
