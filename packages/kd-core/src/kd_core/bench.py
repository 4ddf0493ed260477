"""How fast a step is here: fast beside plain for every method, students together beside one alone, and a checkpoint.

On random images of a data set's size, so nothing need be prepared. Variants take turns, round after round, so that
what else the machine does falls on all of them alike; a ratio is the median of the rounds' own ratios. On a CPU the
seconds are the processor's, of all threads, which other processes touch less than the clock.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from kd_core.artifacts.checkpoint import save_checkpoint
from kd_core.data.images import Dataset, Split
from kd_core.data.loaders import make_loader
from kd_core.methods.base import untrained
from kd_core.networks import build
from kd_core.runtime.allocator import keep_freed_memory
from kd_core.runtime.determinism import make_deterministic
from kd_core.runtime.device import choose_device, choose_dtype, place
from kd_core.teacher.frozen import freeze
from kd_core.training.step import choose_step
from kd_core.training.student import Student
from kd_hpc import fence
from kd_hpc.catalogue import DATASETS
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe


@dataclass(frozen=True)
class Setting:
    """What is timed. `steps` are those of one variant in one round."""

    teacher: str = "ResNet112"
    student: str = "ResNet56"
    dataset: str = "Cifar10"
    batch_size: int = 128
    students: int = 6
    rounds: int = 5
    steps: int = 2
    device: str = "auto"
    amp_dtype: str = "auto"


@dataclass(frozen=True)
class Timing:
    """Seconds a step of one variant over the rounds, or a ratio of two: median and quartiles."""

    median: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Variant:
    """`images_a_second` are student images: k students that share a batch of B count k * B a step."""

    name: str
    seconds: Timing
    images_a_second: float


@dataclass(frozen=True)
class Comparison:
    """`ratio` is how many times as long as `first` `second` takes, round by round."""

    first: Variant
    second: Variant
    ratio: Timing


class Workload:
    """Students in training on random images, ready to take timed steps."""

    def __init__(self, setting: Setting, students: Sequence[tuple[str, float]], step: str) -> None:
        self.setting = setting
        self.device = choose_device(setting.device)
        dtype = choose_dtype(setting.amp_dtype, self.device)
        recipe = Recipe(batch_size=setting.batch_size, lr=1e-3, step=step)
        experiments = [_experiment(setting, method, alpha) for method, alpha in students]
        classes = DATASETS[setting.dataset].classes
        torch.manual_seed(0)
        teacher = freeze(place(build(setting.teacher, classes), self.device).eval(), dtype, fold=step == "fast")
        self.loader = make_loader(
            "device", random_images(setting), seed=0, batch_size=setting.batch_size, augment="auto", device=self.device
        )
        self.students = [
            Student(experiment, recipe, teacher, self.device, dtype, untrained) for experiment in experiments
        ]
        self.step = choose_step(step, self.loader, teacher, self.device)
        self.inputs = cycle(self.loader.draw(0))
        for student in self.students:
            student.begin_epoch()
        for inputs in islice(self.inputs, 2):  # an epoch's first step is another one, and the second may be recorded
            self.step(self.students, inputs)

    def seconds(self) -> float:
        """Mean seconds of a step, batch-making included."""
        start = now(self.device)
        for inputs in islice(self.inputs, self.setting.steps):
            self.step(self.students, inputs)
        return (now(self.device) - start) / self.setting.steps


def now(device: torch.device) -> float:
    """Seconds: of the processor for a CPU, of the clock for a GPU that has done all it was asked for."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def compare_steps(setting: Setting, methods: Sequence[str]) -> Iterator[Comparison]:
    """For each method the fast step, and the plain one beside it; one student."""
    make_ready()
    for method in methods:
        fast, plain = (Workload(setting, [(method, 0.5)], step) for step in ("fast", "plain"))
        times = interleaved({method: fast.seconds, "plain": plain.seconds}, setting.rounds)
        yield compare(times, (setting.batch_size, setting.batch_size))


def compare_together(setting: Setting) -> Comparison:
    """One student, and beside it `students` in one step: of the same method, so that nothing else differs."""
    make_ready()
    students = same_method("logit", setting.students)
    together, alone = Workload(setting, students, "fast"), Workload(setting, students[:1], "fast")
    variants = {"one student": alone.seconds, f"{setting.students} students": together.seconds}
    times = interleaved(variants, setting.rounds)
    return compare(times, (setting.batch_size, setting.batch_size * setting.students))


def same_method(method: str, count: int) -> list[tuple[str, float]]:
    """So many students, their alphas evenly between 0 and 1."""
    return [(method, round((number + 1) / (count + 1), 3)) for number in range(count)]


def checkpoint_share(setting: Setting) -> Timing:
    """Percent of an epoch's training steps that writing its checkpoint takes, on the disk of temporary files."""
    make_ready()
    work = Workload(setting, [("logit", 0.5)], "fast")
    steps = -(-DATASETS[setting.dataset].train_items // setting.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        times = interleaved(
            {"step": work.seconds, "save": lambda: _save(work.students[0], Path(folder))}, setting.rounds
        )
    return timing([100 * save / (steps * step) for save, step in zip(times["save"], times["step"], strict=True)])


def make_ready() -> None:
    """What a training process does before anything else."""
    make_deterministic()
    keep_freed_memory()


def random_images(setting: Setting) -> Dataset:
    """Three batches of bytes in the shape of the data set."""
    facts, generator = DATASETS[setting.dataset], np.random.default_rng(0)
    shape = (3 * setting.batch_size, 3, facts.size, facts.size)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    split = Split(images, generator.integers(0, facts.classes, len(images)))
    return Dataset(setting.dataset, split, split, "")


def interleaved(variants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each variant returned in each round, after one round that does not count."""
    for variant in variants.values():
        variant()
    results: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            results[name].append(variant())
    return results


def compare(times: Mapping[str, list[float]], images: tuple[int, int]) -> Comparison:
    """Of two variants by name, with the images of a step of each."""
    ours, theirs = times.values()
    first, second = (
        Variant(name, timing(values), count / statistics.median(values))
        for (name, values), count in zip(times.items(), images, strict=True)
    )
    return Comparison(first, second, timing([their / our for our, their in zip(ours, theirs, strict=True)]))


def timing(values: list[float]) -> Timing:
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return Timing(statistics.median(values), low, high, len(values))


def _experiment(setting: Setting, method: str, alpha: float) -> Experiment:
    return Experiment(
        dataset=setting.dataset, method=method, alpha=alpha, teacher=setting.teacher, student=setting.student, seed=0
    ).require_known()


def _save(student: Student, folder: Path) -> float:
    with fence.opened(folder) as rights:
        start = time.perf_counter()
        save_checkpoint(rights, folder / "checkpoint.pth", {}, student.state_dict())
        return time.perf_counter() - start
