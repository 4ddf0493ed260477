"""checkpoint.pth: the whole state of a run after its last finished epoch, and the one before as a reserve."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.torchfile import read_torch, to_bytes
from kd_hpc.errors import CheckpointError, Damaged, StoreError
from kd_hpc.fence import Fence

_SCHEMA = 1


def previous(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_checkpoint(fence: Fence, path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Publish `state` as the checkpoint at `path`; the one it replaces is kept beside it.

    Raises StoreError, Superseded.
    """
    content = to_bytes({"schema": _SCHEMA, "identity": dict(identity), **state})
    if path.exists():
        with contextlib.suppress(StoreError):  # without the reserve rather than not at all
            fence.keep(path, previous(path))
    fence.publish(path, content)


def keep_checkpoint(fence: Fence, path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Publish `state` as a checkpoint that no later one replaces. Raises StoreError, Superseded."""
    fence.publish(path, to_bytes({"schema": _SCHEMA, "identity": dict(identity), **state}))


def load_checkpoint(
    fence: Fence, path: Path, identity: Mapping[str, Any], device: torch.device
) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest usable checkpoint at `path`, or None, and what was wrong with those that are not.

    An unusable one, torn or of another run, is moved aside with its reason; it is never overwritten. Raises
    CheckpointError where reading fails, which says nothing about the file.
    """
    complaints: list[str] = []
    for candidate in (path, previous(path)):
        content, reason = _read(candidate, identity, device)
        if content is not None:
            return content, complaints
        if reason:
            aside = fence.set_aside(candidate, reason)
            complaints.append(f"{candidate} was not used and moved to {aside.name}: {reason}")
    return None, complaints


def _read(path: Path, identity: Mapping[str, Any], device: torch.device) -> tuple[dict[str, Any] | None, str]:
    """The checkpoint at `path`, or what is wrong with it; neither where there is none."""
    try:
        content = read_torch(path, device)
    except FileNotFoundError:
        return None, ""
    except Damaged as error:
        return None, error.what
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read now: {error.strerror}.", remedy="Nothing is lost: mend that, then try again."
        ) from None
    reason = _mismatch(content, identity)
    return (None, reason) if reason else (content, "")


def _mismatch(content: Any, identity: Mapping[str, Any]) -> str:
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        return f"it is no checkpoint of schema {_SCHEMA}"
    theirs = content.get("identity")
    if not isinstance(theirs, dict):
        return "it does not say of which run it is"
    for key in identity:
        if theirs.get(key) != identity[key]:
            return f"it is of another run: {key} is {theirs.get(key)!r}, not {identity[key]!r}"
    return ""
