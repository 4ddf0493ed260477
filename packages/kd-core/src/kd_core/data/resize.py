"""Bilinear enlarging of boxes, to the pixel of PIL's.

PIL resizes columns, then rows, with fixed-point weights of 22 fractional bits and rounds to a byte after each pass.
Enlarging, a target pixel has at most two source pixels, so each pass is two selections of lines and their weighted
sum, in integers: the same on any device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_BITS = 22


class _Taps(NamedTuple):
    """(B, size) each: the two source lines of each target line, and their weights times 2**22."""

    low: Tensor
    high: Tensor
    low_weight: Tensor
    high_weight: Tensor


def enlarge_boxes(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Each box of each image, resized to size x size.

    `images` (B, C, S, S) uint8; `boxes` (B, 4), or (1, 4) for all, integers: top, left, height, width, no side longer
    than `size`. Returns (B, C, size, size) uint8, channels last in memory.
    """
    wide = _widen(images.permute(0, 2, 3, 1).contiguous(), _taps(boxes[:, 1], boxes[:, 3], size))
    return _heighten(wide, _taps(boxes[:, 0], boxes[:, 2], size)).permute(0, 3, 1, 2)


def _widen(pixels: Tensor, taps: _Taps) -> Tensor:
    """(B, H, W, C) -> (B, H, size, C): pixels are chosen one by one, C bytes each."""
    count, height, width, channels = pixels.shape
    first = torch.arange(0, count * height * width, width, device=pixels.device).view(count, height, 1)
    flat = pixels.view(-1, channels)
    low, high = (
        flat.index_select(0, (first + line.unsqueeze(1)).flatten()).view(count, height, -1)
        for line in (taps.low, taps.high)
    )
    weights = (weight.repeat_interleave(channels, dim=1).unsqueeze(1) for weight in (taps.low_weight, taps.high_weight))
    return _blend(low, high, *weights).view(count, height, -1, channels)


def _heighten(pixels: Tensor, taps: _Taps) -> Tensor:
    """(B, H, W, C) -> (B, size, W, C): whole rows are chosen."""
    count, height, width, channels = pixels.shape
    first = torch.arange(0, count * height, height, device=pixels.device)[:, None]
    flat = pixels.view(count * height, -1)
    low, high = (
        flat.index_select(0, (first + line).flatten()).view(count, -1, flat.shape[1]) for line in (taps.low, taps.high)
    )
    blended = _blend(low, high, taps.low_weight.unsqueeze(2), taps.high_weight.unsqueeze(2))
    return blended.view(count, -1, width, channels)


def _blend(low: Tensor, high: Tensor, low_weight: Tensor, high_weight: Tensor) -> Tensor:
    """The weighted sum of two selections, rounded to bytes as PIL rounds."""
    sums = low.int().mul_(low_weight).add_(high.int().mul_(high_weight)).add_(1 << (_BITS - 1))
    return sums.bitwise_right_shift_(_BITS).to(torch.uint8)


def _taps(start: Tensor, length: Tensor, size: int) -> _Taps:
    scale = length.double()[:, None] / size
    centre = (torch.arange(size, device=start.device, dtype=torch.float64) + 0.5) * scale
    low = torch.floor(centre - 0.5)
    inside_low, inside_high = low >= 0, low + 1 < length[:, None]
    low_weight = (1 - (low - centre + 0.5).abs()) * inside_low
    high_weight = (1 - (low + 1 - centre + 0.5).abs()) * inside_high
    total = low_weight + high_weight
    return _Taps(
        (low.masked_fill(~inside_low, 0) + start[:, None]).long(),
        ((low + 1).masked_fill(~inside_high, 0) + start[:, None]).long(),
        torch.floor(low_weight / total * (1 << _BITS) + 0.5).int(),
        torch.floor(high_weight / total * (1 << _BITS) + 0.5).int(),
    )
