"""The real images of the evidence: where they come from, and how a campaign is told of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from kd_core.data.images import Split, save_dataset
from kd_core.data.sources import SOURCES

ImageFile = tuple[str, str, str, bytes]
"""Split (train or test), class, name, content."""


class ImageSet(NamedTuple):
    """The data set's name in a campaign, what it is called in the page, and whether it is image files."""

    dataset: str
    title: str
    is_files: bool = True

    @classmethod
    def of(cls, place: Path) -> ImageSet:
        if place.is_dir():
            return cls("FashionMNIST", "Fashion-MNIST", is_files=False)
        if place.suffix == ".zip":
            return cls("TinyImageNet20", "Twenty classes of Tiny ImageNet, at 32 by 32")
        return cls("Cifar10Jpeg", "CIFAR-10 as JPEG files")

    def table(self, folder: Path) -> str:
        """The part of a campaign file that says what the data set is; nothing for one of the catalogue."""
        return f'\n[data.{self.dataset}]\nfolder = "{folder}"\nsize = 32\n' if self.is_files else ""


def lay_out(place: Path, folder: Path, train: int, test: int) -> None:
    """The first files of each class of the archive `place`, the same number of each, as FOLDER/SPLIT/CLASS/NAME."""
    files: dict[tuple[str, str], list[tuple[str, bytes]]] = defaultdict(list)
    for split, label, name, content in _tiny(place) if place.suffix == ".zip" else _cifar(place):
        files[split, label].append((name, content))
    classes = len({label for _, label in files})
    for (split, label), found in files.items():
        home = folder / split / label
        home.mkdir(parents=True, exist_ok=True)
        for name, content in sorted(found)[: {"train": train, "test": test}[split] // classes]:
            (home / name).write_bytes(content)


def _cifar(archive: Path) -> Iterator[ImageFile]:
    with tarfile.open(archive) as opened:
        for member in opened:
            *_, split, label, name = PurePosixPath("/", "", member.name).parts[-3:]
            stream = opened.extractfile(member) if name.endswith(".jpg") else None
            if stream:
                yield split, label, name, stream.read()


def _tiny(archive: Path) -> Iterable[ImageFile]:
    """Training images stand in a folder a class, validation images in one, with their classes in a list."""
    with zipfile.ZipFile(archive) as opened:
        paths = [PurePosixPath(name) for name in opened.namelist() if name.endswith((".JPEG", "val_annotations.txt"))]
        listed = next(path for path in paths if path.name == "val_annotations.txt")
        words = (line.split("\t") for line in io.TextIOWrapper(opened.open(str(listed))))
        label_of = {name: label for name, label, *_ in words}
        for path in paths:
            if path.suffix == ".JPEG":
                split, label = ("train", path.parts[-3]) if "train" in path.parts else ("test", label_of[path.name])
                yield split, label, path.name, opened.read(str(path))


def save_fashion(place: Path, root: Path, train: int, test: int) -> None:
    """The first images of each class of the published files in the folder `place`."""
    both = SOURCES["FashionMNIST"].read(place)
    source = f"the first images of each class of {place.name}"
    save_dataset(root, "FashionMNIST", source, _first(both[0], train), _first(both[1], test))


def _first(split: Split, count: int) -> Split:
    per_class = count // 10
    chosen = np.sort(np.concatenate([np.flatnonzero(split.labels == label)[:per_class] for label in range(10)]))
    return Split(split.images[chosen], split.labels[chosen])
