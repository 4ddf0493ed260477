"""Real colour images for a try: CIFAR-10 as JPEG files, made into a prepared data set called Cifar10.

    python -m benchmarks.jpeg_images cifar10-jpeg.tar.xz DATA [--train 10000] [--test 2000]

The archive holds cifar10-jpeg/{train,test}/CLASS/NNNN.jpg. Lossy, so accuracies cannot be compared with published ones;
the data set's manifest says so. The first images of each class are taken, in equal numbers.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from kd_core.data.images import Split, save_dataset

ORIGIN = "CIFAR-10 as JPEG, lossy"


def read_splits(archive: Path, sizes: dict[str, int]) -> dict[str, Split]:
    """So many images of each split, "train" and "test", class by class in the order of names."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    content: dict[str, bytes] = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            parts = PurePosixPath(member.name).parts
            if member.isfile() and parts[-1].endswith(".jpg"):
                names[parts[-3], parts[-2]].append(member.name)
                stream = opened.extractfile(member)
                content[member.name] = stream.read() if stream else b""
    return {split: _split(split, count, names, content) for split, count in sizes.items()}


def _split(split: str, count: int, names: dict[tuple[str, str], list[str]], content: dict[str, bytes]) -> Split:
    classes = sorted(label for part, label in names if part == split)
    each = count // len(classes)
    chosen = [(name, number) for number, label in enumerate(classes) for name in sorted(names[split, label])[:each]]
    images = np.stack([_pixels(content[name]) for name, _ in chosen])
    return Split(images, np.array([number for _, number in chosen], dtype=np.int64))


def _pixels(jpeg: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(3, H, W)"""
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), dtype=np.uint8).transpose(2, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=2_000)
    options = parser.parse_args()
    splits = read_splits(options.archive, {"train": options.train, "test": options.test})
    save_dataset(options.data, "Cifar10", ORIGIN, splits["train"], splits["test"])
    print(
        f"{options.data / 'Cifar10'}: {len(splits['train'].labels)} and {len(splits['test'].labels)} images, {ORIGIN}"
    )


if __name__ == "__main__":
    main()
