"""Which runs a field of a recipe can change the numbers of: a mark that stands beside its declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kd_hpc.catalogue import LOSS_TERMS, ON_LOGITS, PURE


@dataclass(frozen=True)
class ActsOn:
    """Which runs a field can change the numbers of, by their method; a field without this acts on all."""

    runs_of: Callable[[str], bool]


PURE_RUNS = ActsOn(lambda method: method == PURE)
DISTILLED_RUNS = ActsOn(lambda method: method != PURE)
LOGIT_METHODS = ActsOn(lambda method: method in ON_LOGITS or _is_added(method))
FACTOR_TRANSFER = ActsOn(lambda method: method == "factor_transfer" or _is_added(method))
NO_RUN = ActsOn(lambda method: False)


def _is_added(method: str) -> bool:
    """True for a method of another package: nobody here knows what it reads."""
    return method != PURE and method not in LOSS_TERMS.own
