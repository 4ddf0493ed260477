"""Neuron selectivity transfer, "NST" (Huang & Wang 2017, arXiv:1707.01219: its loss with the polynomial kernel).

    MMD^2 = mean_{c,c'} k(t_c, t_c') + mean_{c,c'} k(s_c, s_c') - 2 mean_{c,c'} k(s_c, t_c'),    k(x, y) = (x . y)^2

where s_c and t_c are the channels' maps over H * W positions, each scaled to length 1; mean over the batch. The kernel
is the paper's polynomial one with d = 2 and c = 0. Each channel is one sample of a distribution, so channels carry no
order and their numbers may differ. RepDistiller and mdistiller form the products by broadcasting to (B, C, C, N), 128
MiB and seconds on a CPU; a batched matrix product gives the same numbers from (B, C, C), see docs/agreement.md. They
sum over the taps; we average three. The authors' own code was not compared. The teacher's term is a constant that makes
the loss zero at equality. Not to be confused with a squared difference of C x C channel Gram matrices (as in style
transfer): that one changes when the channels of an identical student are permuted.

Shapes: B images, C channels, H x W positions, N = H * W.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kd_core.methods.base import Method, at_common_size, require_comparable, unit
from kd_core.networks.base import Outputs


def nst_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Squared maximum mean discrepancy between the channels of two maps, mean over the batch.

    Both (B, C, H, W), any floating dtype; C may differ, and maps of unequal size are averaged down to the smaller.
    Returns a float32 scalar, zero up to rounding for a student whose channels are the teacher's in any order; a
    channel of zeros counts as the zero vector. Raises ShapeMismatch where B differs.
    """
    require_comparable("nst_loss", student_map, teacher_map, axes="BCHW", same="B")
    with torch.autocast(student_map.device.type, enabled=False):
        student, teacher = at_common_size(student_map.float(), teacher_map.detach().float())
        student, teacher = unit(student.flatten(2)), unit(teacher.flatten(2))
        return _kernel(teacher, teacher) + _kernel(student, student) - 2 * _kernel(student, teacher)


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    """Mean of the kernel over all pairs of channels: (B, C, N) and (B, C', N) -> scalar."""
    return torch.bmm(left, right.transpose(1, 2)).square().mean()


class NST(Method):
    name: ClassVar[str] = "nst"
    definition: ClassVar[str] = "nst: MMD^2 with kernel (x . y)^2 on unit channel maps, mean over layer1 to layer3"
    source: ClassVar[str] = "Huang & Wang 2017, arXiv:1707.01219, the polynomial kernel"

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        pairs = zip(student.features, teacher.features, strict=True)
        return {"nst": torch.stack([nst_loss(*pair) for pair in pairs]).mean()}


METHOD = NST
