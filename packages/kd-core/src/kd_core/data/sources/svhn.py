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
        PublishedFile(_SITE + "train_32x32.mat", "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
        PublishedFile(_SITE + "test_32x32.mat", "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
    ),
    read=read_svhn,
    mean=(0.4377, 0.4438, 0.4728),
    deviation=(0.198, 0.201, 0.197),
    mirrored=False,
)
