"""Synthetic run trees: a generator of run directories as kd-core writes them, with representations that mean something.

Students mix their teacher's representation with noise of their own; the more alpha, the more teacher.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord

WIDTHS = {"layer1": 16, "layer2": 32, "layer3": 64}


@dataclass(frozen=True)
class TreeSpec:
    """What to generate; `items` of 0 writes no representations."""

    datasets: tuple[str, ...] = ("Digits",)
    teacher: str = "ResNet20"
    student: str = "ResNetBaby"
    methods: tuple[str, ...] = ("logit", "rkd")
    alphas: tuple[float, ...] = (0.25, 0.5, 0.75)
    seeds: tuple[int, ...] = (0, 1)
    epochs: int = 20
    items: int = 120
    classes: int = 10
    gains: dict[str, float] = field(default_factory=lambda: {"logit": 1.0, "rkd": 0.3})


def build_tree(root: Path, spec: TreeSpec = TreeSpec()) -> Path:
    """Write every run of the grid under `root`; the same spec gives the same bytes of curves and arrays."""
    for number, dataset in enumerate(spec.datasets):
        for seed in spec.seeds:
            teacher = Experiment(dataset=dataset, student=spec.teacher, seed=seed)
            write_run(root, teacher, 97.0, spec, mix=0.0)
            write_run(root, Experiment(dataset=dataset, student=spec.student, seed=seed), 94.0 - number, spec, mix=0.1)
            for method in spec.methods:
                for alpha in spec.alphas:
                    run = Experiment(
                        dataset=dataset,
                        method=method,
                        alpha=alpha,
                        teacher=spec.teacher,
                        student=spec.student,
                        seed=seed,
                    )
                    accuracy = 94.0 - number + spec.gains.get(method, 0.0) * alpha
                    write_run(root, run, accuracy, spec, mix=0.2 + 0.6 * alpha)
    return root


def write_run(root: Path, run: Experiment, accuracy: float, spec: TreeSpec, *, mix: float) -> Path:
    """One completed run directory, whose accuracy is what its logits say."""
    directory = root / run.path
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(hash_of(str(run.path)))
    if spec.items:
        arrays = representations(run, accuracy, spec, mix, rng)
        np.savez(directory / "representations.npz", allow_pickle=False, **arrays)
        accuracy = float(100 * (arrays["logits"].argmax(1) == arrays["labels"]).mean())
    else:
        accuracy = round(accuracy + float(rng.normal(0, 0.3)), 2)
    curves = metrics(accuracy, spec, rng)
    if not run.is_pure:
        curves["terms"][f"{run.method} term"] = [round(0.01 * value, 6) for value in curves["train_loss"]]
        curves["gradient_norms"][f"{run.method} term"] = [0.2 * value for value in curves["lr"]]
    (directory / "metrics.json").write_text(json.dumps(curves))
    write_record(directory, run, curves["test_acc"], spec)
    return directory


def write_record(directory: Path, run: Experiment, accuracies: list[float], spec: TreeSpec) -> None:
    source = run.teacher_run
    teacher = {"teacher": {"path": str(source.path), "sha256": f"{run.seed:064x}"}} if source else {}
    record = StatusRecord(
        schema_version=1,
        state=State.COMPLETED,
        epoch=spec.epochs,
        epochs=spec.epochs,
        acc_last=accuracies[-1],
        acc_best=max(accuracies),
        best_epoch=int(np.argmax(accuracies)) + 1,
        experiment=run,
        recipe={"epochs": spec.epochs, "label_smoothing": 0.1 if run.is_pure else 0.0},
        provenance={"device": "cpu", "torch": "2.15.0", "code_version": "0.1.0", "seed": run.seed, **teacher},
        attempts=(Attempt(),),
    )
    (directory / "status.json").write_text(record.model_dump_json(exclude_none=True))


def metrics(accuracy: float, spec: TreeSpec, rng: np.random.Generator) -> dict[str, Any]:
    """Curves that rise to `accuracy` and end there."""
    progress = np.linspace(0, 1, spec.epochs + 1)[1:]
    rise = 1 - np.exp(-4 * progress)
    test = accuracy * rise / rise[-1] - np.abs(rng.normal(0, 0.5, spec.epochs)) * (1 - progress)
    loss = 2.4 * np.exp(-2 * progress) + rng.normal(0, 0.01, spec.epochs)
    curves: dict[str, Any] = {
        "train_loss": loss,
        "train_acc": np.minimum(test + 1.5, 100),
        "test_loss": loss + 0.1,
        "test_acc": test,
        "lr": 0.05 * (1 + np.cos(np.pi * progress)),
        "seconds": rng.uniform(1.0, 1.2, spec.epochs),
        "skipped_steps": np.zeros(spec.epochs),
    }
    curves = {name: [round(float(value), 6) for value in values] for name, values in curves.items()}
    curves["test_acc"][-1] = accuracy
    return {**curves, "terms": {"ce": curves["train_loss"]}, "gradient_norms": {"ce": curves["lr"]}}


def representations(
    run: Experiment, accuracy: float, spec: TreeSpec, mix: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Arrays of the test set: class structure + `mix` of the teacher of the same seed + the run's own noise."""
    shared = np.random.default_rng(7)
    labels = shared.permutation(np.arange(spec.items) % spec.classes)
    teacher = np.random.default_rng(1000 + run.seed)
    arrays: dict[str, np.ndarray] = {}
    for depth, (layer, width) in enumerate(WIDTHS.items(), start=1):
        classes = shared.normal(size=(spec.classes, width))[labels] * 0.4 * depth
        of_teacher = teacher.normal(size=(spec.items, width)) * np.geomspace(1.5, 0.03, width)
        own = rng.normal(size=(spec.items, width)) * np.geomspace(1.5, 0.03, width)
        is_teacher = run.is_pure and run.student == spec.teacher
        values = of_teacher if is_teacher else mix * of_teacher + (1 - mix) * own
        rotation = np.linalg.qr(rng.normal(size=(width, width)))[0]
        arrays[layer] = np.maximum((classes + values) @ rotation, 0).astype(np.float32)
    logits = rng.normal(size=(spec.items, spec.classes)).astype(np.float32)
    logits[np.arange(spec.items), labels] = 6.0
    wrong = rng.permutation(spec.items)[: round(spec.items * (1 - (accuracy + rng.normal(0, 0.4)) / 100))]
    logits[wrong, (labels[wrong] + 1) % spec.classes] = 9.0
    return {**arrays, "logits": logits, "labels": labels, "item_index": np.arange(spec.items)}


def hash_of(text: str) -> int:
    """A hash that is the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
