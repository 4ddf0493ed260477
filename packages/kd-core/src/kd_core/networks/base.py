"""What every network promises to the methods, and to extraction: three maps and logits, each reached by name.

Shapes: B images, C channels, H x W positions, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Widths(NamedTuple):
    """Channels of each tap and number of classes: all that a method must know of a network to be built."""

    layer1: int
    layer2: int
    layer3: int
    logits: int


class Outputs(NamedTuple):
    """What one forward pass leaves for losses and for extraction, each reached by name."""

    layer1: Tensor
    """(B, 16, H, W)"""
    layer2: Tensor
    """(B, 32, H/2, W/2)"""
    layer3: Tensor
    """(B, 64, H/4, W/4)"""
    logits: Tensor
    """(B, K)"""

    @property
    def features(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three maps, each taken after the ReLU of its stage's last block."""
        return self.layer1, self.layer2, self.layer3

    @property
    def widths(self) -> Widths:
        return Widths(*(output.shape[1] for output in self))


class Network(nn.Module):
    """What every network here is: images (B, 3, H, W) -> Outputs, whose channels `widths` tells beforehand."""

    widths: Widths
