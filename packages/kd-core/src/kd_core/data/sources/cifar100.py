"""CIFAR-100 (Krizhevsky 2009): 32x32 colour images of a hundred classes."""

from __future__ import annotations

from pathlib import Path

from kd_core.data.images import Split
from kd_core.data.sources.base import PublishedFile, Source
from kd_core.data.sources.cifar import read_archive


def read_cifar100(folder: Path) -> tuple[Split, Split]:
    """`cifar-100-python.tar.gz`, fine labels."""
    return read_archive(folder / "cifar-100-python.tar.gz", ["train"], "test", "fine_labels")


SOURCE = Source(
    files=(
        PublishedFile(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        ),
    ),
    read=read_cifar100,
    mean=(0.5071, 0.4867, 0.4409),
    deviation=(0.267, 0.256, 0.276),
)
