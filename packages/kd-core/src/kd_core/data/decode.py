"""From image files of any kind and size to one array of square images."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps

from kd_core.data.images import Bytes

MOST_PIXELS = 100_000_000
_WORKERS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
_ENOUGH = 4
"""A JPEG so many times as large as asked for, or more, is decoded at half, a quarter or an eighth of its size."""
_WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")

Item = TypeVar("Item")
Advance = Callable[[int, int], None]
"""Is told how many of how many are done."""


class Decoded(NamedTuple):
    """`images` (N, 3, S, S) uint8; `problems` says of some places why there is no image."""

    images: Bytes
    problems: dict[int, str]


def decode_files(files: Sequence[Path], size: int, advance: Advance) -> Decoded:
    """Every file as an upright square of `size` pixels a side, its middle where it was not square."""
    return decode_all(files, size, partial(_read_square, size=size), advance)


def decode_all(items: Sequence[Item], size: int, pixels: Callable[[Item], Bytes], advance: Advance) -> Decoded:
    """`pixels` of each item, (3, S, S); a problem where it raises anything. In as many threads as there are cores."""
    images = np.zeros((len(items), 3, size, size), np.uint8)
    problems: dict[int, str] = {}

    def fill(place: int) -> None:
        try:
            images[place] = pixels(items[place])
        except Exception as error:  # whatever a broken file does to its reader
            problems[place] = f"{type(error).__name__}: {error}".partition("\n")[0]

    with _words_of_our_own(), ThreadPoolExecutor(_WORKERS) as pool:
        for done, _ in enumerate(pool.map(fill, range(len(items))), start=1):
            advance(done, len(items))
    return Decoded(images, dict(sorted(problems.items())))


def rgb(content: bytes) -> Bytes:
    """(3, H, W) of an image as it is stored, which has as many pixels as it should."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _read_square(path: Path, size: int) -> Bytes:
    with Image.open(path) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise ValueError(f"{width} x {height} pixels are more than {MOST_PIXELS // 10**6} million")
        image.draft(None, (_ENOUGH * size, _ENOUGH * size))
        square = ImageOps.fit(_coloured(_upright(image)), (size, size), Image.Resampling.BICUBIC)
        return np.asarray(square).transpose(2, 0, 1)


def _upright(image: Image.Image) -> Image.Image:
    """As the camera was held; as it is stored where what should say so is damaged."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of many kinds, and none of them says anything about the pixels
        return image


def _coloured(image: Image.Image) -> Image.Image:
    """As RGB: what is transparent on white, the upper eight of sixteen bits."""
    if image.mode in _WIDE:
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


@contextmanager
def _words_of_our_own() -> Iterator[None]:
    """PIL warns of large images and damaged tags in words that name no file; ours do."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
