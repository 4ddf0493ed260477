"""Image files of every kind that people have, for data sets of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
RED, BLUE, GREY = (200, 30, 40), (20, 60, 210), (90, 90, 90)


def halves(left: tuple[int, int, int], right: tuple[int, int, int], size: int = 16) -> Pixels:
    """(size, size, 3): one colour beside another."""
    pixels = np.empty((size, size, 3), np.uint8)
    pixels[:, : size // 2], pixels[:, size // 2 :] = left, right
    return pixels


def photo(path: Path, pixels: Pixels, mode: str = "RGB", exif: Image.Exif | bytes = b"") -> Path:
    """The file at `path`, its folder made, in the format that its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.quantize(16) if mode == "P" else image.convert(mode)).save(path, exif=exif)
    return path


def turned(path: Path, pixels: Pixels, orientation: int) -> Path:
    """As a camera writes it that was held differently: the pixels turned, and a tag that says how to turn them back."""
    undo: Mapping[int, Callable[[Pixels], Pixels]] = {
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: np.rot90(x.transpose(1, 0, 2), 2),
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    return photo(path, np.ascontiguousarray(undo[orientation](pixels)), exif=exif)


def two_classes(folder: Path, train: int = 3, test: int = 2, size: int = 16) -> Path:
    """A sound tree: warm/ and cold/ under train/ and test/, no image like another."""
    for side, count in (("train", train), ("test", test)):
        for place in range(count):
            shade = 2 * place + (1 if side == "test" else 0)
            photo(folder / side / "warm" / f"{place}.png", halves(RED, (shade, 0, 0), size))
            photo(folder / side / "cold" / f"{place}.png", halves(BLUE, (0, 0, shade), size))
    return folder
