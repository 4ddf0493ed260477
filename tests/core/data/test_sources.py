"""Each reader against the published format, with torchvision's reader or the format's own words as the oracle."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from kd_core.data.images import Split, save_dataset
from kd_core.data.sources import SOURCES
from kd_core.data.sources.base import Source
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import DataError
from tests.core import published

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def expect(split: Split, images: np.ndarray, labels: list[int]) -> None:
    """`images` (N, H, W, C), the way torchvision keeps them."""
    assert [split.images.dtype, split.labels.dtype] == [np.uint8, np.int64]
    assert np.array_equal(split.images, images.transpose(0, 3, 1, 2))
    assert split.labels.tolist() == labels


class LocalCifar10(datasets.CIFAR10):  # type: ignore[misc]
    """torchvision's reader, of files with another hash."""

    def _check_integrity(self) -> bool:
        return True

    def _load_meta(self) -> None:
        pass


class LocalCifar100(LocalCifar10, datasets.CIFAR100):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    ("write", "read", "oracle"),
    [
        (published.write_cifar10, SOURCES["Cifar10"].read, LocalCifar10),
        (published.write_cifar100, SOURCES["Cifar100"].read, LocalCifar100),
    ],
)
def test_cifar_archives_of_python_2_are_read_as_torchvision_reads_them(write, read, oracle, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    for split, is_train in zip(read(tmp_path), (True, False), strict=True):
        theirs = oracle(tmp_path, train=is_train)
        expect(split, theirs.data, theirs.targets)


def test_a_cifar_row_is_the_red_plane_then_green_then_blue_row_by_row(tmp_path: Path) -> None:
    published.write_cifar10(tmp_path)
    train, test = SOURCES["Cifar10"].read(tmp_path)
    assert (train.images.shape, test.images.shape) == ((20, 3, 32, 32), (4, 3, 32, 32))
    row = published.noise(4, 3072, seed=1)[2]  # the third image of data_batch_2
    for channel, y, x in np.random.default_rng(0).integers((3, 32, 32), size=(200, 3)):
        assert train.images[4 + 2, channel, y, x] == row[1024 * channel + 32 * y + x]


@pytest.mark.parametrize("protocol", [2, 5])
def test_cifar_batches_pickled_again_by_a_newer_numpy_are_read_too(protocol: int, tmp_path: Path) -> None:
    rows = published.noise(3, 3072)
    batch = pickle.dumps({"data": rows, "fine_labels": [1, 99, 0]}, protocol=protocol)
    published.write_tar(tmp_path / "cifar-100-python.tar.gz", {"x/train": batch, "x/test": batch})
    train, _ = SOURCES["Cifar100"].read(tmp_path)
    assert np.array_equal(train.images.reshape(3, 3072), rows)
    assert train.labels.tolist() == [1, 99, 0]


class Command:
    """Pickles to a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(protocol: int, tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    batch = pickle.dumps({"data": Command(f"touch {proof}"), "fine_labels": [0]}, protocol=protocol)
    published.write_tar(tmp_path / "cifar-100-python.tar.gz", {"x/train": batch, "x/test": batch})
    with pytest.raises(DataError, match=r"asks for .*system"):
        SOURCES["Cifar100"].read(tmp_path)
    assert not proof.exists()
    pickle.loads(batch)  # the bait is real
    assert proof.exists()


@pytest.mark.parametrize(
    "asked",
    ["numpyevil ndarray", "numpy.testing._private.utils runstring", "builtins eval", "numpy load", "numpy os.system"],
)
def test_only_what_arrays_need_is_ever_looked_up(asked: str, tmp_path: Path) -> None:
    module, name = asked.split()
    batch = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(name)]) + name.encode()
    published.write_tar(tmp_path / "cifar-100-python.tar.gz", {"x/train": batch + b"\x93.", "x/test": b""})
    with pytest.raises(DataError, match=f"asks for {module}"):
        SOURCES["Cifar100"].read(tmp_path)


def test_svhn_pixels_stand_where_the_file_says_and_label_10_is_0(tmp_path: Path) -> None:
    written = published.write_svhn(tmp_path)
    for name, split in zip(("train", "test"), SOURCES["SVHN"].read(tmp_path), strict=True):
        assert split.images.shape == (11, 3, 32, 32)
        for n in range(11):
            for channel in range(3):
                assert split.images[n, channel].tolist() == written[name][:, :, channel, n].tolist()
        assert split.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_svhn_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    published.write_svhn(tmp_path)
    for name, split in zip(("train", "test"), SOURCES["SVHN"].read(tmp_path), strict=True):
        file = f"{name}_32x32.mat"
        digest = hashlib.md5((tmp_path / file).read_bytes()).hexdigest()
        local = type("LocalSvhn", (datasets.SVHN,), {"split_list": {name: ["", file, digest]}})
        theirs = local(tmp_path, split=name)
        expect(split, theirs.data.transpose(0, 2, 3, 1), theirs.labels.tolist())


def test_tiny_imagenet_has_the_classes_and_order_of_an_image_folder(tmp_path: Path) -> None:
    published.write_tiny_imagenet(tmp_path)
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip") as archive:
        archive.extractall(tmp_path)
    folder = datasets.ImageFolder(tmp_path / "tiny-imagenet-200" / "train")
    train, test = SOURCES["TinyImageNet"].read(tmp_path)
    expect(train, np.stack([np.asarray(image) for image, _ in folder]), folder.targets)
    assert folder.classes == sorted(published.WNIDS)
    assert (train.images.shape, test.images.shape) == ((6, 3, 64, 64), (12, 3, 64, 64))


def test_tiny_imagenet_validation_images_get_their_annotated_labels(tmp_path: Path) -> None:
    published.write_tiny_imagenet(tmp_path)
    top = tmp_path / "tiny-imagenet-200"
    with zipfile.ZipFile(top.with_suffix(".zip")) as archive:
        archive.extractall(tmp_path)
    for line in (top / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split()[:2]
        (top / "val" / wnid).mkdir(exist_ok=True)
        shutil.move(top / "val" / "images" / name, top / "val" / wnid / name)
    (top / "val" / "images").rmdir()
    folder = datasets.ImageFolder(top / "val")  # the reorganised folder that earlier rounds trained on
    _, test = SOURCES["TinyImageNet"].read(tmp_path)
    theirs = {np.asarray(image).tobytes(): label for image, label in folder}
    ours = {image.transpose(1, 2, 0).tobytes(): int(label) for image, label in zip(*test, strict=True)}
    assert ours == theirs
    assert len(ours) == 12


def test_grey_jpegs_become_three_equal_channels(tmp_path: Path) -> None:
    published.write_tiny_imagenet(tmp_path)
    train, _ = SOURCES["TinyImageNet"].read(tmp_path)
    is_grey = [bool((image == image[:1]).all()) for image in train.images]
    assert sum(is_grey) == 2


def expect_fashion_mnist(folder: Path, scratch: Path) -> None:
    raw = scratch / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in folder.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    for split, is_train in zip(SOURCES["FashionMNIST"].read(folder), (True, False), strict=True):
        theirs = datasets.FashionMNIST(scratch, train=is_train)
        assert split.images.shape == (len(theirs), 1, 32, 32)
        assert np.array_equal(split.images[:, 0, 2:30, 2:30], theirs.data.numpy())
        frame = split.images.astype(bool)
        frame[:, :, 2:30, 2:30] = False
        assert not frame.any()
        assert split.labels.tolist() == theirs.targets.tolist()


def test_fashion_mnist_is_read_as_torchvision_reads_it_and_padded(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    published.write_fashion_mnist(tmp_path / "published")
    expect_fashion_mnist(tmp_path / "published", tmp_path / "scratch")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_debians_fashion_mnist_files_are_read_as_torchvision_reads_them(tmp_path: Path) -> None:
    expect_fashion_mnist(DEBIAN, tmp_path)


DIGITS_SHA256 = "afd157fd2100ae4ffae0f3d482f18e3086a57d024927ec2363c8f738abe47879"


def test_digits_are_split_once_and_for_all(tmp_path: Path) -> None:
    train, test = SOURCES["Digits"].read(tmp_path)
    assert (train.images.shape, test.images.shape) == ((1433, 1, 8, 8), (364, 1, 8, 8))
    for label in range(10):
        count = int((train.labels == label).sum()), int((test.labels == label).sum())
        assert count[1] == -(-sum(count) // 5)
    assert (train.images.min(), train.images.max()) == (0, 255)
    assert save_dataset(tmp_path, "Digits", "", train, test).sha256 == DIGITS_SHA256


def test_digits_are_all_of_the_published_scans_at_full_contrast(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    train, test = SOURCES["Digits"].read(tmp_path)
    ours = sorted(
        (*np.round(image.ravel() * (16 / 255)).astype(int), label)
        for part in (train, test)
        for image, label in zip(*part, strict=True)
    )
    scans = load_digits()
    assert ours == sorted((*row.astype(int), label) for row, label in zip(scans.data, scans.target, strict=True))


def test_every_data_set_a_campaign_may_name_has_a_file_that_reads_it() -> None:
    assert all(isinstance(SOURCES[name], Source) for name in DATASETS)


def test_what_is_downloaded_is_pinned_by_its_sha_256() -> None:
    files = [file for source in SOURCES.values() for file in source.files]
    assert files
    for file in files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.digest), file.name


def test_the_addresses_are_those_torchvision_knows() -> None:
    ours = {file.name: file.url for source in SOURCES.values() for file in source.files}
    theirs = {kind.filename: kind.url for kind in (datasets.CIFAR10, datasets.CIFAR100)}
    theirs |= {name: url for key, (url, name, _) in datasets.SVHN.split_list.items() if key != "extra"}
    theirs |= {name: datasets.FashionMNIST.mirrors[0] + name for name, _ in datasets.FashionMNIST.resources}
    assert {name: ours[name] for name in theirs} == theirs
