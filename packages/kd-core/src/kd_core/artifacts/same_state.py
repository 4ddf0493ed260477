"""Whether two states of a run are the same: tensor by tensor, bit by bit, and curve by curve."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.torchfile import read_torch
from kd_hpc.errors import Damaged

NOT_TRAINED = frozenset(["schema", "identity", "recipe", "curves.seconds", "curves.students"])
"""What a checkpoint holds beside results: of which run it is, and what the clock said."""


def curves_off(curves: Mapping[str, Any], expected: Mapping[str, Any], epoch: int) -> Iterator[str]:
    for name, value in expected.items():
        if isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in curves_off(curves.get(name, {}), value, epoch))
        elif list(curves.get(name, ()))[:epoch] != list(value)[:epoch]:
            yield name


def weights_off(path: Path, expected: Mapping[str, Any]) -> Iterator[str]:
    try:
        found = dict(leaves(read_torch(path, torch.device("cpu"))["weights"]))
    except (OSError, Damaged, LookupError, TypeError):
        yield f"{path.name} cannot be read"
        return
    theirs = dict(leaves(expected))
    yield from (f"{path.name}: {name}" for name in theirs if not same_bits(theirs[name], found.get(name)))


def leaves(value: Any, without: Container[str] = (), name: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested mappings and lists of tensors, by dotted name; plain lists are leaves."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            full = f"{name}.{key}" if name else str(key)
            if full not in without:
                yield from leaves(inner, without, full)
    elif isinstance(value, Sequence) and value and isinstance(value[0], torch.Tensor):
        for number, inner in enumerate(value):
            yield from leaves(inner, without, f"{name}.{number}")
    else:
        yield name, value


def same_bits(left: Any, right: Any) -> bool:
    """Whether all bits are the same."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        left, right = left.detach().cpu().contiguous(), right.detach().cpu().contiguous()
        return left.dtype == right.dtype and left.shape == right.shape and _bytes(left) == _bytes(right)
    return type(left) is type(right) and left == right


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
