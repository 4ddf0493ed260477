"""The untrained teacher of a control arm: the same everywhere, alive, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kd_core.data.images import load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.networks import build
from kd_core.networks.base import Network
from kd_core.teacher.untrained import IMAGES, sha256_of, untrained_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loader(teacher: Path) -> Loader:
    digits = load_dataset(teacher / "data", "Digits")
    return make_loader("device", digits, seed=0, batch_size=24, augment="auto", device=CPU)


def untrained(loader: Loader, name: str = "ResNet20", seed: int = 0) -> Network:
    return untrained_network(name, 10, seed, loader.train(0, stage="random_teacher"))


def test_the_same_seed_makes_the_same_teacher_whatever_was_drawn_before(loader: Loader) -> None:
    first = sha256_of(untrained(loader))
    torch.manual_seed(99)
    assert sha256_of(untrained(loader)) == first
    assert len({first, sha256_of(untrained(loader, seed=1)), sha256_of(untrained(loader, "ResNetBaby"))}) == 3


def test_another_rounding_of_its_arithmetic_makes_the_same_teacher(loader: Loader) -> None:
    threads = torch.get_num_threads()
    first = sha256_of(untrained(loader))
    try:
        torch.set_num_threads(threads + 1)  # sums in another order
        assert sha256_of(untrained(loader)) == first
    finally:
        torch.set_num_threads(threads)


def test_its_statistics_are_those_of_the_images_to_12_bits(loader: Loader) -> None:
    network = untrained(loader)
    assert isinstance(network.conv1, torch.nn.Conv2d)
    images = torch.cat([batch.images for batch in loader.train(0, stage="random_teacher")])[:IMAGES]
    with torch.no_grad():
        maps = network.conv1(images)
    assert isinstance(network.bn1, torch.nn.BatchNorm2d)
    torch.testing.assert_close(network.bn1.running_mean, maps.mean((0, 2, 3)), rtol=2**-11, atol=1e-6)
    torch.testing.assert_close(network.bn1.running_var, maps.var((0, 2, 3)), rtol=2**-11, atol=1e-6)


def test_a_deep_one_says_something_and_nothing_explodes(loader: Loader) -> None:
    images = next(iter(loader.train(0))).images
    with torch.no_grad():
        settled = untrained(loader, "ResNet112")(images)
        torch.manual_seed(0)
        fresh = build("ResNet112", 10).eval()(images)
    assert fresh.layer3.abs().max() > 1e5
    assert settled.layer3.abs().max() < 1e3
    assert 0.01 < settled.logits.std() < 10
    assert settled.logits.argmax(1).unique().numel() > 1
