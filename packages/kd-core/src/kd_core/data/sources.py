"""The published files of each data set: where they are, what they must hash to, and how they are read.

Each reader takes a folder of such files and gives both splits as bytes, (N, C, H, W), in the files' own order.
"""

from __future__ import annotations

import gzip
import io
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kd_core.data.images import Bytes, Labels, Split
from kd_hpc.errors import DataError


class PublishedFile(NamedTuple):
    """`digest` is the MD5 the publisher gives for the file, or the SHA-256 of what a .gz file holds."""

    url: str
    digest: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


class Source(NamedTuple):
    files: tuple[PublishedFile, ...]
    read: Callable[[Path], tuple[Split, Split]]


def read_cifar10(folder: Path) -> tuple[Split, Split]:
    """`cifar-10-python.tar.gz`: pickled batches, rows of 3072 bytes, channel first."""
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return _read_cifar(folder / "cifar-10-python.tar.gz", train, "test_batch", "labels")


def read_cifar100(folder: Path) -> tuple[Split, Split]:
    """`cifar-100-python.tar.gz`, fine labels."""
    return _read_cifar(folder / "cifar-100-python.tar.gz", ["train"], "test", "fine_labels")


def read_svhn(folder: Path) -> tuple[Split, Split]:
    """`{train,test}_32x32.mat`: X (32, 32, 3, N), y (N, 1) where 10 stands for the digit 0."""
    from scipy.io import loadmat

    def split(name: str) -> Split:
        content = loadmat(folder / f"{name}_32x32.mat")
        images = np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1))
        return Split(images, content["y"].reshape(-1).astype(np.int64) % 10)

    return split("train"), split("test")


def read_tiny_imagenet(folder: Path) -> tuple[Split, Split]:
    """`tiny-imagenet-200.zip`; classes in the order of wnids.txt sorted, images in the order of their file names.

    The published test images have no labels, so the validation images are the test split; their labels are in a
    text file beside them, not in their folders.
    """
    with zipfile.ZipFile(folder / "tiny-imagenet-200.zip") as archive:
        top = "tiny-imagenet-200"
        wnids = sorted(archive.read(f"{top}/wnids.txt").decode().split())
        label_of = {wnid: label for label, wnid in enumerate(wnids)}
        train = {
            name: label_of[name.split("/")[2]]
            for name in sorted(archive.namelist())
            if name.startswith(f"{top}/train/") and name.endswith(".JPEG")
        }
        rows = (line.split("\t") for line in archive.read(f"{top}/val/val_annotations.txt").decode().splitlines())
        test = {f"{top}/val/images/{row[0]}": label_of[row[1]] for row in sorted(rows)}
        return _decode(archive, train), _decode(archive, test)


def read_fashion_mnist(folder: Path) -> tuple[Split, Split]:
    """Four idx .gz files; 28x28 grey images padded to 32x32."""

    def split(prefix: str) -> Split:
        images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz").astype(np.int64)
        return Split(np.pad(images[:, None], ((0, 0), (0, 0), (2, 2), (2, 2))), labels)

    return split("train"), split("t10k")


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


_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_SVHN = "http://ufldl.stanford.edu/housenumbers/"

SOURCES: dict[str, Source] = {
    "Cifar10": Source(
        (PublishedFile("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
        read_cifar10,
    ),
    "Cifar100": Source(
        (
            PublishedFile(
                "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"
            ),
        ),
        read_cifar100,
    ),
    "SVHN": Source(
        (
            PublishedFile(_SVHN + "train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            PublishedFile(_SVHN + "test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        ),
        read_svhn,
    ),
    "TinyImageNet": Source(
        (PublishedFile("http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"),),
        read_tiny_imagenet,
    ),
    "FashionMNIST": Source(
        (
            PublishedFile(
                _FASHION + "train-images-idx3-ubyte.gz",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            PublishedFile(
                _FASHION + "train-labels-idx1-ubyte.gz",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            PublishedFile(
                _FASHION + "t10k-images-idx3-ubyte.gz",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            PublishedFile(
                _FASHION + "t10k-labels-idx1-ubyte.gz",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
        read_fashion_mnist,
    ),
    "Digits": Source((), read_digits),
}


def _read_cifar(archive_path: Path, train: list[str], test: str, labels: str) -> tuple[Split, Split]:
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


def _read_idx(path: Path) -> Bytes:
    """The IDX format: a magic number whose last byte is the number of dimensions, the sizes, the bytes."""
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _decode(archive: zipfile.ZipFile, label_of: dict[str, int]) -> Split:
    from PIL import Image

    def pixels(name: str) -> NDArray[np.uint8]:
        return np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")).transpose(2, 0, 1)

    return Split(np.stack([pixels(name) for name in label_of]), np.fromiter(label_of.values(), np.int64))
