"""Publishing a file so that no reader, and no kill, ever sees half of it; reading one without being held up by it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from kd_hpc.errors import StoreError

MOST_TEXT = 64 << 20
"""Bytes beyond which no record, curve, list or log of ours can be meant."""
MOST_BYTES = 2 << 30
"""The same of weights, checkpoints and arrays."""
NOT_OURS = (errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ELOOP)
"""What `read_regular` raises for something that no program of ours wrote, rather than for a failing read."""


def publish(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace `path` by what `write` puts into the stream it is given, whole or not at all.

    The temporary name is unique, so two writers never share one; the last `os.replace` wins with a whole file.
    Raises StoreError when the file system refuses (full, read-only, gone); `path` then still holds what it held.
    """
    try:
        replace(path, write, drafts=path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def publish_bytes(path: Path, content: bytes) -> None:
    """`publish` for content that is already in memory."""
    publish(path, lambda stream: stream.write(content))


def publish_text(path: Path, content: str) -> None:
    """`publish` for text, as UTF-8."""
    publish_bytes(path, content.encode())


def replace(path: Path, write: Callable[[BinaryIO], object], *, drafts: Path) -> None:
    """`publish` with its temporary file in the folder `drafts`, and raising OSError as the file system does."""
    temporary = drafts / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        write_new(temporary, write)
        temporary.replace(path)
        fsync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_new(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Make the file `path`, which must not exist, and wait until its content is on disk. Raises OSError."""
    with path.open("xb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())


def unwritable(path: Path, error: OSError) -> StoreError:
    """What to say when the file system refused to write `path`."""
    return StoreError(
        f"{path} could not be written: {error.strerror or error}.",
        remedy="What it held before is untouched; free space or fix permissions, then run the same command.",
    )


def read_regular(path: Path, most: int = MOST_TEXT) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises OSError for everything else, at once: a pipe, a device or a folder in its place holds nobody up, a file of
    absurd size fills no memory, and a link to another folder is not followed.
    """
    with _opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size} bytes, more than the {most} that can be meant", str(path))
        return stream.read(most)


def regular_size(path: Path) -> int:
    """The bytes of a regular file. Raises OSError for everything else."""
    with _opened(path) as stream:
        return os.fstat(stream.fileno()).st_size


def read_head(path: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file. Raises OSError for everything else."""
    with _opened(path) as stream:
        return stream.read(most)


def read_tail(path: Path, most: int) -> bytes:
    """The last `most` bytes of a regular file. Raises OSError for everything else."""
    with _opened(path) as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - most))
        return stream.read(most)


def _opened(path: Path) -> BinaryIO:
    target = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for a link to itself
    if path.is_symlink() and target.parent != path.parent.resolve():
        raise OSError(errno.ELOOP, f"it is a link to {target}", str(path))
    _require_regular(os.stat(path), path)  # noqa: PTH116 - before the open: that of a device may do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")  # noqa: PTH123 - the caller closes it


def _require_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def sweep_temporaries(directory: Path) -> None:
    """Remove what a killed `publish` left in `directory`; only its sole owner may call this.

    Drafts of hidden files stay: they may belong to somebody who is asking for the lock.
    """
    for leftover in directory.glob(".[!.]*.tmp"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def quarantine(path: Path, reason: str) -> Path:
    """Move `path` aside, beside itself, with a note that says why; returns the new place. Nothing is overwritten."""
    number = 0
    while (target := path.with_name(f"{path.name}.quarantined.{number}")).exists():
        number += 1
    path.replace(target)
    publish_text(target.with_name(target.name + ".reason"), reason + "\n")
    return target


def fsync_folder(folder: Path) -> None:
    """Make what was renamed into `folder` survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
