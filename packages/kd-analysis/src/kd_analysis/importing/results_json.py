"""results.json: one object a run with the final accuracies as shares, its settings, and a `history` by epoch.

kd-capacity-gap writes such files. There the epoch is chosen on a validation set, so `test_acc_best` is not the best on
the test set and is quoted among the settings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_analysis.importing.result import NotUnderstood, Result
from kd_hpc.catalogue import PURE

NAME = "results.json"
ABOUT = frozenset(["model", "teacher", "kd_type", "alpha", "seed", "epochs", "test_acc_final", "history"])
FLAWED = "no_proj_clip"
"""Marks a method that was trained with a known fault on purpose: another method."""


def read_results_json(path: Path, dataset: str | None) -> Result:
    """Raises NotUnderstood, also without `dataset`: the format does not name it."""
    if dataset is None:
        raise NotUnderstood(f"{path} does not say on which data set.", remedy="Name it with --dataset.")
    found = _read(path)
    try:
        kind, student, epochs = str(found["kd_type"]), str(found["model"]), int(found["epochs"])
        accuracy = 100 * float(found["test_acc_final"])
        distilled = kind != "none"
        return Result(
            source=path,
            dataset=dataset,
            method=f"{kind}_{FLAWED}" if distilled and found.get(FLAWED) else kind if distilled else PURE,
            alpha=float(found["alpha"]) if distilled else None,
            teacher=str(found["teacher"]) if distilled else None,
            student=student,
            seed=None if found.get("seed") is None else int(found["seed"]),
            epochs=epochs,
            acc_last=round(accuracy, 9),
            acc_best=None,
            curves=_curves(found.get("history") or []),
            settings={name: value for name, value in found.items() if name not in ABOUT and value is not None},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotUnderstood(f"{path} is no result of a run: {type(error).__name__} {error}.") from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise NotUnderstood(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise NotUnderstood(f"{path} is no result of a run: it holds no object.")
    return found


def _curves(history: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, ...]]:
    """What every epoch has, under kd's names: shares become percent."""
    names = {"train_acc": ("train_acc", 100.0), "loss_total": ("train_loss", 1.0), "val_acc": ("val_acc", 100.0)}
    found = {}
    for theirs, (ours, factor) in names.items():
        values = tuple(factor * float(epoch[theirs]) for epoch in history if theirs in epoch)
        if len(values) == len(history) > 0 and all(map(math.isfinite, values)):
            found[ours] = values
    return found
