"""A trained network that is only asked and never trained again: the teacher beside its students.

In eval mode BatchNorm is a fixed scale and shift for each channel, so it disappears into the convolution before it.
What is left is computed in one dtype, to which the weights are rounded once and not in every step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear
from torch.nn.utils.fusion import fuse_conv_bn_weights

from kd_core.networks.base import Network, Outputs, Widths
from kd_core.networks.resnet import BasicBlock, ResNet


class Frozen(Protocol):
    """Images (B, 3, H, W) -> Outputs without a graph; the network behind it never changes."""

    @property
    def widths(self) -> Widths: ...

    def __call__(self, images: Tensor) -> Outputs: ...


def freeze(network: Network, dtype: torch.dtype, *, fold: bool) -> Frozen:
    """`network` for asking in `dtype`: folded, or layer by layer as it was trained.

    Both give the same outputs up to rounding. A network of another kind than ResNet stays as it is, and so does one
    whose folded weights `dtype` cannot hold.
    """
    if fold and isinstance(network, ResNet) and (folded := FoldedNetwork(network, dtype)).is_finite:
        return folded
    return PlainNetwork(network, dtype)


class PlainNetwork:
    """The network itself, under autocast. Eval mode is set again each time, for nothing may have undone it."""

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        self.network, self.dtype = network.requires_grad_(False), dtype

    @property
    def widths(self) -> Widths:
        return self.network.widths

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Outputs:
        self.network.eval()
        with torch.autocast(images.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            outputs: Outputs = self.network(images)
        return outputs


class FoldedNetwork:
    """A copy of the network as convolutions with bias, each with its sum and ReLU: one launch where cuDNN has that."""

    def __init__(self, network: ResNet, dtype: torch.dtype) -> None:
        self.widths, self.dtype = network.widths, dtype
        self._first = _Convolution(network.conv1, network.bn1, dtype)
        stages = (network.layer1, network.layer2, network.layer3)
        self._stages = [[_Block(block, dtype) for block in stage if isinstance(block, BasicBlock)] for stage in stages]
        self._weight, self._bias = (value.detach().to(dtype, copy=True) for value in network.linear.parameters())

    @property
    def is_finite(self) -> bool:
        blocks = (block for stage in self._stages for block in stage)
        layers = [self._first, *(layer for block in blocks for layer in block.layers)]
        return all(bool(torch.isfinite(value).all()) for layer in layers for value in (layer.weight, layer.bias))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Outputs:
        with torch.autocast(images.device.type, enabled=False):
            first = self._first(images.to(self.dtype), relu=True)
            layer1 = _through(self._stages[0], first)
            layer2 = _through(self._stages[1], layer1)
            layer3 = _through(self._stages[2], layer2)
            logits = linear(layer3.mean((2, 3)), self._weight, self._bias)
        return Outputs(layer1, layer2, layer3, logits)


class _Convolution:
    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            convolution.weight.detach().double(),
            None,
            norm.running_mean.double(),
            norm.running_var.double(),
            norm.eps,
            norm.weight.detach().double(),
            norm.bias.detach().double(),
        )
        self.weight = weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = bias.detach().to(dtype)
        self.stride, self.padding = convolution.stride[0], int(convolution.padding[0])
        self.is_fused = self._can_be_fused()

    def __call__(self, maps: Tensor, *, plus: Tensor | None = None, relu: bool = False) -> Tensor:
        """The convolution of `maps`, `plus` something of its shape, cut off below 0 if `relu`."""
        if relu and self.is_fused:
            return self._fused(maps, plus)
        found = conv2d(maps, self.weight, self.bias, self.stride, self.padding)
        found = found if plus is None else found.add_(plus)
        return found.relu_() if relu else found

    def _fused(self, maps: Tensor, plus: Tensor | None) -> Tensor:
        how = (self.bias, [self.stride] * 2, [self.padding] * 2, [1, 1], 1)
        if plus is None:
            return torch.cudnn_convolution_relu(maps, self.weight, *how)
        return torch.cudnn_convolution_add_relu(maps, self.weight, plus, 1.0, *how)

    def _can_be_fused(self) -> bool:
        """Only cuDNN has it, and not every cuDNN for each GPU and dtype."""
        maps = self.weight.new_zeros(2, self.weight.shape[1], 8, 8).contiguous(memory_format=torch.channels_last)
        try:
            self._fused(maps, self._fused(maps, None))
        except RuntimeError:
            return False
        return True


class _Block:
    def __init__(self, block: BasicBlock, dtype: torch.dtype) -> None:
        self._first = _Convolution(block.conv1, block.bn1, dtype)
        self._second = _Convolution(block.conv2, block.bn2, dtype)
        self._shortcut = None
        match list(block.shortcut):
            case [nn.Conv2d() as convolution, nn.BatchNorm2d() as norm]:
                self._shortcut = _Convolution(convolution, norm, dtype)

    @property
    def layers(self) -> list[_Convolution]:
        return [self._first, self._second, *([self._shortcut] if self._shortcut else [])]

    def __call__(self, maps: Tensor) -> Tensor:
        residual = self._shortcut(maps) if self._shortcut else maps
        return self._second(self._first(maps, relu=True), plus=residual, relu=True)


def _through(blocks: Iterable[_Block], maps: Tensor) -> Tensor:
    for block in blocks:
        maps = block(maps)
    return maps
