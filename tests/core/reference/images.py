"""Batches, image by image: which ones, changed how, normalised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as pictures

from kd_core.data.augment import ResizedCrop

MEAN, DEVIATION = 0.305, 0.376
"""Of Digits."""
Picture = NDArray[np.uint8]


def seed_from(*parts: object) -> int:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass
class Images:
    """The prepared arrays in `folder`: (N, 1, S, S) bytes, and labels (N,)."""

    folder: Path
    augmentation: str

    def train(self, seed: int, epoch: int, size: int, stage: str = "train") -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, drawn from seed, stage and epoch alone."""
        pixels, labels = self._read("train")
        stream = torch.Generator().manual_seed(seed_from("batches", seed, stage, epoch))
        order = torch.randperm(len(labels), generator=stream)
        choices = self._draw(len(labels), pixels.shape[-1], stream)
        for places in torch.arange(len(labels)).split(size):
            changed = [self._change(pixels[order[place], 0], choices[place].tolist()) for place in places]
            yield normalised(changed), labels[order[places]]

    def test(self) -> tuple[Tensor, Tensor]:
        pixels, labels = self._read("test")
        return normalised([self._at_test(image) for image in pixels[:, 0]]), labels

    def _read(self, split: str) -> tuple[Picture, Tensor]:
        labels = torch.from_numpy(np.load(self.folder / f"{split}_labels.npy"))
        return np.load(self.folder / f"{split}_images.npy"), labels

    def _draw(self, count: int, size: int, stream: torch.Generator) -> Tensor:
        if self.augmentation == "resized-crop":
            return ResizedCrop().draw(count, size, stream)
        offsets = torch.randint(2 * (size // 8) + 1, (count, 2), generator=stream)
        return torch.cat([offsets, torch.randint(2, (count, 1), generator=stream)], dim=1)

    def _change(self, image: Picture, choice: list[int]) -> Picture:
        if self.augmentation == "resized-crop":
            top, left, height, width = choice
            cut = pictures.resized_crop(Image.fromarray(image), top, left, height, width, list(image.shape))
            return np.asarray(cut)
        (top, left, flip), size = choice, len(image)
        moved = np.pad(image, size // 8)[top : top + size, left : left + size]
        return moved[:, ::-1] if flip else moved

    def _at_test(self, image: Picture) -> Picture:
        if self.augmentation != "resized-crop":
            return image
        size = len(image)
        larger = pictures.resize(Image.fromarray(image), [size + 8, size + 8])
        return np.asarray(pictures.center_crop(larger, [size, size]))


def normalised(images: Sequence[Picture]) -> Tensor:
    """(N, 3, S, S)"""
    grey = torch.from_numpy(np.stack([np.ascontiguousarray(image) for image in images])).float().unsqueeze(1)
    colour = ((grey - 255 * torch.tensor(MEAN)) / (255 * torch.tensor(DEVIATION))).expand(-1, 3, -1, -1)
    return colour.contiguous(memory_format=torch.channels_last)
