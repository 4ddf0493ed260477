"""How hard each term pulled beside the labels, weights included: equal alpha is not equal strength."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from kd_analysis.accuracy.names import method_order, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Block, Column, Table, Text, table
from kd_hpc.triage.run_directory import Run

WEAK = 0.1
COLUMNS = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "term",
    "weights",
    "n",
    Column("first", 3, label="pull, first epoch"),
    Column("last", 3, label="pull, last epoch"),
)
NOTE = (
    "Equal alpha is not equal strength. Pull: the norm of a weighted term's gradient on the student over that of "
    "cross-entropy, on the first batch of an epoch, before alpha; means of counted runs, whatever their alpha."
)


class Pull(NamedTuple):
    """Of one term of one run, its weight included, in the first and in the last epoch."""

    weight: float
    first: float
    last: float


def strength_blocks(analysis: Analysis) -> Iterator[Block]:
    """A table of pulls, and which methods hardly pulled; nothing where no run records gradients and weights."""
    found = _pulls(analysis)
    if not found:
        return
    yield Text(NOTE)
    if weak := _weak(found):
        yield Text(
            f"{', '.join(weak)}: every term pulled less than a tenth as hard as the labels in the first epoch. With a "
            "convex loss such a student is nearly one of cross-entropy alone at (1 - alpha) times the learning rate.",
            "limits",
        )
    yield _table(found)


def _pulls(analysis: Analysis) -> dict[tuple[str, str, str], list[Pull]]:
    """By data set, method and term."""
    found: dict[tuple[str, str, str], list[Pull]] = {}
    for item in analysis.tree.runs:
        identity = item.run.identity
        if item.usable and not identity.is_pure:
            for term, pull in _of(item.run):
                found.setdefault((identity.dataset, identity.method, term), []).append(pull)
    return dict(sorted(found.items(), key=lambda pair: (pair[0][0], method_order(pair[0][1]), pair[0][2])))


def _of(run: Run) -> Iterator[tuple[str, Pull]]:
    weights = run.record.provenance.get("weights") if run.record else None
    if not isinstance(weights, dict):
        return
    for term in run.curves.distillation_terms:
        ratios, weight = [r for r in run.curves.relative_gradient(term) if math.isfinite(r)], weights.get(term)
        if ratios and isinstance(weight, int | float):
            yield term, Pull(weight, weight * ratios[0], weight * ratios[-1])


def _weak(found: dict[tuple[str, str, str], list[Pull]]) -> list[str]:
    """Methods of whose terms none pulled harder than WEAK on any data set, by the names papers use."""
    hardest: dict[str, float] = {}
    for (_, method, _), pulls in found.items():
        hardest[method] = max(hardest.get(method, 0.0), _mean(pulls, "first"))
    return [show_method(method) for method, pull in hardest.items() if pull < WEAK]


def _table(found: dict[tuple[str, str, str], list[Pull]]) -> Table:
    rows = [
        (
            *key,
            ", ".join(f"{weight:g}" for weight in sorted({pull.weight for pull in pulls})),
            len(pulls),
            _mean(pulls, "first"),
            _mean(pulls, "last"),
        )
        for key, pulls in found.items()
    ]
    return table("strength", "How hard each term pulled beside the labels", COLUMNS, rows)


def _mean(pulls: Sequence[Pull], when: str) -> float:
    return fmean(getattr(pull, when) for pull in pulls)
