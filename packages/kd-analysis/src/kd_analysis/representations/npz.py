"""representations.npz on disk: read it, judge it, cut it to the items every run is compared on."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from kd_analysis.geometry.predictions import accuracy
from kd_analysis.geometry.similarity import stratified
from kd_hpc.disk.sealed import read_archive
from kd_hpc.errors import Damaged, StoreError

LAYERS = ("layer1", "layer2", "layer3")
NEEDED = (*LAYERS, "logits", "labels", "item_index")
MOST_ITEMS = 10_000


@dataclass(frozen=True)
class Representations:
    """Test-set items in stored order: layers (N, C) each, logits (N, K), labels (N,), item_index (N,)."""

    layers: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    item_index: NDArray[np.int64]

    def cut(self) -> Representations:
        """At most 10,000 items, class-stratified, the same ones in every file of the same labels."""
        keep = stratified(self.labels, MOST_ITEMS)
        layers = {name: values[keep] for name, values in self.layers.items()}
        return Representations(layers, self.logits[keep], self.labels[keep], self.item_index[keep])


@dataclass(frozen=True)
class Inspection:
    """What a file turned out to be; `items` identifies its items and their order, `problem` is empty if it is sound."""

    problem: str
    count: int = 0
    items: str = ""
    accuracy: float = float("nan")


def load(path: Path) -> Representations:
    """The file's content. Raises StoreError with the reason if it is truncated, foreign or not finite."""
    try:
        with _archive(io.BytesIO(read_archive(path))) as stored:
            arrays = {name: stored[name] for name in NEEDED}
    except KeyError as error:
        raise StoreError(f"{path} holds no array {error.args[0]!r}.") from None
    except Damaged as error:
        raise StoreError(f"{path} is unreadable: {error.what}.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise StoreError(f"{path} is unreadable: {error}.") from None
    _require_sound(path, arrays)
    return Representations(
        {name: arrays[name].astype(np.float32, copy=False) for name in LAYERS},
        arrays["logits"].astype(np.float32, copy=False),
        arrays["labels"].astype(np.int64),
        arrays["item_index"].astype(np.int64),
    )


def _archive(stream: BinaryIO) -> NpzFile:
    found = np.load(stream, allow_pickle=False)
    if not isinstance(found, NpzFile):
        raise ValueError("no npz archive")
    return found


def inspect(path: Path) -> Inspection:
    """`load`, reduced to what triage needs."""
    try:
        found = load(path)
    except StoreError as error:
        return Inspection(error.what.removeprefix(f"{path} "))
    items = sha256(found.item_index.tobytes() + found.labels.tobytes()).hexdigest()
    return Inspection("", len(found.labels), items, accuracy(found.logits, found.labels))


def _require_sound(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    lengths = {name: len(values) if values.ndim else 0 for name, values in arrays.items()}
    if len(set(lengths.values())) != 1 or not lengths["labels"]:
        raise StoreError(f"{path} holds arrays of different length: {lengths}.")
    for name in (*LAYERS, "logits"):
        if arrays[name].ndim != 2 or arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise StoreError(f"{path} holds no finite matrix under {name!r}.")
    for name in ("labels", "item_index"):
        if arrays[name].ndim != 1 or arrays[name].dtype.kind not in "iuf":
            raise StoreError(f"{path} holds no vector of whole numbers under {name!r}.")
