"""How hard a method's terms pull on the student beside the labels: gradient norms over cross-entropy's.

Equal alpha is not equal strength: on the same networks one method's term may pull half as hard as the labels and
another's a hundredth. Weights times one factor a method make it equal at the start of training.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kd_core.data.loaders import Batch
from kd_core.methods.base import Items, Method
from kd_core.networks.base import Network, Outputs
from kd_core.teacher.frozen import Frozen
from kd_hpc.errors import TrainingError

BATCHES = 4
"""Of the first epoch, over which a calibration takes its means."""
_DIGITS = 3

PAST_EVERY_WARM_UP = 1_000_000
"""An epoch in which no method holds its terms back any more."""


class Pull(NamedTuple):
    """Of one unweighted term: its value, and its gradient's norm over that of cross-entropy on hard labels."""

    value: float
    ratio: float


def pulls(
    methods: Iterable[Method], network: Network, student: Outputs, teacher: Outputs, items: Items
) -> list[tuple[Method, str, Pull]]:
    """The pull of each method's terms on the parameters of `network`, whose outputs `student` are.

    Leaves no gradient behind.
    """
    with torch.autocast(items.labels.device.type, enabled=False):
        reference = _norm(functional.cross_entropy(student.logits.float(), items.labels), network)
        return [
            (method, name, Pull(term.item(), _norm(term, network) / reference))
            for method in methods
            for name, term in method.terms_of(student, teacher, items).items()
        ]


def calibrated_weights(
    method: Method,
    weights: Mapping[str, float],
    ratio: float,
    network: Network,
    teacher: Frozen,
    batches: Iterable[Batch],
) -> dict[str, float]:
    """`weights` times one factor, so that all terms together pull `ratio` times as hard as cross-entropy, in float32.

    Both are means over the first BATCHES of `batches`. Nothing given is changed; rounded to three digits, so that other
    hardware says the same. Raises TrainingError where the method has no gradient or cross-entropy's is no number.
    """
    network, method = copy.deepcopy(network).train(), copy.deepcopy(method)
    own = reference = 0.0
    for images, labels, indices in islice(batches, BATCHES):
        items = Items(labels, indices, torch.tensor(PAST_EVERY_WARM_UP, device=labels.device))
        student = network(images)
        terms = method.terms_of(student, teacher(images), items)
        own += _norm(torch.stack([weights[name] * term for name, term in terms.items()]).sum(), network)
        reference += _norm(functional.cross_entropy(student.logits, labels), network)
    if not (0 < own < float("inf") and 0 < reference < float("inf")):
        raise TrainingError(
            f"{method.name} cannot be calibrated: its gradient is {own:g}, that of cross-entropy {reference:g}.",
            remedy="Give its weights yourself.",
        )
    return {name: float(f"{ratio * reference / own * weight:.{_DIGITS}g}") for name, weight in weights.items()}


def _norm(loss: Tensor, network: Network) -> float:
    gradients = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True)
    return float(torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).norm())
