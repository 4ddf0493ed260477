"""Image files in folders, one folder a class: which there are, of which class, in which split. Nothing is opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kd_hpc.errors import DataError

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))
TEST_FOLDERS = ("test", "val")
_MOST_NAMED = 5

Files = Mapping[str, Sequence[Path]]
"""Image files by class, both in the order of their names."""


class Tree(NamedTuple):
    """Both splits, of the same classes; `others` are files that are no images by their names."""

    train: Files
    test: Files
    others: tuple[Path, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.train)


def find_tree(folder: Path, test_fraction: float | None) -> Tree:
    """The images below `folder`: in train/CLASS and test/CLASS (or val/CLASS), or in CLASS with a fraction for testing.

    A class may have folders of its own inside. Raises DataError where this is no such tree, or a class is empty.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder.", remedy="Mend `folder` in the campaign file.")
    tests = [folder / name for name in TEST_FOLDERS if (folder / name).is_dir()]
    is_split = (folder / "train").is_dir() and bool(tests)
    if is_split and test_fraction is not None:
        raise DataError(
            f"{folder} has train/ and {tests[0].name}/, so test_fraction has no meaning.",
            remedy="Delete test_fraction.",
        )
    if not is_split and test_fraction is None:
        raise DataError(
            f"{folder} has no train/ and test/ with a folder for each class.",
            remedy="Make them, or say which share of each class is for testing: test_fraction = 0.2.",
        )
    others: list[Path] = []
    if test_fraction is None:
        train, test = (_classes(place, others) for place in (folder / "train", tests[0]))
    else:
        train, test = _divide(_classes(folder, others), folder, test_fraction)
    _require_same_classes(folder, train, test)
    return Tree(train, test, tuple(others))


def _classes(folder: Path, others: list[Path]) -> Files:
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    for name in names:
        if name != printable(name):
            raise DataError(f"{folder} has a folder whose name is no UTF-8: {printable(name)}.", remedy="Rename it.")
    return {name: _images(folder / name, others) for name in names}


def _images(folder: Path, others: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in sorted(_walk(folder, set())):
        (found if path.suffix.lower() in SUFFIXES else others).append(path)
    return found


def _walk(folder: Path, above: set[str]) -> Iterator[Path]:
    """Every file below, links followed, but not those that lead back; nothing whose name begins with a dot."""
    here = os.path.realpath(folder)
    if here in above:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {error.strerror}.", remedy="Let it be read.") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, above | {here})
        else:
            yield folder / entry.name


def _divide(files: Files, folder: Path, fraction: float) -> tuple[Files, Files]:
    """The same share of each class for testing, chosen by the files' names: an image keeps its side as others come."""
    train, test = dict[str, list[Path]](), dict[str, list[Path]]()
    for name, paths in files.items():
        chosen = set(sorted(paths, key=lambda path: _rank(path.relative_to(folder)))[: _share(len(paths), fraction)])
        train[name] = [path for path in paths if path not in chosen]
        test[name] = [path for path in paths if path in chosen]
    return train, test


def _share(count: int, fraction: float) -> int:
    return min(max(1, round(fraction * count)), count - 1) if count > 1 else 0


def _rank(relative: Path) -> bytes:
    return hashlib.sha256(os.fsencode(relative.as_posix())).digest()


def _require_same_classes(folder: Path, train: Files, test: Files) -> None:
    if len(train.keys() | test.keys()) < 2:
        raise DataError(
            f"{folder} has fewer than two classes.", remedy="Each class is a folder with its images inside."
        )
    for side, files in (("train", train), ("test", test)):
        if lacking := [name for name in sorted(train.keys() | test.keys()) if not files.get(name)]:
            raise DataError(
                f"{folder}: no {side} images of {listed(lacking)}.",
                remedy="Add some, or delete the class on the other side.",
            )


def listed(names: Sequence[object]) -> str:
    """The first few, and how many more."""
    more = len(names) - _MOST_NAMED
    return ", ".join(map(printable, names[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def printable(name: object) -> str:
    """A file's name for a message, its bytes that are no UTF-8 as escapes."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")
