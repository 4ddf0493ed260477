"""Decoupled knowledge distillation, "DKD" (Zhao et al. 2022, arXiv:2203.08679, equation 7 and algorithm 1).

The divergence of logit distillation is split at the label y of each item:

    target  T^2 * KL( (t_y, 1 - t_y) || (s_y, 1 - s_y) )             t, s: softmax of the logits / T
    others  T^2 * KL( t' || s' )                                     t', s': softmax over the classes other than y

Logit distillation is target + (1 - t_y) * others: a teacher that is sure of the label hides what it knows of the other
classes. Here both have weights of their own. As in the authors' code, both grow in a straight line over the first 20
epochs, counted from 1; a run with fewer never sees them whole.

That code (mdistiller) hides the label's class by subtracting 1000 from its logit, which float16 and large logits may
undo; here that class is left out of the sum; ours equals it otherwise (docs/agreement.md). The divergence of two pairs
is a small difference of large parts, so float32 logits are compared in float64.

Shapes: B images, K classes.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor

from kd_core.methods.base import Method, require_comparable
from kd_core.methods.logit import require_temperature
from kd_core.networks.base import Outputs, Widths
from kd_hpc.errors import UsageError

WARM_UP = 20
"""Epochs over which both terms grow to their weight."""


def decoupled_losses(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The target's and the other classes' divergence, mean over the batch.

    Logits (B, K), any floating dtype, K >= 2; labels (B,) int64. Returns two float32 scalars >= 0. Raises ShapeMismatch
    for other shapes, UsageError for a temperature that is not positive and finite, or for one class.
    """
    require_temperature("dkd", temperature)
    require_comparable("decoupled_losses", student, teacher, axes="BK", same="BK")
    if student.shape[1] < 2:
        raise UsageError("dkd needs other classes than the label's.", remedy="Take data of at least 2 classes.")
    with torch.autocast(student.device.type, enabled=False):
        is_label = labels.unsqueeze(1) == torch.arange(student.shape[1], device=labels.device)
        of_label, among_others = zip(
            *(_split(logits.float().double() / temperature, is_label) for logits in (student, teacher.detach())),
            strict=True,
        )
        target, others = _divergence(*of_label), _divergence(*among_others)
        return (temperature**2 * target).float(), (temperature**2 * others).float()


def _split(logits: Tensor, is_label: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of (p_y, 1 - p_y), (B, 2), and of the probabilities among the other classes, (B, K), 0 at y."""
    whole = torch.logsumexp(logits, 1, keepdim=True)
    without = logits.masked_fill(is_label, -torch.inf)
    rest = torch.logsumexp(without, 1, keepdim=True)
    label = logits.masked_fill(~is_label, 0.0).sum(1, keepdim=True)
    others = (logits - rest).masked_fill(is_label, -torch.inf)
    return torch.cat([label - whole, rest - whole], 1), others


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of logarithms (B, n), mean over the batch; what both call impossible counts nothing."""
    impossible = torch.isneginf(teacher)
    return (teacher.exp() * (teacher - student).masked_fill(impossible, 0.0)).sum(1).mean()


class DKD(Method):
    name: ClassVar[str] = "dkd"
    definition: ClassVar[str] = (
        "T^2 * KL(teacher || student); target: of the label against all other classes; others: among those; both grow "
        f"from 0 over the first {WARM_UP} epochs"
    )
    source: ClassVar[str] = "Zhao et al. 2022, arXiv:2203.08679, equation 7; weights of its ResNet pairs on CIFAR-100"
    asks: ClassVar[tuple[str, ...]] = ("labels", "epoch")

    def __init__(self, temperature: float) -> None:
        super().__init__()
        require_temperature("dkd", temperature)
        self.temperature = temperature

    @classmethod
    def build(cls, *, student: Widths, teacher: Widths, temperature: float) -> Self:
        return cls(temperature)

    def terms(self, student: Outputs, teacher: Outputs, *, labels: Tensor, epoch: Tensor) -> dict[str, Tensor]:
        target, others = decoupled_losses(student.logits, teacher.logits, labels, self.temperature)
        share = ((epoch.float() + 1) / WARM_UP).clamp(max=1)
        return {"target": share * target, "others": share * others}


METHOD = DKD
