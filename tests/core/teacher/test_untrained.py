"""The untrained teacher of a control arm: the same everywhere, alive, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kd_core.data.images import load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.networks import build
from kd_core.networks.base import Network
from kd_core.teacher.load import teacher_of
from kd_core.teacher.untrained import IMAGES, sha256_of, untrained_network
from kd_hpc.errors import TeacherError
from kd_hpc.experiment import Experiment
from kd_hpc.store import Store
from tests.core.reference.images import seed_from

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


def test_its_weights_are_drawn_from_its_name_and_seed(loader: Loader) -> None:
    torch.manual_seed(seed_from("random_teacher", "ResNetBaby", 3))
    drawn = build("ResNetBaby", 10)
    network = untrained(loader, "ResNetBaby", seed=3)
    assert all(torch.equal(value, network.get_parameter(name)) for name, value in drawn.named_parameters())


STUDENT = Experiment(
    dataset="Digits", method="logit", alpha=0.5, teacher="ResNetBaby", student="ResNetBaby", seed=0,
    variant="random_teacher",
)  # fmt: skip


def test_a_student_of_that_arm_has_it_as_its_teacher(loader: Loader, tmp_path: Path) -> None:
    found = teacher_of(Store(tmp_path), STUDENT, 10, None, loader, CPU, torch.float32, fold=False)
    assert found is not None
    expected = sha256_of(untrained(loader, "ResNetBaby"))
    assert found.provenance == {"path": "the untrained ResNetBaby of seed 0", "sha256": expected}


def test_another_teacher_than_the_recorded_one_is_refused(loader: Loader, tmp_path: Path) -> None:
    with pytest.raises(TeacherError) as refused:
        teacher_of(Store(tmp_path), STUDENT, 10, "f" * 64, loader, CPU, torch.float32, fold=False)
    made = sha256_of(untrained(loader, "ResNetBaby"))[:12]
    assert refused.value.what == (
        "the untrained ResNetBaby of seed 0 is not the teacher this run was started with "
        f"(SHA-256 {made}, recorded ffffffffffff)."
    )
    directory = Store(tmp_path).directory(STUDENT)
    assert refused.value.remedy == f"Put that teacher back, or move {directory} away and start it anew."


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
