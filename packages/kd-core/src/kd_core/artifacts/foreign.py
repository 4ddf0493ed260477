"""Weights that other people's code saved, under our names: RepDistiller's layout of the same networks.

RepDistiller (the code of Tian et al. 2020, arXiv:1910.10699) saves {"model": weights, ...}. Its residual networks call
the shortcut `downsample` and the last layer `fc`; its wide ones, `block1.layer.0` for `layer1.0`, say `convShortcut`.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kd_core.networks import build
from kd_core.networks.base import Network
from kd_hpc.errors import UsageError

_INSIDE = ("model", "state_dict", "weights")
_RENAMED = (
    (re.compile(r"^module\."), ""),
    (re.compile(r"^block([123])\.layer\."), r"layer\1."),
    (re.compile(r"\.(downsample|convShortcut)\."), ".shortcut."),
    (re.compile(r"^fc\."), "linear."),
)
_MOST_NAMED = 3


class Foreign(NamedTuple):
    """A network with somebody else's weights, and the SHA-256 of the file they came in."""

    network: Network
    sha256: str


def read_foreign(path: Path, model: str, classes: int) -> Foreign:
    """The network called `model`, of `classes`, with the weights in `path`, on the CPU in eval mode.

    Raises UsageError where the file holds no weights, or those of a network of another shape.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", remedy="Name the file of weights.") from None
    found, network = _renamed(_weights(content, path)), build(model, classes)
    if problem := _difference(found, network.state_dict()):
        raise UsageError(
            f"{path} does not hold the weights of a {model} of {classes} classes: {problem}.",
            remedy="Name the network that it holds with --as, and its data set with --dataset.",
        )
    network.load_state_dict(found)
    return Foreign(network.eval(), hashlib.sha256(content).hexdigest())


def _weights(content: bytes, path: Path) -> Mapping[str, Tensor]:
    """Only tensors and numbers are read: nothing in the file is run."""
    try:
        with torch.serialization.safe_globals(_numbers()):
            found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, by what else the file may be
        reason = type(error).__name__
        raise UsageError(
            f"{path} is no file of weights ({reason}).", remedy="Name one that torch.save wrote."
        ) from None
    while isinstance(found, Mapping) and (inside := next((name for name in _INSIDE if name in found), None)):
        found = found[inside]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UsageError(f"{path} holds no weights by name.", remedy="Name one with a network's state_dict in it.")
    return found


def _numbers() -> list[Any]:
    """What numpy's numbers, such as an accuracy beside the weights, are made with, as numpy 1 and 2 call it."""
    make = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)]
    return [np.dtype, *kinds, *((make, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core"))]


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ours = {}
    for name, value in weights.items():
        for pattern, text in _RENAMED:
            name = pattern.sub(text, name)
        ours[name] = value
    return ours


def _difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What keeps `found` from being `wanted`, in words; empty if nothing does."""
    lacking = [name for name in wanted if name not in found]
    foreign = [name for name in found if name not in wanted]
    others = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    shapes = [f"{name} is {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}" for name in others]
    parts = [("it lacks ", lacking), ("it has ", foreign), ("", shapes)]
    return "; ".join(word + _listed(names) for word, names in parts if names)


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
