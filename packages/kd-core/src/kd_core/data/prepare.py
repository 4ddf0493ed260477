"""From published files to prepared images, on a machine that may have internet: download, check, convert."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
from pathlib import Path

from kd_core.data.images import Manifest, Split, save_dataset
from kd_core.data.sources import SOURCES, PublishedFile, Source
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import DataError, UsageError


def prepare_dataset(name: str, root: Path, local: Path | None = None) -> Manifest:
    """Prepare `name` below `root` from files in the folder `local`, or downloaded beside the result.

    Raises UsageError for an unknown name, DataError for a file that is missing, cannot be fetched or is another one.
    """
    if name not in SOURCES:
        raise UsageError(f"data set {name!r} is not known.", remedy=f"Known: {', '.join(SOURCES)}.")
    source = SOURCES[name]
    folder = local or root / name / "downloads"
    for file in source.files:
        if local is None:
            _download(file, folder)
        _require_published(folder / file.name, file)
    train, test = _read(name, source, folder)
    _require_size(name, train, test)
    return save_dataset(root, name, _origin(source, local), train, test)


def _origin(source: Source, local: Path | None) -> str:
    if not source.files:
        return "scikit-learn"
    return f"local files {', '.join(file.name for file in source.files)}" if local else source.files[0].url


def _download(file: PublishedFile, folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    if (folder / file.name).exists():
        return
    try:
        download_url(file.url, str(folder), file.name)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{file.url} could not be downloaded: {error}.",
            remedy=f"Fetch {file.name} elsewhere, then name its folder with --from.",
        ) from None


def _require_published(path: Path, file: PublishedFile) -> None:
    if not path.is_file():
        raise DataError(f"{path} is missing.", remedy=f"It is published at {file.url}")
    if _digest(path, file) != file.digest:
        raise DataError(
            f"{path} is not the published file: its hash is {_digest(path, file)}, expected {file.digest}.",
            remedy="Delete it and run the same command again.",
        )


def _digest(path: Path, file: PublishedFile) -> str:
    if len(file.digest) == 64:
        try:
            return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        except (OSError, EOFError):
            return "none, it is no whole .gz file"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _read(name: str, source: Source, folder: Path) -> tuple[Split, Split]:
    try:
        return source.read(folder)
    except (OSError, KeyError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(
            f"The files of {name} in {folder} cannot be read: {error!r}.", remedy="Fetch them again."
        ) from error


def _require_size(name: str, train: Split, test: Split) -> None:
    facts = DATASETS[name]
    found = (len(train.labels), len(test.labels))
    if found != (facts.train_items, facts.test_items):
        raise DataError(f"{name} has {found[0]} + {found[1]} images, not {facts.train_items} + {facts.test_items}.")
