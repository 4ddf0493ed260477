"""Digits (Alpaydin & Kaynak 1998): 8x8 grey scans that come inside scikit-learn; the data of the quickstart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kd_core.data.images import Split
from kd_core.data.sources.base import Source


def read_digits(folder: Path) -> tuple[Split, Split]:
    """The scans inside scikit-learn; `folder` is not read. Every fifth image of each class is a test image."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = ((digits.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        is_test[np.flatnonzero(labels == label)[::5]] = True
    return Split(images[~is_test], labels[~is_test]), Split(images[is_test], labels[is_test])


SOURCE = Source(
    files=(),
    read=read_digits,
    mean=(0.305, 0.305, 0.305),
    deviation=(0.376, 0.376, 0.376),
    mirrored=False,
)
