"""Wide residual networks (Zagoruyko & Komodakis 2016, arXiv:1605.07146): BatchNorm and ReLU come before convolutions.

Three stages of 16, 32 and 64 channels times the width; depth is 6 * blocks + 4. The published code's dropout is left
out, as the distillation tables have it. The taps are the sums that leave each stage, as those tables take them, so
unlike a ResNet's they have both signs: the ReLU after them belongs to the next stage.

Shapes: B images, H x W positions.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from kd_core.networks.base import Network, Outputs, Widths


class WideBlock(nn.Module):
    """(B, in, H, W) -> (B, out, H/stride, W/stride)"""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Identity()
            if (in_channels, stride) == (out_channels, 1)
            else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        active = functional.relu(self.bn1(x))
        residual = self.conv2(functional.relu(self.bn2(self.conv1(active)), inplace=True))
        total: Tensor = self.shortcut(x if isinstance(self.shortcut, nn.Identity) else active) + residual
        return total


class WideResNet(Network):
    """Images (B, 3, H, W) of any size that 4 divides -> Outputs."""

    def __init__(self, blocks: int, width: int, num_classes: int) -> None:
        super().__init__()
        first, second, third = (width * channels for channels in (16, 32, 64))
        self.widths = Widths(first, second, third, num_classes)
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.layer1 = _stage(blocks, 16, first, stride=1)
        self.layer2 = _stage(blocks, first, second, stride=2)
        self.layer3 = _stage(blocks, second, third, stride=2)
        self.bn1 = nn.BatchNorm2d(third)
        self.linear = nn.Linear(third, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.linear.bias)

    def forward(self, images: Tensor) -> Outputs:
        layer1 = self.layer1(self.conv1(images))
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        active = functional.relu(self.bn1(layer3))
        return Outputs(layer1, layer2, layer3, self.linear(active.mean((2, 3))))


def _stage(blocks: int, in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    rest = (WideBlock(out_channels, out_channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(WideBlock(in_channels, out_channels, stride), *rest)
