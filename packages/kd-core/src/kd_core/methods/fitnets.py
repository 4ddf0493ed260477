"""Hint training, "FitNets" (Romero et al. 2015, arXiv:1412.6550: the loss of the hint).

    L = mean over B, C, H, W of ( r(student layer1) - teacher layer2 )^2

The hint is the teacher's layer2, the guided layer the student's layer1, r a 1x1 convolution from the one's channels to
the other's, trained with the student. The paper first trains the lower half on this loss alone and then distils; here,
as in RepDistiller and mdistiller, it stands beside classification throughout. The paper sums squares and halves
them, we take their mean, so that the weight does not depend on the size of the maps. RepDistiller and mdistiller add
BatchNorm and a ReLU to r; ours is the plain linear map. The student's map is twice as wide, so it is averaged down
first: averaging and a 1x1 convolution commute, and this order is four times cheaper. Not to be confused with attention
transfer, which compares where maps are active and needs no r.

Shapes: B images, C channels, H x W positions.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_core.methods.base import Method, at_common_size, require_comparable
from kd_core.networks.base import Outputs, Widths


def hint_loss(projected: Tensor, hint: Tensor) -> Tensor:
    """Mean squared difference between the student's projected map and the teacher's hint.

    Both (B, C, H, W), any floating dtype; maps of unequal size are averaged down to the smaller. Returns a float32
    scalar. Raises ShapeMismatch where B or C differ.
    """
    require_comparable("hint_loss", projected, hint, axes="BCHW", same="BC")
    with torch.autocast(projected.device.type, enabled=False):
        return functional.mse_loss(*at_common_size(projected.float(), hint.detach().float()))


class FitNets(Method):
    name: ClassVar[str] = "fitnets"
    definition: ClassVar[str] = "hint: mean squared error of a 1x1 convolution of the student's layer1 to layer2"
    source: ClassVar[str] = "Romero et al. 2015, arXiv:1412.6550, hint loss"

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.regressor = nn.Conv2d(student_channels, teacher_channels, 1)

    @classmethod
    def build(cls, *, student: Widths, teacher: Widths, temperature: float) -> Self:
        return cls(student.layer1, teacher.layer2)

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        guided, hint = student.layer1, teacher.layer2
        require_comparable("fitnets", guided, hint, axes="BCHW", same="B")
        with torch.autocast(guided.device.type, enabled=False):
            guided, hint = at_common_size(guided.float(), hint.detach().float())
            return {"hint": hint_loss(self.regressor(guided), hint)}


METHOD = FitNets
