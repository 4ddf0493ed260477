"""Batches: the same bytes from either loader, every epoch its own, and nothing depends on what was asked before."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kd_core.data.augment import augmentation
from kd_core.data.images import Dataset, Split
from kd_core.data.loaders import Batch, DeviceLoader, Loader, WorkerLoader, make_loader, plan_epoch
from kd_core.data.sources import SOURCES
from tests.core.published import noise

CPU = torch.device("cpu")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
AUGMENTATIONS = ["crop-flip", "crop", "resized-crop", "none"]
COUNT, BATCH = 150, 64  # the last batch is a smaller one


def dataset(name: str = "Cifar10", channels: int = 3, size: int = 32) -> Dataset:
    """Noise; the label of a training image is its number."""
    train = Split(noise(COUNT, channels, size, size), np.arange(COUNT))
    return Dataset(name, train, Split(noise(30, channels, size, size, seed=1), np.arange(30)), "0" * 64)


def loader(kind: str = "device", augment: str = "crop-flip", seed: int = 0, data: Dataset | None = None) -> Loader:
    return make_loader(kind, data or dataset(), seed=seed, batch_size=BATCH, augment=augment, device=CPU)


def contents(batches: Iterator[Batch]) -> list[tuple[bytes, list[int], list[int]]]:
    return [(batch.images.numpy().tobytes(), batch.labels.tolist(), batch.indices.tolist()) for batch in batches]


@pytest.mark.parametrize("augment", AUGMENTATIONS)
@pytest.mark.parametrize(("name", "channels", "size"), [("Cifar10", 3, 32), ("FashionMNIST", 1, 32), ("Digits", 1, 8)])
def test_both_loaders_give_the_same_bytes(augment: str, name: str, channels: int, size: int) -> None:
    data = dataset(name, channels, size)
    device, workers = (loader(kind, augment, data=data) for kind in ("device", "workers"))
    for epoch, stage in ((0, "train"), (1, "train"), (1, "paraphraser"), (0, "train")):
        assert contents(device.train(epoch, stage)) == contents(workers.train(epoch, stage))
    assert contents(device.test()) == contents(workers.test())


def test_a_loader_is_of_the_kind_that_was_asked_for() -> None:
    assert isinstance(loader("device"), DeviceLoader)
    assert isinstance(loader("workers"), WorkerLoader)


@pytest.mark.parametrize("kind", ["device", "workers"])
def test_epochs_seeds_and_stages_each_have_batches_of_their_own(kind: str) -> None:
    first, second = loader(kind), loader(kind, seed=1)
    streams = [first.train(0), first.train(1), first.train(0, "paraphraser"), second.train(0)]
    assert len({str(contents(stream)) for stream in streams}) == 4


@pytest.mark.parametrize("kind", ["device", "workers"])
def test_a_fresh_loader_at_epoch_3_gives_what_one_from_epoch_0_gives(kind: str) -> None:
    through, fresh = loader(kind), loader(kind)
    for epoch in range(3):
        contents(through.train(epoch))
    next(through.train(2))  # an epoch that was begun and given up
    torch.manual_seed(99)  # nobody's business but other code's
    assert contents(through.train(3)) == contents(fresh.train(3))


@pytest.mark.parametrize("kind", ["device", "workers"])
@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_an_epoch_holds_every_image_once_in_an_order_of_its_own(kind: str, augment: str) -> None:
    made = loader(kind, augment)
    orders = [[label for batch in made.train(epoch) for label in batch.labels.tolist()] for epoch in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(COUNT))
    assert orders[0] != orders[1] != sorted(orders[1])
    sizes = [len(batch.labels) for batch in made.train(0)]
    assert sizes == [64, 64, 22]
    assert len(sizes) == made.steps


def test_the_order_of_images_is_the_same_under_every_augmentation() -> None:
    split = dataset().train
    orders = [plan_epoch(augmentation(name, mirrored=True), split, 0, 5, "train").order for name in AUGMENTATIONS]
    assert all(torch.equal(order, orders[0]) for order in orders)


def test_images_stay_beside_their_labels_and_are_normalised() -> None:
    data = dataset()
    mean, deviation = (np.array(values).reshape(3, 1, 1) for values in SOURCES["Cifar10"][2:4])
    for batch in loader(augment="none", data=data).train(0):
        expected = (data.train.images[batch.labels.numpy()] / 255 - mean) / deviation
        np.testing.assert_allclose(batch.images.numpy(), expected, atol=2e-6)
    (batch,) = loader(data=data).test()
    np.testing.assert_allclose(batch.images.numpy(), (data.test.images / 255 - mean) / deviation, atol=2e-6)
    assert batch.labels.tolist() == list(range(30))


@pytest.mark.parametrize("augment", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_three_channels_of_float32_channels_last(augment: str, channels: int) -> None:
    made = loader(augment=augment, data=dataset(channels=channels))
    for batch in (*made.train(0), *made.test()):
        assert batch.images.shape[1:] == (3, 32, 32)
        assert (batch.images.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_grey_images_are_three_equal_channels_before_they_are_normalised() -> None:
    data = dataset("Cifar10", channels=1)  # a name whose channels have constants of their own
    three = data._replace(train=Split(data.train.images.repeat(3, axis=1), data.train.labels))
    assert contents(loader(data=data).train(0)) == contents(loader(data=three).train(0))


def expect_measured(name: str, train: Split) -> None:
    scaled = train.images.astype(np.float64) / 255
    for constant, measured in zip(SOURCES[name][2:4], (scaled.mean(), scaled.std()), strict=True):
        assert constant == pytest.approx((measured,) * 3, abs=5.1e-4)


def test_the_constants_of_digits_are_measured_ones(tmp_path: Path) -> None:
    expect_measured("Digits", SOURCES["Digits"].read(tmp_path)[0])


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_constants_of_fashion_mnist_are_measured_ones() -> None:
    expect_measured("FashionMNIST", SOURCES["FashionMNIST"].read(DEBIAN)[0])


def test_the_constants_of_the_thesis_data_sets_are_those_of_the_design() -> None:
    assert SOURCES["Cifar10"][2:4] == ((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261))
    assert SOURCES["Cifar100"][2:4] == ((0.5071, 0.4867, 0.4409), (0.267, 0.256, 0.276))
    assert SOURCES["SVHN"][2:4] == ((0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197))
    assert SOURCES["TinyImageNet"][2:4] == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_workers_outlive_an_epoch_and_end_with_their_loader() -> None:
    before = {child.pid for child in multiprocessing.active_children()}
    made = loader("workers")
    pids = []
    for epoch in range(3):
        contents(made.train(epoch))
        pids.append({child.pid for child in multiprocessing.active_children()} - before)
    assert pids[0] == pids[1] == pids[2] != set()
    del made
    assert not pids[0] & {child.pid for child in multiprocessing.active_children()}


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")),
    ],
)
def test_memory_is_pinned_for_a_gpu_only(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kd_core.data import loaders

    asked: list[bool] = []
    monkeypatch.setattr(loaders, "DataLoader", lambda *_, pin_memory, **__: asked.append(pin_memory))
    make_loader("workers", dataset(), seed=0, batch_size=BATCH, augment="none", device=torch.device(device))
    assert asked == [device == "cuda"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("kind", ["device", "workers"])
@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_a_gpu_gets_the_bytes_a_cpu_gets(kind: str, augment: str) -> None:
    there = make_loader(kind, dataset(), seed=0, batch_size=BATCH, augment=augment, device=torch.device("cuda"))
    for ours, theirs in zip(there.train(0), loader(augment=augment).train(0), strict=True):
        assert torch.equal(ours.labels.cpu(), theirs.labels)
        torch.testing.assert_close(ours.images.cpu(), theirs.images, rtol=0, atol=1e-6)  # division rounds its own way
