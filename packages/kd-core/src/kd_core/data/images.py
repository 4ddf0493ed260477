"""Prepared images: what `kd-core data prepare` leaves on disk, and what a job reads. Nothing here needs a network."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import DataError, FolderError, UsageError
from kd_hpc.files import publish, publish_text

MANIFEST = "manifest.json"

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Split(NamedTuple):
    """`images` (N, C, H, W) uint8 with C = 1 or 3, `labels` (N,) int64."""

    images: Bytes
    labels: Labels


class Dataset(NamedTuple):
    """Both splits of a data set, and the hash of their content that goes into every record."""

    name: str
    train: Split
    test: Split
    sha256: str

    @property
    def classes(self) -> int:
        return DATASETS[self.name].classes


class Manifest(BaseModel):
    """manifest.json: the SHA-256 of each array file, and where the images came from."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    files: dict[str, str]

    @property
    def sha256(self) -> str:
        return hashlib.sha256("".join(self.files[name] for name in sorted(self.files)).encode()).hexdigest()


def save_dataset(root: Path, name: str, source: str, train: Split, test: Split) -> Manifest:
    """Publish a data set below `root`; the manifest comes last, so a folder with one is whole."""
    folder = root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{folder} cannot be made: {error.strerror}.", remedy="Name another with --data.") from None
    for file, array in _files(train, test).items():
        publish(folder / file, partial(np.save, arr=array, allow_pickle=False))
    manifest = Manifest(name=name, source=source, files={file: _sha256(folder / file) for file in _files(train, test)})
    publish_text(folder / MANIFEST, manifest.model_dump_json(indent=2))
    return manifest


def load_dataset(root: Path, name: str) -> Dataset:
    """The prepared data set `name` below `root`, checked against its manifest. Raises DataError."""
    manifest = verify_dataset(root, name)
    arrays = {file: np.load(root / name / file, allow_pickle=False) for file in manifest.files}
    train = Split(arrays["train_images.npy"], arrays["train_labels.npy"])
    test = Split(arrays["test_images.npy"], arrays["test_labels.npy"])
    return Dataset(name, train, test, manifest.sha256)


def verify_dataset(root: Path, name: str) -> Manifest:
    """The manifest of a data set whose files all have the content it names. Raises UsageError, DataError."""
    if name not in DATASETS:
        raise UsageError(f"data set {name!r} is not known.", remedy=f"Known: {', '.join(DATASETS)}.")
    folder = root / name
    again = f"Prepare it again: kd-core data prepare {name} --data {root}"
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        remedy = f"On a machine with internet: kd-core data prepare {name} --data {root}"
        raise DataError(f"{name} is not prepared in {root}.", remedy=remedy) from None
    except (OSError, ValidationError) as error:
        raise DataError(f"{folder / MANIFEST} is unreadable ({type(error).__name__}).", remedy=again) from None
    if manifest.name != name or not manifest.files:
        raise DataError(f"{folder} holds {manifest.name}, by its {MANIFEST}, not {name}.", remedy=again)
    for file, expected in manifest.files.items():
        if not (folder / file).is_file() or _sha256(folder / file) != expected:
            raise DataError(f"{folder / file} is not the file that was prepared.", remedy=again)
    return manifest


def _files(train: Split, test: Split) -> dict[str, NDArray[np.generic]]:
    return {
        "train_images.npy": train.images,
        "train_labels.npy": train.labels,
        "test_images.npy": test.images,
        "test_labels.npy": test.labels,
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
