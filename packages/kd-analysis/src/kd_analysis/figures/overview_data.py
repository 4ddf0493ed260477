"""What the overview figures show: verdicts and accuracies of all runs, in rows and columns."""

from __future__ import annotations

import math
from collections import defaultdict

from kd_analysis.accuracy.names import ordered, rank, show_alpha, show_method
from kd_analysis.figures.overview import OverviewRow, ProgressGrid
from kd_analysis.reading.runs_table import Tree
from kd_hpc.catalogue import DATASETS, METHODS, PURE
from kd_hpc.triage.run_directory import Identity


def progress_grid(tree: Tree) -> ProgressGrid:
    """Verdicts of all runs that are here or planned."""
    identities = list(dict.fromkeys([*tree.expected, *tree.by_identity]))
    verdicts = {
        (row_label(i), (i.dataset, str(i.seed))): str(tree.by_identity[i].verdict)
        if i in tree.by_identity
        else "missing"
        for i in identities
    }
    rows = sorted({row_label(i): row_key(i) for i in identities}.items(), key=lambda item: item[1])
    columns = sorted({(i.dataset, i.seed) for i in identities}, key=lambda pair: (rank(pair[0], DATASETS), pair[1]))
    return ProgressGrid(tuple(label for label, _ in rows), tuple((d, str(seed)) for d, seed in columns), verdicts)


def accuracy_rows(tree: Tree) -> dict[str, list[OverviewRow]]:
    """Accuracies by data set and row; only finished runs."""
    found: dict[str, dict[str, tuple[list[float], list[float]]]] = defaultdict(dict)
    for identity in sorted(tree.by_identity, key=row_key):
        item = tree.by_identity[identity]
        if item.run.state == "completed" and math.isfinite(item.run.acc_last):
            lists = found[identity.dataset].setdefault(row_label(identity), ([], []))
            lists[not item.usable].append(item.run.acc_last)
    names = ordered(found, DATASETS)
    return {
        name: [OverviewRow(label, tuple(good), tuple(bad)) for label, (good, bad) in found[name].items()]
        for name in names
    }


def row_label(identity: Identity) -> str:
    if identity.is_pure:
        return f"pure {identity.student}"
    return f"{show_method(identity.method)} {show_alpha(identity.alpha)}"


def row_key(identity: Identity) -> tuple[object, ...]:
    method = (-1, "") if identity.method == PURE else rank(identity.method, METHODS)
    return (
        *method,
        -1.0 if identity.alpha is None else identity.alpha,
        identity.student,
        identity.dataset,
        identity.seed,
    )
