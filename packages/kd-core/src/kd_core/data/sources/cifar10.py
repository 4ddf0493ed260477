"""CIFAR-10 (Krizhevsky 2009): 32x32 colour images of ten classes."""

from __future__ import annotations

from pathlib import Path

from kd_core.data.images import Split
from kd_core.data.sources.base import PublishedFile, Source
from kd_core.data.sources.cifar import read_archive


def read_cifar10(folder: Path) -> tuple[Split, Split]:
    """`cifar-10-python.tar.gz`: pickled batches, rows of 3072 bytes, channel first."""
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return read_archive(folder / "cifar-10-python.tar.gz", train, "test_batch", "labels")


SOURCE = Source(
    files=(
        PublishedFile(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    ),
    read=read_cifar10,
    mean=(0.4914, 0.4822, 0.4465),
    deviation=(0.247, 0.243, 0.261),
)
