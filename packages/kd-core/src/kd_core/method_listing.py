"""What `kd-core methods` prints: each method's definition, and how hard each of its terms pulls at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kd_core.data.loaders import Loader
from kd_core.methods import METHODS
from kd_core.methods.base import Items, Method, untrained
from kd_core.networks import build
from kd_core.networks.base import Network, Outputs, Widths
from kd_core.teacher.frozen import Frozen
from kd_core.teacher.untrained import settle
from kd_core.training.strength import PAST_EVERY_WARM_UP, calibrated_weights, pulls
from kd_core.training.student import new_student, seeded
from kd_hpc.experiment import Experiment

SIZE = 32
"""Height and width of a probe's images."""


@dataclass(frozen=True)
class MethodFacts:
    """One method as it is defined here; `trained` counts the parameters it trains beside the student, and `first_stage`
    says whether it trains something on the teacher alone before."""

    name: str
    definition: str
    source: str
    weights: Mapping[str, float]
    trained: int
    first_stage: bool


@dataclass(frozen=True)
class TermProbe:
    """One loss term at initialisation; ratios are gradient norms on the student's parameters over cross-entropy's."""

    method: str
    term: str
    weight: float
    value: float
    gradient_ratio: float
    weighted_gradient_ratio: float


def describe() -> list[MethodFacts]:
    """All methods, in the order of METHODS."""
    widths = Widths(16, 32, 64, 10)
    with torch.random.fork_rng(devices=[]):
        methods = [method.build(student=widths, teacher=widths, temperature=4.0) for method in METHODS.values()]
    return [
        MethodFacts(
            method.name,
            method.definition,
            method.source,
            dict(method.weights),
            sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad),
            type(method).prepare is not Method.prepare,
        )
        for method in methods
    ]


def probe(
    *,
    student: str = "ResNet56",
    teacher: str = "ResNet112",
    num_classes: int = 10,
    batch_size: int = 32,
    temperature: float = 4.0,
    seed: int = 0,
) -> list[TermProbe]:
    """Value and relative gradient of every term, for two untrained networks on one batch of noise.

    Everything is drawn from `seed`, and the global generator is left as it was. Raises UsageError for an unknown model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        images, labels = torch.randn(batch_size, 3, SIZE, SIZE), torch.randint(num_classes, (batch_size,))
        items = Items(labels, torch.arange(batch_size), torch.tensor(PAST_EVERY_WARM_UP))
        network = build(student, num_classes)
        target = _settled(build(teacher, num_classes), images)
        outputs = network(images)
        ready = (_ready(kind, outputs, target, temperature) for kind in METHODS.values())
        return [
            TermProbe(method.name, term, weight := method.weights[term], *pull, weight * pull.ratio)
            for method, term, pull in pulls(ready, network, outputs, target, items)
        ]


@dataclass(frozen=True)
class Calibration:
    """A method's weights as they are, and as they pull at the strength asked for; `pull` is that of those it has."""

    method: str
    weights: Mapping[str, float]
    pull: float
    calibrated: Mapping[str, float]


def calibrate(
    ratio: float, student: Experiment, teacher: Frozen, loader: Loader, *, temperature: float = 4.0
) -> list[Calibration]:
    """Every method's weights at which it pulls `ratio` times as hard as the labels when `student` begins.

    `student` is a distilled run of any method, `loader` its images. A method with a first stage is taken as it is
    before that.
    """
    network = new_student(student, teacher.widths.logits)
    found = []
    for kind in METHODS.values():
        make = partial(kind.build, student=network.widths, teacher=teacher.widths, temperature=temperature)
        method = seeded(make, student, kind.name)
        method.prepare(untrained)
        own = dict(method.weights)
        weights = calibrated_weights(method, own, ratio, network, teacher, loader.train(0, stage="calibration"))
        name = max(own, key=lambda term: own[term])
        found.append(Calibration(kind.name, own, ratio * own[name] / weights[name], weights))
    return found


@torch.no_grad()
def _settled(teacher: Network, images: Tensor) -> Outputs:
    """The teacher's outputs in eval mode, its running statistics taken from these images.

    Without them an untrained deep network multiplies its activations block by block, and its hints mean nothing.
    """
    settle(teacher, images)
    outputs: Outputs = teacher.eval()(images)
    return outputs


def _ready(kind: type[Method], student: Outputs, teacher: Outputs, temperature: float) -> Method:
    method = kind.build(student=student.widths, teacher=teacher.widths, temperature=temperature)
    method.prepare(untrained)
    return method
