"""SVHN, cropped digits (Netzer et al. 2011): 32x32 colour images of house numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kd_core.data.images import Split
from kd_core.data.sources.base import PublishedFile, Source


def read_svhn(folder: Path) -> tuple[Split, Split]:
    """`{train,test}_32x32.mat`: X (32, 32, 3, N), y (N, 1) where 10 stands for the digit 0."""
    from scipy.io import loadmat

    def split(name: str) -> Split:
        content = loadmat(folder / f"{name}_32x32.mat")
        images = np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1))
        return Split(images, content["y"].reshape(-1).astype(np.int64) % 10)

    return split("train"), split("test")


_SITE = "http://ufldl.stanford.edu/housenumbers/"

SOURCE = Source(
    files=(
        PublishedFile(_SITE + "train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        PublishedFile(_SITE + "test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    ),
    read=read_svhn,
    mean=(0.4377, 0.4438, 0.4728),
    deviation=(0.198, 0.201, 0.197),
    mirrored=False,
)
