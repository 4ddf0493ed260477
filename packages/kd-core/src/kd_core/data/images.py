"""Prepared images: what `kd-core data prepare` leaves on disk, and what a job reads. Nothing here needs a network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from kd_hpc.catalogue import DATASETS, DatasetFacts
from kd_hpc.disk.files import publish, publish_bytes
from kd_hpc.disk.sealed import object_bytes, read_object
from kd_hpc.errors import Damaged, DataError, FolderError, UsageError

MANIFEST = "manifest.json"

YOURS = (
    "One of your own is prepared from the campaign file that describes it: kd-core data prepare NAME --campaign FILE."
)

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]
Channels = tuple[float, float, float]


class Split(NamedTuple):
    """`images` (N, C, H, W) uint8 with C = 1 or 3, `labels` (N,) int64."""

    images: Bytes
    labels: Labels


class OwnFacts(BaseModel):
    """What the catalogue and a source say of a published data set, of one that is somebody's own; see `Source`."""

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...]
    mean: Channels
    deviation: Channels
    mirrored: bool


class Dataset(NamedTuple):
    """Both splits of a data set, and the hash of their content that goes into every record.

    `own` is None for a published one.
    """

    name: str
    train: Split
    test: Split
    sha256: str
    own: OwnFacts | None = None
    validation: Split | None = None
    """Held out of the training images; see kd_core.data.validation."""

    @property
    def facts(self) -> DatasetFacts:
        classes = len(self.own.class_names) if self.own else DATASETS[self.name].classes
        return DatasetFacts(classes, len(self.train.labels), len(self.test.labels), self.train.images.shape[-1])


class Manifest(BaseModel):
    """manifest.json: the SHA-256 of each array file, and where the images came from."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    files: dict[str, str]
    own: OwnFacts | None = None
    left_out: tuple[str, ...] = ()
    """Files that could not be read and were not to stop the others."""

    @property
    def sha256(self) -> str:
        """Of everything that training sees."""
        parts = [self.files[name] for name in sorted(self.files)]
        return hashlib.sha256("".join([*parts, self.own.model_dump_json() if self.own else ""]).encode()).hexdigest()


def save_dataset(
    root: Path,
    name: str,
    source: str,
    train: Split,
    test: Split,
    own: OwnFacts | None = None,
    left_out: Sequence[str] = (),
) -> Manifest:
    """Publish a data set below `root`; the manifest comes last, so a folder with one is whole."""
    folder = root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{folder} cannot be made: {error.strerror}.", remedy="Name another with --data.") from None
    for file, array in _files(train, test).items():
        publish(folder / file, partial(np.save, arr=array, allow_pickle=False))
    files = {file: _sha256(folder / file) for file in _files(train, test)}
    manifest = Manifest(name=name, source=source, files=files, own=own, left_out=tuple(left_out))
    publish_bytes(folder / MANIFEST, object_bytes(manifest.model_dump(mode="json")))
    return manifest


def load_dataset(root: Path, name: str) -> Dataset:
    """The prepared data set `name` below `root`, checked against its manifest. Raises DataError."""
    manifest = verify_dataset(root, name)
    arrays = {file: np.load(root / name / file, allow_pickle=False) for file in manifest.files}
    train = Split(arrays["train_images.npy"], arrays["train_labels.npy"])
    test = Split(arrays["test_images.npy"], arrays["test_labels.npy"])
    return Dataset(name, train, test, manifest.sha256, manifest.own)


def verify_dataset(root: Path, name: str) -> Manifest:
    """The manifest of a data set whose files all have the content it names. Raises UsageError, DataError."""
    folder = root / name
    if name not in DATASETS and not (folder / MANIFEST).exists():
        raise UsageError(f"data set {name!r} is not known.", remedy=f"Known: {', '.join(DATASETS)}. {YOURS}")
    again = f"Prepare it again: kd-core data prepare {name} --data {root}"
    again += "" if name in DATASETS else " --campaign FILE"
    try:
        manifest = Manifest.model_validate(read_object(folder / MANIFEST))
    except FileNotFoundError:
        remedy = f"On a machine with internet: kd-core data prepare {name} --data {root}"
        raise DataError(f"{name} is not prepared in {root}.", remedy=remedy) from None
    except Damaged as damage:
        raise DataError(f"{folder / MANIFEST} is unreadable: {damage.what}.", remedy=again) from None
    except (OSError, ValidationError) as error:
        raise DataError(f"{folder / MANIFEST} is unreadable ({type(error).__name__}).", remedy=again) from None
    if name not in DATASETS and manifest.own is None:
        raise DataError(f"{folder / MANIFEST} does not say what {name} is.", remedy=again)
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
