"""Data sets of a few images, written the way their publishers wrote the real ones."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


def noise(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def python2_pickle(value: object) -> bytes:
    """Protocol 2 as Python 2 and its numpy wrote it: byte strings for text, numpy.core, no memo."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value: object) -> bytes:
    match value:
        case dict():
            return b"}(" + b"".join(_python2(key) + _python2(item) for key, item in value.items()) + b"u"
        case str():
            return b"T" + struct.pack("<i", len(value)) + value.encode("latin1")
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + struct.pack("<i", value)
        case None:
            return b"N"
        case list():
            return b"](" + b"".join(map(_python2, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(_python2, value)) + b"t"
        case np.ndarray():
            empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _python2((0,)) + _python2("b") + b"tR"
            dtype = b"cnumpy\ndtype\n" + _python2(("u1", 0, 1)) + b"R"
            dtype += _python2((3, "|", None, None, None, -1, -1, 0)) + b"b"
            content = _python2(value.tobytes().decode("latin1"))
            return empty + b"(" + _python2(1) + _python2(value.shape) + dtype + _python2(False) + content + b"tb"
    raise TypeError(type(value))


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_cifar10(folder: Path, each: int = 4) -> None:
    """Five training batches and a test batch of `each` images."""
    members = {"cifar-10-batches-py/batches.meta": python2_pickle({"label_names": list("0123456789")})}
    for seed, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        labels = [(seed + 3 * place) % 10 for place in range(each)]
        batch = {"batch_label": name, "labels": labels, "data": noise(each, 3072, seed=seed), "filenames": ["a.png"]}
        members[f"cifar-10-batches-py/{name}"] = python2_pickle(batch)
    write_tar(folder / "cifar-10-python.tar.gz", members)


def write_cifar100(folder: Path, count: int = 6) -> None:
    members = {"cifar-100-python/meta": python2_pickle({"fine_label_names": ["x"] * 100})}
    for seed, name in enumerate(("train", "test")):
        fine = [(17 * place + 5) % 100 for place in range(count)]
        batch = {
            "coarse_labels": [label // 5 for label in fine],
            "fine_labels": fine,
            "data": noise(count, 3072, seed=seed),
        }
        members[f"cifar-100-python/{name}"] = python2_pickle({**batch, "batch_label": name})
    write_tar(folder / "cifar-100-python.tar.gz", members)


def write_svhn(folder: Path, count: int = 11) -> dict[str, Bytes]:
    """Returns the X arrays as written, (32, 32, 3, N)."""
    from scipy.io import savemat

    written = {}
    for seed, name in enumerate(("train", "test")):
        written[name] = noise(32, 32, 3, count, seed=seed)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]  # 10 stands for the digit 0
        savemat(folder / f"{name}_32x32.mat", {"X": written[name], "y": labels}, do_compression=True)
    return written


WNIDS = ("n02124075", "n01443537", "n04067472")  # published out of order, as in the real wnids.txt


def wnid_of(number: int) -> str:
    """The class of a validation image: each occurs, in no order."""
    return WNIDS[(number * number + number // 3) % 3]


def write_tiny_imagenet(folder: Path, each: int = 2, validated: Sequence[str] = WNIDS) -> None:
    """Three classes of `each` training images, 12 validation images, told of the classes `validated`.

    Every third one is grey, as some real ones are.
    """
    top = "tiny-imagenet-200"
    with zipfile.ZipFile(folder / f"{top}.zip", "w") as archive:
        archive.writestr(f"{top}/words.txt", "".join(f"{wnid}\ta thing\n" for wnid in WNIDS))
        archive.writestr(f"{top}/wnids.txt", "\n".join(WNIDS))
        rows = []
        for number in range(12):
            wnid = wnid_of(number)
            archive.writestr(f"{top}/val/images/val_{number}.JPEG", _jpeg(100 + number))
            rows += [f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n"] if wnid in validated else []
        archive.writestr(f"{top}/val/val_annotations.txt", "".join(rows))
        archive.writestr(f"{top}/test/images/test_0.JPEG", _jpeg(0))
        for place, wnid in enumerate(WNIDS):
            archive.writestr(f"{top}/train/{wnid}/{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t10\t63\t58\n")
            for number in range(each):
                archive.writestr(f"{top}/train/{wnid}/images/{wnid}_{number}.JPEG", _jpeg(place * each + number))


def _jpeg(seed: int) -> bytes:
    pixels = noise(64, 64, seed=seed) if seed % 3 == 0 else noise(64, 64, 3, seed=seed)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write_idx(path: Path, array: Bytes) -> None:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def write_fashion_mnist(folder: Path, train: int = 30, test: int = 20) -> None:
    for prefix, count in (("train", train), ("t10k", test)):
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", noise(count, 28, 28, seed=count))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", (np.arange(count) % 10).astype(np.uint8))
