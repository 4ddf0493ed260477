"""Moving a folder without ever deleting a file: renamed, or across file systems copied, compared and put aside.

The target appears whole, in one step, and last: whoever finds it knows that the move is done.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kd_hpc.errors import FolderError, StoreError


def relocate(source: Path, target: Path, aside: Path) -> None:
    """Move the folder `source` to `target`; across file systems a copy becomes `target` and the original `aside`.

    A kill leaves what the same call finishes; with `target` in place it does nothing. Raises StoreError where the file
    system refuses, or where copy and original differ.
    """
    if target.exists():
        return
    copy = _copy_of(target)
    try:
        if not is_compared(target, aside):
            if _renamed(source, target):
                return
            _copy(source, copy)
            _require_same(source, copy)
            source.rename(aside)
        copy.rename(target)
    except OSError as error:
        raise StoreError(
            f"{source} could not be moved to {target}: {error.strerror or error}.",
            remedy="Nothing is lost: mend that, and the same command goes on from here.",
        ) from error


def is_compared(target: Path, aside: Path) -> bool:
    """True if a killed `relocate` left the original put aside, hence its copy compared: only the last rename lacks."""
    return _copy_of(target).is_dir() and aside.is_dir()


def require_movable(source: Path, target: Path, aside: Path) -> None:
    """Raise FolderError where `relocate` could not end well, before anything is done."""
    if source.is_mount():
        raise FolderError(
            f"{source} is a file system of its own and cannot be moved.",
            remedy=f"Keep runs in a folder on it, with {source} a link to that folder.",
        )
    if target.resolve().is_relative_to(source):
        raise FolderError(f"{target} would lie inside {source}, which is to be moved.")
    if aside.exists():
        raise FolderError(f"{aside} exists already.", remedy="Move it elsewhere first.")


def _copy_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.copying")


def _renamed(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(source: Path, copy: Path) -> None:
    """Every folder, file and link of `source` into `copy`; what an earlier, killed call copied whole stays."""
    for path in _everything(source):
        target = copy / path
        if (source / path).is_symlink():
            if not target.is_symlink():
                target.symlink_to((source / path).readlink())
        elif (source / path).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not (target.exists() and filecmp.cmp(source / path, target, shallow=False)):
            shutil.copy2(source / path, target)
    os.sync()


def _require_same(source: Path, copy: Path) -> None:
    there, here = list(_everything(source)), list(_everything(copy))
    different = set(there) ^ set(here)
    filecmp.clear_cache()
    for path in there if not different else ():
        one, other = source / path, copy / path
        if one.is_symlink():
            same = other.is_symlink() and one.readlink() == other.readlink()
        else:
            same = one.is_dir() == other.is_dir() and (one.is_dir() or filecmp.cmp(one, other, shallow=False))
        if not same:
            different.add(path)
    if different:
        raise StoreError(
            f"{copy} is not what {source} holds: {min(different)} differs ({len(different)} in all).",
            remedy="Nothing was moved. See that nothing writes there, move the copy away, then run this again.",
        )


def _refuse(error: OSError) -> None:
    raise error


def _everything(root: Path) -> Iterator[Path]:
    """Paths relative to `root`, itself included, folders before what they hold; links are not followed."""
    yield Path()
    for directory, folders, files in os.walk(root, onerror=_refuse):
        inside = Path(directory).relative_to(root)
        yield from (inside / name for name in sorted((*folders, *files)))
