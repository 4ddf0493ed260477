"""What a run minimises: L = (1 - alpha) * CE + alpha * sum of weight * term, or with the whole of CE; CE if pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kd_core.methods.base import Items, Method
from kd_core.networks.base import Outputs
from kd_hpc.errors import UsageError

CE = "ce"


class Objective:
    """`terms` computes each part unweighted, `total` weighs them. Everything is float32, outside autocast.

    `terms` raises UsageError for a method whose terms are not those the catalogue names.

    Label smoothing is for pure runs only: a teacher's outputs already are soft labels (Hinton 2015).
    """

    def __init__(
        self,
        method: Method | None = None,
        *,
        alpha: float = 0.0,
        weights: Mapping[str, float] | None = None,
        label_smoothing: float = 0.0,
        adds: bool = False,
    ) -> None:
        """`adds`: the method's terms come on top of the whole cross-entropy, not in place of a share of it."""
        self.method = method
        self.label_smoothing = label_smoothing if method is None else 0.0
        self._share, self._of_labels = (alpha, 1.0 if adds else 1 - alpha) if method else (0.0, 1.0)
        self.reweigh({**method.weights, **(weights or {})} if method else {})

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Let each term have this weight, before its share of the loss."""
        self.weights = dict(weights)
        self.factors = {CE: self._of_labels, **{name: self._share * weight for name, weight in weights.items()}}

    def terms(self, student: Outputs, teacher: Outputs | None, items: Items) -> dict[str, Tensor]:
        """Unweighted terms by name; outputs of the same B `items`."""
        with torch.autocast(items.labels.device.type, enabled=False):
            ce = cross_entropy(student.logits.float(), items.labels, label_smoothing=self.label_smoothing)
            if self.method is None or teacher is None:
                return {CE: ce}
            terms = {CE: ce, **self.method.terms_of(student, teacher, items)}
        if terms.keys() != self.factors.keys():
            raise _other_terms(self.method.name, terms, self.factors)
        return terms

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.factors[name] * term for name, term in terms.items()]).sum()


def _other_terms(method: str, terms: Iterable[str], named: Iterable[str]) -> UsageError:
    found, known = (", ".join(name for name in names if name != CE) for names in (terms, named))
    return UsageError(
        f"{method} computes the terms {found}, but the catalogue names {known or 'none'}.",
        remedy="Name each term there, or in its package's facts, with its weight: docs/guide/a-campaign-of-your-own.md",
    )
