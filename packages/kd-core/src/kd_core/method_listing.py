"""What `kd-core methods` prints: each method's definition, and how hard each of its terms pulls at the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kd_core.methods import METHODS
from kd_core.methods.base import Method, untrained
from kd_core.networks import build
from kd_core.networks.base import Network, Outputs, Widths
from kd_core.teacher.untrained import settle

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
        network = build(student, num_classes)
        target = _settled(build(teacher, num_classes), images)
        outputs = network(images)
        cross_entropy = _gradient_norm(functional.cross_entropy(outputs.logits, labels), network)
        return [
            row
            for method in METHODS.values()
            for row in _rows(_ready(method, outputs, target, temperature), outputs, target, network, cross_entropy)
        ]


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


def _rows(
    method: Method, student: Outputs, teacher: Outputs, network: Network, cross_entropy: float
) -> Iterable[TermProbe]:
    for term, loss in method.terms(student, teacher).items():
        weight, ratio = method.weights[term], _gradient_norm(loss, network) / cross_entropy
        yield TermProbe(method.name, term, weight, loss.item(), ratio, weight * ratio)


def _gradient_norm(loss: Tensor, network: Network) -> float:
    gradients = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True)
    return float(torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).norm())
