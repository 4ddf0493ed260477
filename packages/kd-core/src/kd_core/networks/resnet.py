"""Residual networks for small images (He et al. 2016, section 4.2), with the three taps that distillation reads.

Three stages of basic blocks, 16, 32 and 64 channels wide unless said otherwise; the first block of stages 2 and 3
halves the map. Popular
re-implementations differ in the shortcut: He et al. pad with zeros (option A), here a 1x1 convolution with BatchNorm
stands wherever stride or width changes (option B), because the weights of this project's earlier rounds have it. Not
to be confused with the ImageNet ResNets of torchvision, which are four stages wide and start with 7x7 and pooling.

Shapes: B images, H x W positions.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from kd_core.networks.base import Network, Outputs, Widths

WIDE = (16, 32, 64)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: (B, in, H, W) -> (B, out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        residual = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        residual = self.bn2(self.conv2(residual))
        return functional.relu(residual + self.shortcut(x), inplace=True)


class ResNet(Network):
    """Images (B, 3, H, W) of any size that 4 divides -> Outputs."""

    def __init__(
        self, blocks: tuple[int, int, int], num_classes: int, *, stem: int = 16, wide: tuple[int, int, int] = WIDE
    ) -> None:
        """`stem` channels come out of the first convolution, `wide` out of each stage."""
        super().__init__()
        self.widths = Widths(*wide, num_classes)
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = _stage(blocks[0], stem, wide[0], stride=1)
        self.layer2 = _stage(blocks[1], wide[0], wide[1], stride=2)
        self.layer3 = _stage(blocks[2], wide[1], wide[2], stride=2)
        self.linear = nn.Linear(wide[2], num_classes)
        self._initialise()

    def forward(self, images: Tensor) -> Outputs:
        layer1 = self.layer1(functional.relu(self.bn1(self.conv1(images)), inplace=True))
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        # A mean, not AdaptiveAvgPool2d: the latter has no deterministic gradient on a GPU.
        return Outputs(layer1, layer2, layer3, self.linear(layer3.mean((2, 3))))

    def _initialise(self) -> None:
        # Kaiming normal over fan-out keeps the gradient's variance through a ReLU from block to block; the forward
        # variance needs no help, BatchNorm restores it. The published tables we compare with start the same way.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _stage(blocks: int, in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    rest = (BasicBlock(out_channels, out_channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(in_channels, out_channels, stride), *rest)
