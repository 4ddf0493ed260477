"""Every run's curves as values by epoch and name: what all exports are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kd_hpc.triage.run_directory import Curves, Run

PLAIN = ("train_loss", "train_acc", "test_loss", "test_acc", "lr", "seconds", "students", "skipped_steps")


def epochs_of(run: Run) -> Iterator[tuple[int, dict[str, float]]]:
    """Each epoch's number, counted from 1, with its values; what is not a number is left away.

    Loss terms are `term/NAME`, the norms of their gradients `gradient/NAME`.
    """
    curves = named(run.curves)
    for place in range(max(map(len, curves.values()), default=0)):
        values = {name: curve[place] for name, curve in curves.items() if place < len(curve)}
        yield run.first_epoch + place + 1, {name: value for name, value in values.items() if math.isfinite(value)}


def named(curves: Curves) -> dict[str, Sequence[float]]:
    """All curves that have a value, by the names that exports give them."""
    plain: dict[str, Sequence[float]] = {name: getattr(curves, name) for name in PLAIN}
    terms = {f"term/{name}": values for name, values in curves.terms.items()}
    gradients = {f"gradient/{name}": values for name, values in curves.gradient_norms.items()}
    return {name: values for name, values in (plain | terms | gradients).items() if values}
