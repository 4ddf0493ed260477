"""Distillation from a stronger teacher, "DIST" (Huang et al. 2022, arXiv:2205.10536, equations 6 to 10).

With Y = softmax(logits / T), (B, K), and r Pearson's correlation:

    inter  T^2 * ( 1 - mean over items of   r( row of Y_student, row of Y_teacher ) )         how an item's classes rank
    intra  T^2 * ( 1 - mean over classes of r( column of Y_student, column of Y_teacher ) )   how a class's items rank

Both ask for the teacher's order and not for its probabilities, so that a much stronger teacher does not ask for what
the student cannot give. The authors' code adds 1e-8 to the product of the lengths, so that a class which nobody in the
batch is likely to have stops counting; here correlation ignores scale as its definition does, and each row or column is
divided by its largest value before anything can underflow. One without direction (all values alike) has correlation 0
and passes no gradient. Intra depends on which items share a batch. Both equal torchdistill's (docs/agreement.md).

Shapes: B images, K classes.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor

from kd_core.methods.base import Method, require_comparable, unit
from kd_core.methods.logit import require_temperature
from kd_core.networks.base import Outputs, Widths


def relation_losses(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """One minus the mean correlation of the softmaxes' rows, and of their columns, times T^2.

    Both (B, K), any floating dtype; returns two float32 scalars between 0 and 2 T^2. Raises ShapeMismatch for other
    shapes, UsageError for a temperature that is not positive and finite.
    """
    require_temperature("dist", temperature)
    require_comparable("relation_losses", student, teacher, axes="BK", same="BK")
    with torch.autocast(student.device.type, enabled=False):
        ours, theirs = ((logits.float() / temperature).log_softmax(1) for logits in (student, teacher.detach()))
        return temperature**2 * _disagreement(ours, theirs), temperature**2 * _disagreement(ours.T, theirs.T)


def _disagreement(left: Tensor, right: Tensor) -> Tensor:
    """One minus the correlation of each pair of rows (n, m), which come as logarithms; their mean."""
    left, right = _direction(left), _direction(right)
    without = 2 - (_has_direction(left) + _has_direction(right))
    # For unit vectors 1 - cosine is half the square of their distance, which is 0 at equality to the bit.
    return ((left - right).square().sum(1) + without).mean() / 2


def _direction(logarithms: Tensor) -> Tensor:
    """Rows of values, centred and of length 1, or 0."""
    rows = (logarithms - logarithms.detach().amax(1, keepdim=True)).exp()
    return unit(rows - rows.mean(1, keepdim=True))


def _has_direction(units: Tensor) -> Tensor:
    """(n, m) -> (n,): 1 or 0"""
    return units.detach().abs().amax(1).gt(0).float()


class DIST(Method):
    name: ClassVar[str] = "dist"
    definition: ClassVar[str] = (
        "T^2 * (1 - Pearson's correlation of softmax(student / T) and softmax(teacher / T)); inter: over the classes, "
        "mean of items; intra: over the batch, mean of classes"
    )
    source: ClassVar[str] = "Huang et al. 2022, arXiv:2205.10536, equations 6 to 10; weights of its CIFAR-100 runs"

    def __init__(self, temperature: float) -> None:
        super().__init__()
        require_temperature("dist", temperature)
        self.temperature = temperature

    @classmethod
    def build(cls, *, student: Widths, teacher: Widths, temperature: float) -> Self:
        return cls(temperature)

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        inter, intra = relation_losses(student.logits, teacher.logits, self.temperature)
        return {"inter": inter, "intra": intra}


METHOD = DIST
