"""Fashion-MNIST (Xiao et al. 2017): 28x28 grey images of clothes, padded to 32x32."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from kd_core.data.images import Bytes, Split
from kd_core.data.sources.base import PublishedFile, Source


def read_fashion_mnist(folder: Path) -> tuple[Split, Split]:
    """Four idx .gz files; 28x28 grey images padded to 32x32."""

    def split(prefix: str) -> Split:
        images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz").astype(np.int64)
        return Split(np.pad(images[:, None], ((0, 0), (0, 0), (2, 2), (2, 2))), labels)

    return split("train"), split("t10k")


def _read_idx(path: Path) -> Bytes:
    """The IDX format: a magic number whose last byte is the number of dimensions, the sizes, the bytes."""
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


_SITE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

SOURCE = Source(
    files=(
        PublishedFile(
            _SITE + "train-images-idx3-ubyte.gz",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        PublishedFile(
            _SITE + "train-labels-idx1-ubyte.gz",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        PublishedFile(
            _SITE + "t10k-images-idx3-ubyte.gz",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        PublishedFile(
            _SITE + "t10k-labels-idx1-ubyte.gz",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    read=read_fashion_mnist,
    mean=(0.219, 0.219, 0.219),
    deviation=(0.332, 0.332, 0.332),
)
