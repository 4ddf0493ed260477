"""What `torch.save` makes, with a digest over every byte of it, and reading it back only if that holds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from kd_hpc.disk.sealed import read_archive, require_archive, seal_archive
from kd_hpc.errors import Damaged


def to_bytes(content: Any) -> bytes:
    """The file of `content`.

    Made in memory: writing straight to a file, torch.save turns a full disk into a RuntimeError without a cause.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return seal_archive(buffer.getvalue())


def read_torch(path: Path, device: torch.device) -> Any:
    """What the file at `path` holds. Raises OSError where it cannot be read, Damaged where it is not what was written.

    torch.load alone looks at no checksum: it takes a flipped bit for another weight.
    """
    return _unpickled(read_archive(path), device)


def parse_torch(content: bytes, device: torch.device) -> Any:
    """The same of bytes that were read already."""
    require_archive(content)
    return _unpickled(content, device)


def _unpickled(content: bytes, device: torch.device) -> Any:
    try:
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception as error:  # of whatever kind: the unpickler and the archive's reader each have many
        said = str(error).strip().splitlines()
        raise Damaged(f"it cannot be read: {said[0] if said else type(error).__name__}") from None
