"""A data set of one's own, from the folder that a campaign file names to prepared arrays: decoded, measured, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kd_core.data.decode import Advance, Decoded, decode_files
from kd_core.data.folders import Files, find_tree, listed, printable
from kd_core.data.images import Bytes, Manifest, OwnFacts, Split, save_dataset
from kd_core.data.sources import SOURCES
from kd_hpc.campaign import OwnData
from kd_hpc.errors import DataError, KdError, UsageError

_CHUNK = 4096


class Prepared(NamedTuple):
    """What is on disk now, and what a person should know of it."""

    manifest: Manifest
    remarks: tuple[str, ...]


def prepare_own(name: str, own: OwnData, root: Path, advance: Advance = lambda done, of: None) -> Prepared:
    """Prepare the data set called `name`, which a campaign file describes as `own`, below `root`. Raises DataError."""
    folder = Path(own.folder)
    if own.subset_of is not None:
        return _prepare_part(own.subset_of, folder, root, name, own.mirrored)
    tree = find_tree(folder, own.test_fraction)
    both = [*_paths(tree.train), *_paths(tree.test)]
    decoded = decode_files(both, own.size, advance)
    left_out = _left_out(folder, both, decoded, skip=own.skip_unreadable)
    labels = np.array([*_labels(tree.train), *_labels(tree.test)], np.int64)
    is_test = np.arange(len(both)) >= len(_paths(tree.train))
    is_read = np.array([place not in decoded.problems for place in range(len(both))])
    train, test = (Split(decoded.images[side & is_read], labels[side & is_read]) for side in (~is_test, is_test))
    _require_all_classes(folder, tree.classes, train, test)
    manifest = _save(
        root, name, f"image files in {folder.absolute()}", train, test, tree.classes, own.mirrored, left_out
    )
    return Prepared(manifest, (*_about_others(tree.others), *_about_left_out(left_out), *_about_repeats(train, test)))


def prepare_part(published: str, place: Path, root: Path) -> Prepared:
    """Prepare what the archive at `place`, a file or the folder it is alone in, holds of a published data set.

    It is called by that one's name and its number of classes. Raises UsageError for a data set that is not known,
    DataError for one that cannot be read in parts, or for what is no such archive.
    """
    if published not in SOURCES:
        raise UsageError(f"data set {published!r} is not known.", remedy=f"Known: {', '.join(SOURCES)}.")
    return _prepare_part(published, place, root, "", SOURCES[published].mirrored)


def _prepare_part(published: str, place: Path, root: Path, name: str, mirrored: bool) -> Prepared:
    read = SOURCES[published].read_subset
    if read is None:
        able = ", ".join(other for other in SOURCES if SOURCES[other].read_subset)
        raise DataError(f"{published} cannot be read in parts.", remedy=f"These can: {able}.")
    try:
        train, test, classes = read(place)
    except KdError:
        raise
    except Exception as error:
        raise DataError(
            f"{place} cannot be read as a part of {published}: {error!r}.", remedy="Fetch it again."
        ) from error
    name = name or f"{published}-{len(classes)}"
    source = f"a part of {published} in {place.absolute()}"
    return Prepared(_save(root, name, source, train, test, classes, mirrored, ()), _about_repeats(train, test))


def _save(
    root: Path,
    name: str,
    source: str,
    train: Split,
    test: Split,
    classes: Sequence[str],
    mirrored: bool,
    left_out: Sequence[str],
) -> Manifest:
    if all(_is_grey(split.images) for split in (train, test)):
        train, test = (split._replace(images=split.images[:, :1].copy()) for split in (train, test))
    mean, deviation = _moments(train.images)
    own = OwnFacts(class_names=tuple(classes), mean=mean, deviation=deviation, mirrored=mirrored)
    return save_dataset(root, name, source, train, test, own, left_out)


def _paths(files: Files) -> list[Path]:
    return [path for paths in files.values() for path in paths]


def _labels(files: Files) -> list[int]:
    return [label for label, paths in enumerate(files.values()) for _ in paths]


def _left_out(folder: Path, paths: Sequence[Path], decoded: Decoded, *, skip: bool) -> list[str]:
    """The files without an image. Raises DataError where they are not to be skipped."""
    names = {place: printable(paths[place].relative_to(folder)) for place in decoded.problems}
    if names and not skip:
        reasons = [f"{names[place]} ({reason})" for place, reason in decoded.problems.items()]
        raise DataError(
            f"{len(names)} of {len(paths)} files in {folder} cannot be read as images: {listed(reasons)}.",
            remedy="Mend or delete them, or write skip_unreadable = true in the campaign file.",
        )
    return list(names.values())


def _require_all_classes(folder: Path, classes: Sequence[str], train: Split, test: Split) -> None:
    for side, split in (("train", train), ("test", test)):
        lacking = sorted(set(range(len(classes))) - set(split.labels.tolist()))
        if lacking:
            names = listed([classes[label] for label in lacking])
            raise DataError(f"{folder}: no {side} image of {names} can be read.", remedy="Mend those files.")


def _is_grey(images: Bytes) -> bool:
    chunks = (images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK))
    return all(bool((chunk[:, :1] == chunk).all()) for chunk in chunks)


def _moments(images: Bytes) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation of each channel of images (N, C, S, S), scaled to [0, 1]; of grey ones three times the same.

    Counted by value, so that no sum is rounded; a channel that is the same everywhere is divided by 1.
    """
    counts = np.zeros((images.shape[1], 256), np.int64)
    for start in range(0, len(images), _CHUNK):
        for channel in range(images.shape[1]):
            counts[channel] += np.bincount(images[start : start + _CHUNK, channel].ravel(), minlength=256)
    values, share = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = share @ values
    deviation = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
    deviation[deviation == 0] = 1
    first, second, third = (np.stack([mean, deviation], 1).round(6).tolist() * 3)[:3]
    return (first[0], second[0], third[0]), (first[1], second[1], third[1])


def _digest(image: Bytes) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _about_others(others: Sequence[Path]) -> tuple[str, ...]:
    if not others:
        return ()
    kinds = sorted({path.suffix.lower() or "no suffix" for path in others})
    return (f"{len(others)} files are no images by their names and were left out ({', '.join(kinds)}).",)


def _about_left_out(left_out: Sequence[str]) -> tuple[str, ...]:
    return (f"{len(left_out)} files cannot be read and were left out: {listed(left_out)}.",) if left_out else ()


def _about_repeats(train: Split, test: Split) -> tuple[str, ...]:
    """Test images that training sees, too, tell nothing about what was learned."""
    known = set(map(_digest, train.images))
    repeated = sum(_digest(image) in known for image in test.images)
    return (f"{repeated} of {len(test.images)} test images are training images, pixel by pixel.",) if repeated else ()
