"""checkpoint.pth: the whole state of a run after its last finished epoch, and the one before as a reserve."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.torchfile import publish_torch
from kd_hpc.files import quarantine

_SCHEMA = 1


def previous(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_checkpoint(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Publish `state` as the checkpoint at `path`; the one it replaces is kept beside it. Raises StoreError."""
    if path.exists():
        spare = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):  # a file system without hard links goes without the reserve
            spare.unlink(missing_ok=True)
            os.link(path, spare)
            spare.replace(previous(path))
    publish_torch(path, {"schema": _SCHEMA, "identity": dict(identity), **state})


def load_checkpoint(
    path: Path, identity: Mapping[str, Any], device: torch.device
) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest usable checkpoint at `path`, or None, and what was wrong with those that are not.

    An unusable one, torn or of another run, is moved aside with its reason; it is never overwritten.
    """
    complaints: list[str] = []
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        reason = ""
        try:
            content = torch.load(candidate, map_location=device, weights_only=True)
            reason = _mismatch(content, identity)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            reason = f"it cannot be read: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if not reason:
            return content, complaints
        complaints.append(f"{candidate} was not used and moved to {quarantine(candidate, reason).name}: {reason}")
    return None, complaints


def _mismatch(content: Any, identity: Mapping[str, Any]) -> str:
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        return f"it is no checkpoint of schema {_SCHEMA}"
    theirs = content["identity"]
    for key in identity:
        if theirs.get(key) != identity[key]:
            return f"it is of another run: {key} is {theirs.get(key)!r}, not {identity[key]!r}"
    return ""
