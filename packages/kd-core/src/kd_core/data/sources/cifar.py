"""The archives of CIFAR-10 and CIFAR-100: pickled batches, read without running what a pickle may say."""

from __future__ import annotations

import pickle
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from kd_core.data.images import Bytes, Labels, Split
from kd_hpc.errors import DataError


def read_archive(archive_path: Path, train: list[str], test: str, labels: str) -> tuple[Split, Split]:
    """The batches `train`, one after the other, and the batch `test`; rows of 3072 bytes, channel first."""
    with tarfile.open(archive_path) as archive:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}

        def batch(name: str) -> Split:
            stream = archive.extractfile(members[name])
            assert stream is not None, "getmembers gave only files"
            content: dict[str, Any] = _ArrayUnpickler(stream, encoding="latin1").load()
            return Split(content["data"].reshape(-1, 3, 32, 32), np.asarray(content[labels], dtype=np.int64))

        batches = [batch(name) for name in train]
        images: Bytes = np.concatenate([part.images for part in batches])
        targets: Labels = np.concatenate([part.labels for part in batches])
        return Split(images, targets), batch(test)


_ARRAY_PARTS = re.compile(
    r"numpy\.(ndarray|dtype)|numpy\._?core\.(multiarray\._reconstruct|numeric\._frombuffer)|_codecs\.encode"
)


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers, and refuses everything else a pickle could run."""

    def find_class(self, module: str, name: str) -> Any:
        if _ARRAY_PARTS.fullmatch(f"{module}.{name}"):
            return super().find_class(module, name)
        raise DataError(f"A CIFAR batch asks for {module}.{name}, which none needs.", remedy="Download it again.")
