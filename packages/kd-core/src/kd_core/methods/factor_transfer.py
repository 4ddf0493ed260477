"""Factor transfer, "FT" (Kim, Park, Kwak 2018, arXiv:1802.04977: paraphraser and factor loss).

Stage 1, once a teacher: the paraphraser, a convolutional auto-encoder, learns to reconstruct the frozen teacher's
layer3; its code is the teacher's factor F_T. Stage 2: paraphraser frozen, the student trains with a translator whose
output is the student's factor F_S.

    L_rec = mean (layer3 - decoder(encoder(layer3)))^2
    L_FT  = mean over B and the factor's elements of | F_S / ||F_S||_2 - F_T / ||F_T||_2 |       (vectors an image)

The paper leaves the norm of that difference open; the published code takes p = 1. As in that code all six layers of the
paraphraser end in LeakyReLU(0.1) and none has BatchNorm, whose running statistics would go on moving in a "frozen"
paraphraser left in train mode; ours is kept in eval mode besides. Factor loss and paraphraser equal the authors'
(docs/agreement.md). RepDistiller compares the factors' attention maps instead, which is another loss.

Shapes: B images, C channels, H x W positions.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_core.methods.base import FirstStage, Method, at_common_size, require_comparable, unit
from kd_core.networks.base import Outputs, Widths
from kd_hpc.errors import TrainingError

RATE = 0.5
"""Channels of a factor as a share of the teacher's, the paper's k."""


def factor_loss(student_factor: Tensor, teacher_factor: Tensor) -> Tensor:
    """Mean absolute difference of the two factors, each flattened and scaled to length 1 for every image.

    Both (B, C, H, W), any floating dtype; factors of unequal size are averaged down to the smaller. Returns a float32
    scalar; a factor of zeros counts as the zero vector. Raises ShapeMismatch where B or C differ.
    """
    require_comparable("factor_loss", student_factor, teacher_factor, axes="BCHW", same="BC")
    with torch.autocast(student_factor.device.type, enabled=False):
        student, teacher = at_common_size(student_factor.float(), teacher_factor.detach().float())
        return functional.l1_loss(unit(student.flatten(1)), unit(teacher.flatten(1)))


def reconstruction_loss(reconstruction: Tensor, feature: Tensor) -> Tensor:
    """Stage 1: mean squared error between a paraphraser's reconstruction and the frozen teacher's map.

    Both (B, C, H, W), any floating dtype; returns a float32 scalar. Raises ShapeMismatch where any axis differs.
    """
    require_comparable("reconstruction_loss", reconstruction, feature, axes="BCHW", same="BCHW")
    with torch.autocast(reconstruction.device.type, enabled=False):
        return functional.mse_loss(reconstruction.float(), feature.detach().float())


class Translator(nn.Sequential):
    """(B, in, H, W) -> (B, factor, H, W): three 3x3 convolutions; the paraphraser's encoder has the same shape."""

    def __init__(self, in_channels: int, factor_channels: int) -> None:
        super().__init__(
            *_rectified(nn.Conv2d(in_channels, in_channels, 3, padding=1)),
            *_rectified(nn.Conv2d(in_channels, factor_channels, 3, padding=1)),
            *_rectified(nn.Conv2d(factor_channels, factor_channels, 3, padding=1)),
        )


class Paraphraser(nn.Module):
    """Auto-encoder of a teacher's map (B, C, H, W); trained alone in stage 1, frozen in stage 2."""

    def __init__(self, channels: int, rate: float = RATE) -> None:
        super().__init__()
        factor = factor_channels(channels, rate)
        self.encoder = Translator(channels, factor)
        self.decoder = nn.Sequential(
            *_rectified(nn.ConvTranspose2d(factor, factor, 3, padding=1)),
            *_rectified(nn.ConvTranspose2d(factor, channels, 3, padding=1)),
            *_rectified(nn.ConvTranspose2d(channels, channels, 3, padding=1)),
        )

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """The factor (B, rate C, H, W) and the reconstruction (B, C, H, W)."""
        factor = self.encoder(feature)
        return factor, self.decoder(factor)


def _reconstruction(paraphraser: Paraphraser, teacher: Outputs) -> Tensor:
    feature = teacher.layer3.float()
    return reconstruction_loss(paraphraser(feature)[1], feature)


def factor_channels(channels: int, rate: float = RATE) -> int:
    return max(1, int(channels * rate))


def _rectified(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    return layer, nn.LeakyReLU(0.1)


class FactorTransfer(Method):
    name: ClassVar[str] = "factor_transfer"
    definition: ClassVar[str] = "factor: mean absolute difference of unit factors of layer3; paraphraser trained first"
    source: ClassVar[str] = "Kim, Park, Kwak 2018, arXiv:1802.04977, reconstruction and factor loss"

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.teacher_channels = teacher_channels
        self.translator = Translator(student_channels, factor_channels(teacher_channels))
        self.paraphraser = Paraphraser(teacher_channels).requires_grad_(False).eval()
        self._paraphraser_is_trained = False

    @classmethod
    def build(cls, *, student: Widths, teacher: Widths, temperature: float) -> Self:
        return cls(student.layer3, teacher.layer3)

    def prepare(self, stage: FirstStage) -> None:
        """Stage 1."""
        weights = stage("paraphraser", lambda: Paraphraser(self.teacher_channels), _reconstruction)
        self.paraphraser.load_state_dict(weights)
        self._paraphraser_is_trained = True

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.paraphraser.eval()
        return self

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        if not self._paraphraser_is_trained:
            raise TrainingError(
                "factor_transfer has no trained paraphraser, and a random one teaches nothing.",
                remedy="Call prepare with a first stage that trains one.",
            )
        with torch.autocast(student.layer3.device.type, enabled=False):
            with torch.no_grad():
                teacher_factor = self.paraphraser.encoder(teacher.layer3.float())
            return {"factor": factor_loss(self.translator(student.layer3.float()), teacher_factor)}


METHOD = FactorTransfer
