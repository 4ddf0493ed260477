"""Similarity-preserving distillation, "SP" (Tung & Mori 2019, arXiv:1907.09682, equations 1 to 4).

    L = (1/B^2) | G_student - G_teacher |^2,     G = Q Q^T with each row divided by its length, Q (B, C H W) the maps

G says which images of a batch are alike. The maps (layer3 here) may differ in everything but B. Not to be confused with
a matrix of cosines: it is the rows of Q Q^T that are made unit, not those of Q, so an image with larger activations
weighs more in every row. It equals RepDistiller's; torchdistill divides rows by their sum (docs/agreement.md).

Shapes: B images, C channels, H x W positions.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kd_core.methods.base import Method, require_comparable, unit
from kd_core.networks.base import Outputs


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two batches' similarities.

    Both (B, C, H, W), any floating dtype; C, H and W may differ. Returns a float32 scalar, zero for equal maps and for
    any orthogonal change of basis of them. Raises ShapeMismatch where B differs.
    """
    require_comparable("similarity_loss", student, teacher, axes="BCHW", same="B")
    with torch.autocast(student.device.type, enabled=False):
        return (_similarities(student) - _similarities(teacher.detach())).square().mean()


def _similarities(maps: Tensor) -> Tensor:
    """(B, B)"""
    rows = maps.float().flatten(1)
    # The largest value is taken out first: rows of unit length do not depend on it, and squares might not be finite.
    largest = rows.detach().abs().amax()
    rows = rows / largest.masked_fill(~(largest > torch.finfo(torch.float32).tiny), 1.0)
    return unit(rows @ rows.T)


class SP(Method):
    name: ClassVar[str] = "sp"
    definition: ClassVar[str] = "similarity: mean squared difference of the batch's Q Q^T, rows made unit, Q of layer3"
    source: ClassVar[str] = "Tung & Mori 2019, arXiv:1907.09682, equations 1 to 4; weight of its CIFAR-100 runs in CRD"

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        return {"similarity": similarity_loss(student.layer3, teacher.layer3)}


METHOD = SP
