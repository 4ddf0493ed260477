"""What is fast is to stay fast: the work that a step, a batch and the dear losses ask for, counted and not timed.

Times, and their ratios, are the benchmarks' business: `python -m benchmarks.step` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from kd_core.data.images import Dataset, Split
from kd_core.data.loaders import Loader, make_loader
from kd_core.methods.base import untrained
from kd_core.methods.nst import nst_loss
from kd_core.methods.rkd import CACHED_ELEMENTS, angle_loss
from kd_core.networks import build
from kd_core.teacher.frozen import freeze
from kd_core.training.gradient_watchdog import non_finite
from kd_core.training.step import PlainStep
from kd_core.training.student import Student
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from tests.core.counted import Work, work_of
from tests.paths import ROOT

CPU = torch.device("cpu")
TEACHER, STUDENT = "ResNet20", "ResNetBaby"


def batches(batch_size: int, augment: str = "auto") -> Loader:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    split = Split(images, np.zeros(64, np.int64))
    dataset = Dataset("Cifar10", split, split, "")
    return make_loader("device", dataset, seed=0, batch_size=batch_size, augment=augment, device=CPU)


def student(method: str) -> Student:
    experiment = Experiment(dataset="Cifar10", method=method, alpha=0.5, teacher=TEACHER, student=STUDENT, seed=0)
    return Student(
        experiment, Recipe(), freeze(build(TEACHER, 10), torch.float32, fold=True), CPU, torch.float32, untrained
    )


def second_step(*methods: str) -> Work:
    """An epoch's first step also measures gradients, so it is taken before."""
    loader, students = batches(8), [student(method) for method in methods]
    step = PlainStep(loader, freeze(build(TEACHER, 10), torch.float32, fold=True))
    first, second, *_ = loader.draw(0)
    for each in students:
        each.begin_epoch()
    step(students, first)
    return work_of(lambda: step(students, second))


def layers(name: str, kind: type[torch.nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in build(name, 10).modules())


def test_the_teacher_is_asked_once_for_all_students_and_its_normalisation_is_folded() -> None:
    for methods in (["logit"], ["logit", "rkd", "nst"]):
        done = second_step(*methods).operations
        own = len(methods) * layers(STUDENT, torch.nn.Conv2d)
        assert done["convolution"] == layers(TEACHER, torch.nn.Conv2d) + own
        assert done["convolution_backward"] == own
        assert done["native_batch_norm"] == len(methods) * layers(STUDENT, torch.nn.BatchNorm2d)


@pytest.mark.parametrize(("augment", "touched"), [("crop-flip", 8), ("resized-crop", 28), ("none", 5)])
def test_a_batch_is_made_by_operations_on_all_its_images_at_once(augment: str, touched: int) -> None:
    small, large = (_made(batches(size, augment)) for size in (8, 32))
    assert small.operations == large.operations
    assert large.written <= touched * 32 * 3 * 32 * 32


def _made(loader: Loader) -> Work:
    first, *_ = loader.draw(0)
    return work_of(lambda: loader.make(first))


def _both_ways(loss: Callable[[Tensor, Tensor], Tensor], *shape: int) -> Work:
    generator = torch.Generator().manual_seed(0)
    leaf, teacher = (torch.rand(shape, generator=generator) for _ in range(2))
    return work_of(lambda: loss(leaf.requires_grad_(), teacher).backward())


def test_angles_are_taken_in_blocks_that_a_cache_holds() -> None:
    B, D = 128, 64
    work = _both_ways(angle_loss, B, D)
    assert work.largest <= CACHED_ELEMENTS < B * B * D
    assert work.written < 7.5 * (B * B * D + B * B * B)  # 6.9; the usual way, all at once: 7.7
    assert sum(work.operations.values()) < 600  # of a few tens a block


def test_non_finite_gradients_are_looked_for_with_as_many_launches_for_many_as_for_few() -> None:
    few, many = ([torch.ones(size + 1) for size in range(count)] for count in (2, 170))
    assert work_of(lambda: non_finite(few)).operations == work_of(lambda: non_finite(many)).operations
    for broken in (torch.nan, torch.inf, -torch.inf):
        assert non_finite([*many, torch.tensor([1.0, broken])]) == 1
    assert non_finite(many) == 0


def test_the_kernel_of_nst_is_a_product_and_no_broadcast() -> None:
    def broadcast(student: Tensor, teacher: Tensor) -> Tensor:
        left, right = (functional.normalize(maps.flatten(2), dim=2) for maps in (student, teacher))
        products = ((a.unsqueeze(2) * b.unsqueeze(1)).sum(-1) for a, b in ((left, left), (left, right)))
        return torch.stack([product.square().mean() for product in products]).sum()

    B, C, H, W = shape = (16, 32, 8, 8)
    work = _both_ways(nst_loss, *shape)
    assert work.largest <= B * C * max(C, H * W)
    assert work.written < _both_ways(broadcast, *shape).written / 4


def test_every_benchmark_can_be_started() -> None:
    for file in (ROOT / "benchmarks").glob("[a-z]*.py"):
        module = import_module(f"benchmarks.{file.stem}")
        assert file.stem == "rounds" or callable(module.main)
    for folder in ("agreement", "evidence"):  # mutation needs a tool that nothing else needs
        assert callable(import_module(f"benchmarks.{folder}.__main__").main)
