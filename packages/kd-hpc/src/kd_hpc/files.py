"""Publishing a file so that no reader, and no kill, ever sees half of it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from kd_hpc.errors import StoreError


def publish(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace `path` by what `write` puts into the stream it is given, whole or not at all.

    The temporary name is unique, so two writers never share one; the last `os.replace` wins with a whole file.
    Raises StoreError when the file system refuses (full, read-only, gone); `path` then still holds what it held.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _fsync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path} could not be written: {error.strerror or error}.",
            remedy="What it held before is untouched; free space or fix permissions, then run the same command.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def publish_bytes(path: Path, content: bytes) -> None:
    """`publish` for content that is already in memory."""
    publish(path, lambda stream: stream.write(content))


def publish_text(path: Path, content: str) -> None:
    """`publish` for text, as UTF-8."""
    publish_bytes(path, content.encode())


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


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
