"""Activation-based attention transfer, "AT" (Zagoruyko & Komodakis 2017, arXiv:1612.03928: the activation-based loss).

    Q(A)   = vec( sum_c A_c^2 ) / || vec( sum_c A_c^2 ) ||_2         (one unit vector an image, over H * W positions)
    L      = mean over the taps of  (1/B) sum_b || Q(student) - Q(teacher) ||_2^2

The paper sums the layers' unsquared distances with beta / 2 before them; its published code squares and takes the mean
over B and over positions, and so do RepDistiller, mdistiller and torchdistill. That mean makes a tap's loss fall with
the map's area. We sum over positions, which bounds each tap in [0, 4] whatever its size, and average the taps: a tap of
H * W positions is H * W / 3 of theirs (docs/agreement.md), so their weight of 1000 is no number for here, and weighs
small maps more than ours does. Maps of unequal size are compared after averaging the summed squares down to the
smaller, so that what is compared is still energy; RepDistiller and mdistiller average the signed activations. Not to be
confused with gradient-based attention of the same paper, nor with factor transfer.

Shapes: B images, C channels, H x W positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from kd_core.methods.base import Method, at_common_size, require_comparable, unit
from kd_core.networks.base import Outputs
from kd_hpc.errors import UsageError


def attention_loss(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
    """Squared distance of unit attention maps, mean over the batch and over the pairs of maps.

    Two equally long lists of (B, C, H, W), any floating dtype, where C, H and W may differ within a pair. Returns a
    float32 scalar in [0, 4]; a map of zeros has no direction and counts as the zero vector.
    Raises UsageError for lists of unequal length or empty ones, ShapeMismatch where B differs.
    """
    if not student_maps or len(student_maps) != len(teacher_maps):
        raise UsageError(
            f"attention_loss got {len(student_maps)} student maps and {len(teacher_maps)} teacher maps.",
            remedy="Pass one teacher map for each student map, at least one.",
        )
    return torch.stack([_tap_loss(*pair) for pair in zip(student_maps, teacher_maps, strict=True)]).mean()


def _tap_loss(student: Tensor, teacher: Tensor) -> Tensor:
    require_comparable("attention_loss", student, teacher, axes="BCHW", same="B")
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = at_common_size(_energy(student), _energy(teacher.detach()))
        return (unit(student.flatten(1)) - unit(teacher.flatten(1))).square().sum(1).mean()


def _energy(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W), the sum of squares over channels."""
    return maps.float().square().sum(1, keepdim=True)


class AttentionTransfer(Method):
    name: ClassVar[str] = "attention_transfer"
    definition: ClassVar[str] = "attention: squared distance of unit maps of summed squares, mean over layer1 to layer3"
    source: ClassVar[str] = "Zagoruyko & Komodakis 2017, arXiv:1612.03928, activation-based"

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        return {"attention": attention_loss(student.features, teacher.features)}


METHOD = AttentionTransfer
