"""Bilinear resizing of boxes to the pixel of PIL's, as two small matrix products a batch.

PIL resizes rows, then columns, with fixed-point weights of 22 fractional bits and rounds to a byte after each pass.
Those sums are integers far below 2**53, so float64 products give them exactly, on any device and in any order.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ONE = 1 << 22


def resize_boxes(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Each box of each image, resized to size x size.

    `images` (B, C, S, S) uint8; `boxes` (B, 4), or (1, 4) for all, integers: top, left, height, width.
    Returns (B, C, size, size) uint8.
    """
    rows = _weights(boxes[:, 0], boxes[:, 2], images.shape[-2], size)
    columns = _weights(boxes[:, 1], boxes[:, 3], images.shape[-1], size)
    wide = _round(images.double() @ columns.transpose(1, 2)[:, None])
    return _round(rows[:, None] @ wide).to(torch.uint8)


def _round(sums: Tensor) -> Tensor:
    return torch.floor((sums + _ONE // 2) / _ONE).clamp(0, 255)


def _weights(start: Tensor, length: Tensor, available: int, size: int) -> Tensor:
    """(B, size, available) float64: how much of each source pixel goes into each target pixel, times 2**22."""
    scale = length.double()[:, None, None] / size
    reach = scale.clamp(min=1.0)
    target = torch.arange(size, device=start.device, dtype=torch.float64)[None, :, None]
    source = torch.arange(available, device=start.device, dtype=torch.float64)[None, None, :] - start[:, None, None]
    centre = (target + 0.5) * scale
    lowest = torch.floor(centre - reach + 0.5).clamp(min=0)
    highest = torch.minimum(torch.floor(centre + reach + 0.5), length.double()[:, None, None])
    triangle = (1 - ((source - centre + 0.5) * (1 / reach)).abs()).clamp(min=0)
    triangle = triangle * ((source >= lowest) & (source < highest))
    return torch.floor(triangle / triangle.sum(dim=2, keepdim=True) * _ONE + 0.5)
