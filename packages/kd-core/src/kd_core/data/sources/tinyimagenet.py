"""Tiny ImageNet (Stanford CS231n): 64x64 colour images of two hundred classes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from kd_core.data.images import Split
from kd_core.data.sources.base import PublishedFile, Source
from kd_hpc.errors import DataError

TOP, SIZE = "tiny-imagenet-200", 64


def read_tiny_imagenet(folder: Path) -> tuple[Split, Split]:
    """`tiny-imagenet-200.zip`; classes in the order of wnids.txt sorted, images in the order of their file names.

    The published test images have no labels, so the validation images are the test split; their labels are in a
    text file beside them, not in their folders.
    """
    train, test, _ = _read(folder / f"{TOP}.zip")
    return train, test


def read_subset(place: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """The classes that have training images in the archive `place`, or in the only one in that folder."""
    archives = sorted(place.glob("tiny-imagenet*.zip")) if place.is_dir() else [place]
    if len(archives) != 1:
        raise DataError(
            f"{place} holds {len(archives)} files tiny-imagenet*.zip.", remedy="Name the one that is meant."
        )
    train, test, classes = _read(archives[0])
    if lacking := set(range(len(classes))) - set(test.labels.tolist()):
        raise DataError(
            f"{archives[0]} has no validation images of {', '.join(classes[label] for label in sorted(lacking))}.",
            remedy="Take an archive with both sides of each class.",
        )
    return train, test, classes


def _read(path: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Both splits, of the classes of wnids.txt that have training images, and their names."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        images = sorted(name for name in names if name.startswith(f"{TOP}/train/") and name.endswith(".JPEG"))
        present = {name.split("/")[2] for name in images}
        classes = sorted(set(archive.read(f"{TOP}/wnids.txt").decode().split()) & present)
        label_of = {wnid: label for label, wnid in enumerate(classes)}
        train = {name: label_of[name.split("/")[2]] for name in images if name.split("/")[2] in label_of}
        rows = (line.split("\t") for line in archive.read(f"{TOP}/val/val_annotations.txt").decode().splitlines())
        labelled = {f"{TOP}/val/images/{row[0]}": label_of[row[1]] for row in sorted(rows) if row[1] in label_of}
        test = {name: label for name, label in labelled.items() if name in names}
        return _decode(archive, train), _decode(archive, test), tuple(classes)


def _decode(archive: zipfile.ZipFile, label_of: dict[str, int]) -> Split:
    from kd_core.data.decode import decode_all, rgb

    names = list(label_of)
    images, problems = decode_all(names, SIZE, lambda name: rgb(archive.read(name)), lambda done, of: None)
    for place, problem in problems.items():
        raise DataError(f"{names[place]} in {archive.filename} cannot be read: {problem}.", remedy="Fetch it again.")
    return Split(images, np.fromiter(label_of.values(), np.int64))


SOURCE = Source(
    files=(
        PublishedFile(
            "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
            "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
        ),
    ),
    read=read_tiny_imagenet,
    mean=(0.485, 0.456, 0.406),
    deviation=(0.229, 0.224, 0.225),
    read_subset=read_subset,
)
