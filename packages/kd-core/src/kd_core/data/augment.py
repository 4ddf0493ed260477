"""Augmentation of whole uint8 batches.

Choices are drawn on the CPU for a whole epoch before any image is touched, so that any loader, on any device, applies
the same ones: `draw` decides, `apply` obeys. Shapes: B images of C channels and size S x S, N images in an epoch.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from kd_core.data.resize import enlarge_boxes
from kd_hpc.errors import UsageError


class Augmentation(Protocol):
    """`draw` gives one row of integers an image; `apply` uses the rows of a batch; `at_test` needs none."""

    def draw(self, count: int, size: int, generator: torch.Generator) -> Tensor: ...

    def apply(self, images: Tensor, choices: Tensor) -> Tensor: ...

    def at_test(self, images: Tensor) -> Tensor: ...


class Crop:
    """Zero padding of 4 pixels (an eighth of the size where that is less), a random crop of the old size, maybe a flip.

    An image keeps its place or moves by at most the padding. 8x8 digits padded by 4 could lose three quarters of
    their ink, hence the eighth.
    """

    def __init__(self, flip: bool) -> None:
        self.flip = flip

    def draw(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """(N, 3): row offset, column offset, 1 to flip."""
        reach = 2 * _padding(size) + 1
        offsets = torch.randint(reach, (count, 2), generator=generator)
        flips = torch.randint(2, (count, 1), generator=generator)
        return torch.cat((offsets, flips if self.flip else torch.zeros_like(flips)), dim=1)

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        """Channels last in memory, which the models prefer; fastest from images that are, too."""
        count, channels, size = images.shape[:3]
        pixels = torch.nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, *(_padding(size),) * 4))
        width = pixels.shape[2]
        steps = torch.arange(size, device=images.device)
        rows = choices[:, 0:1] + steps + width * torch.arange(count, device=images.device)[:, None]
        columns = choices[:, 1:2] + torch.where(choices[:, 2:3] == 1, size - 1 - steps, steps)
        places = rows[:, :, None] * width + columns[:, None, :]
        chosen = pixels.reshape(-1, channels).index_select(0, places.flatten())
        return chosen.view(count, size, size, channels).permute(0, 3, 1, 2)

    def at_test(self, images: Tensor) -> Tensor:
        return images


class ResizedCrop:
    """What the earlier rounds trained with: a random box of 8 to 100 % of the area, resized to the whole image.

    Pixel for pixel what torchvision's RandomResizedCrop does to a PIL image with the same box; at test time Resize to
    size + 8 and CenterCrop.
    """

    def draw(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """(N, 4): top, left, height, width; the first of ten tries that fits, else the whole image."""
        area = size * size * (0.08 + 0.92 * torch.rand(count, 10, generator=generator, dtype=torch.float64))
        ratio = torch.exp((2 * torch.rand(count, 10, generator=generator, dtype=torch.float64) - 1) * _LOG_RATIO)
        width, height = torch.round(torch.sqrt(area * ratio)), torch.round(torch.sqrt(area / ratio))
        fits = (width > 0) & (width <= size) & (height > 0) & (height <= size)
        first = fits.int().argmax(dim=1, keepdim=True)
        some = fits.any(dim=1)
        height = torch.where(some, height.gather(1, first)[:, 0], size)
        width = torch.where(some, width.gather(1, first)[:, 0], size)
        places = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        top, left = torch.floor(places[:, 0] * (size - height + 1)), torch.floor(places[:, 1] * (size - width + 1))
        return torch.stack((top, left, height, width), dim=1).long()

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        return enlarge_boxes(images, choices, images.shape[-1])

    def at_test(self, images: Tensor) -> Tensor:
        size = images.shape[-1]
        whole = torch.tensor([[0, 0, size, size]], device=images.device)
        return enlarge_boxes(images, whole, size + 8)[:, :, 4 : 4 + size, 4 : 4 + size]


class NoAugmentation:
    """The images as they are."""

    def draw(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(count, 0, dtype=torch.long)

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        return images

    def at_test(self, images: Tensor) -> Tensor:
        return images


_LOG_RATIO = float(torch.log(torch.tensor(4 / 3, dtype=torch.float64)))


def augmentation(name: str, *, mirrored: bool) -> Augmentation:
    """The augmentation called `name`; "auto" is crop-flip, or crop where a `mirrored` image is another thing."""
    if name == "auto":
        name = "crop-flip" if mirrored else "crop"
    match name:
        case "crop-flip":
            return Crop(flip=True)
        case "crop":
            return Crop(flip=False)
        case "resized-crop":
            return ResizedCrop()
        case "none":
            return NoAugmentation()
    raise UsageError(f"augmentation {name!r} is not known.", remedy="Known: auto, crop-flip, crop, resized-crop, none.")


def _padding(size: int) -> int:
    return min(4, size // 8)
