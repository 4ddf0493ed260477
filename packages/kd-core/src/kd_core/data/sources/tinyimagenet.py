"""Tiny ImageNet (Stanford CS231n): 64x64 colour images of two hundred classes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kd_core.data.images import Split
from kd_core.data.sources.base import PublishedFile, Source


def read_tiny_imagenet(folder: Path) -> tuple[Split, Split]:
    """`tiny-imagenet-200.zip`; classes in the order of wnids.txt sorted, images in the order of their file names.

    The published test images have no labels, so the validation images are the test split; their labels are in a
    text file beside them, not in their folders.
    """
    with zipfile.ZipFile(folder / "tiny-imagenet-200.zip") as archive:
        top = "tiny-imagenet-200"
        wnids = sorted(archive.read(f"{top}/wnids.txt").decode().split())
        label_of = {wnid: label for label, wnid in enumerate(wnids)}
        train = {
            name: label_of[name.split("/")[2]]
            for name in sorted(archive.namelist())
            if name.startswith(f"{top}/train/") and name.endswith(".JPEG")
        }
        rows = (line.split("\t") for line in archive.read(f"{top}/val/val_annotations.txt").decode().splitlines())
        test = {f"{top}/val/images/{row[0]}": label_of[row[1]] for row in sorted(rows)}
        return _decode(archive, train), _decode(archive, test)


def _decode(archive: zipfile.ZipFile, label_of: dict[str, int]) -> Split:
    from PIL import Image

    def pixels(name: str) -> NDArray[np.uint8]:
        return np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")).transpose(2, 0, 1)

    return Split(np.stack([pixels(name) for name in label_of]), np.fromiter(label_of.values(), np.int64))


SOURCE = Source(
    files=(PublishedFile("http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"),),
    read=read_tiny_imagenet,
    mean=(0.485, 0.456, 0.406),
    deviation=(0.229, 0.224, 0.225),
)
