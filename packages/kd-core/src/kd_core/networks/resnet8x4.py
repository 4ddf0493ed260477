"""ResNet8x4: the ResNet of 8 layers, four times as wide in its stages and twice in its first convolution.

The literature's resnet8x4 (Tian et al. 2020, arXiv:1910.10699, Table 1): 32 channels, then 64, 128 and 256.
"""

from __future__ import annotations

from kd_core.networks.resnet import ResNet


def network(num_classes: int) -> ResNet:
    return ResNet((1, 1, 1), num_classes, stem=32, wide=(64, 128, 256))


NETWORK = network
