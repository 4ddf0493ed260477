"""From published files to prepared images, on a machine that may have internet: download, check, convert."""

from __future__ import annotations

import gzip
import hashlib
import sys
import zlib
from contextlib import redirect_stdout, suppress
from http.client import HTTPException
from pathlib import Path

from kd_core.data.images import Manifest, Split, save_dataset
from kd_core.data.sources import SOURCES
from kd_core.data.sources.base import PublishedFile, Source
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import DataError, KdError, UsageError

_MOST_BYTES = 1 << 30
"""Of what a small file may say that it holds."""


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
        else:
            _require_published(folder / file.name, file)
    train, test = _read(name, source, folder)
    _require_size(name, train, test)
    return save_dataset(root, name, _origin(source, local), train, test)


def _origin(source: Source, local: Path | None) -> str:
    if not source.files:
        return "scikit-learn"
    return f"local files {', '.join(file.name for file in source.files)}" if local else source.files[0].url


def _download(file: PublishedFile, folder: Path) -> None:
    """Leave `file` in `folder`, whole and checked; until it is, it has another name."""
    whole, unchecked = folder / file.name, folder / f"{file.name}.part"
    if whole.is_file() and _digest(whole, file) == file.digest:
        return
    try:
        _fetch(file, unchecked)
        _require_published(unchecked, file)
        unchecked.replace(whole)
    finally:
        with suppress(OSError):
            unchecked.unlink()


def _fetch(file: PublishedFile, path: Path) -> None:
    from torchvision.datasets.utils import download_url

    try:
        path.unlink(missing_ok=True)  # download_url takes any file that is there for the one it wants
        with redirect_stdout(sys.stderr):
            download_url(file.url, str(path.parent), path.name)
    except (OSError, RuntimeError, HTTPException) as error:
        raise DataError(
            f"{file.url} could not be downloaded to {path.parent}: {error}.",
            remedy=f"Fetch {file.name} elsewhere, then name its folder with --from.",
        ) from None


def _require_published(path: Path, file: PublishedFile) -> None:
    if not path.is_file():
        raise DataError(f"{path} is missing.", remedy=f"It is published at {file.url}")
    if (found := _digest(path, file)) != file.digest:
        raise DataError(
            f"{path} is not the published file: its hash is {found}, expected {file.digest}.",
            remedy=f"Fetch it again from {file.url}",
        )


def _digest(path: Path, file: PublishedFile) -> str:
    with path.open("rb") as stream:
        if not file.is_compressed:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        try:
            return hashlib.sha256(gzip.GzipFile(fileobj=stream).read(_MOST_BYTES)).hexdigest()
        except (OSError, EOFError, zlib.error):
            return "none, it is no whole .gz file"


def _read(name: str, source: Source, folder: Path) -> tuple[Split, Split]:
    try:
        return source.read(folder)
    except KdError:
        raise
    except Exception as error:  # five formats, each with errors of its own
        raise DataError(
            f"The files of {name} in {folder} cannot be read: {error!r}.", remedy="Fetch them again."
        ) from error


def _require_size(name: str, train: Split, test: Split) -> None:
    facts = DATASETS[name]
    for split, items in ((train, facts.train_items), (test, facts.test_items)):
        found = (len(split.images), len(split.labels), *split.images.shape[2:])
        if found != (items, items, facts.size, facts.size):
            raise DataError(
                f"{name} has {found[0]} images of {found[2]}x{found[3]} and {found[1]} labels in a split of {items} "
                f"images of {facts.size}x{facts.size}.",
                remedy="Fetch its files again.",
            )
