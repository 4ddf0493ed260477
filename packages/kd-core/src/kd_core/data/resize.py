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
    columns = images.permute(0, 3, 2, 1)
    wide = _enlarge(columns, _taps(boxes[:, 1], boxes[:, 3], size))
    return _enlarge(wide.transpose(1, 2), _taps(boxes[:, 0], boxes[:, 2], size)).permute(0, 3, 1, 2)


def _enlarge(lines: Tensor, taps: _Taps) -> Tensor:
    """`lines` (B, S, ...) uint8, resized along S to (B, size, ...)."""
    count, available = lines.shape[:2]
    flat = lines.reshape(count * available, -1)
    first = torch.arange(0, count * available, available, device=lines.device)[:, None]
    low, high = (flat.index_select(0, (first + line).flatten()).int() for line in (taps.low, taps.high))
    low_weight, high_weight = (
        weight.expand(count, -1).reshape(-1, 1) for weight in (taps.low_weight, taps.high_weight)
    )
    sums = low.mul_(low_weight).add_(high.mul_(high_weight)).add_(1 << (_BITS - 1))
    return sums.bitwise_right_shift_(_BITS).to(torch.uint8).view(count, -1, *lines.shape[2:])


def _taps(start: Tensor, length: Tensor, size: int) -> _Taps:
    scale = length.double()[:, None] / size
    centre = (torch.arange(size, device=start.device, dtype=torch.float64) + 0.5) * scale
    low = torch.floor(centre - 0.5)
    inside_low, inside_high = low >= 0, low + 1 < length[:, None]
    low_weight = (1 - (low - centre + 0.5).abs()) * inside_low
    high_weight = (1 - (low + 1 - centre + 0.5).abs()) * inside_high
    total = low_weight + high_weight
    return _Taps(
        (torch.where(inside_low, low, 0) + start[:, None]).long(),
        (torch.where(inside_high, low + 1, 0) + start[:, None]).long(),
        torch.floor(low_weight / total * (1 << _BITS) + 0.5).int(),
        torch.floor(high_weight / total * (1 << _BITS) + 0.5).int(),
    )
