"""Spot audit: train one epoch of a run again, from the checkpoint before it, and compare everything that comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.checkpoint_files import checkpoints, look_at
from kd_core.artifacts.provenance import provenance
from kd_core.artifacts.reload import recorded_recipe
from kd_core.artifacts.same_state import NOT_TRAINED, curves_off, leaves, same_bits, weights_off
from kd_core.artifacts.torchfile import read_torch
from kd_core.run import Request, Surroundings, keep_threads, surroundings
from kd_core.runtime.determinism import make_deterministic
from kd_core.training.loop import train_epoch
from kd_core.training.step import choose_step
from kd_core.training.student import Student
from kd_hpc.claim import JobIdentity
from kd_hpc.errors import CheckpointError, Damaged, UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.records import StatusRecord
from kd_hpc.store import BEST, LAST, METRICS, Store

MACHINE = ("torch", "cuda", "device", "gpu", "machine", "dtype", "threads")
"""Facts that decide whether two machines compute the same bits."""
LOSS_MARGIN = 0.05
"""How far the training loss of an epoch may lie off, as a share, where another machine computes it again."""


@dataclass(frozen=True)
class Audit:
    """What an audit found. `differences` is empty if everything agrees; `other_machine` names the facts in which this
    one is not what the record tells, and then only curves were compared. `code_changed`: kd-core is another version.
    """

    run: str
    epoch: int
    differences: tuple[str, ...]
    other_machine: tuple[str, ...]
    code_changed: bool

    @property
    def agrees(self) -> bool:
        return not self.differences


def audit(store: Store, run: Experiment, epoch: int | None, data: Path, device: str) -> Audit:
    """Audit `epoch`, or the last one that can be. Writes nothing into the run's directory.

    Raises UsageError where the run is not on record or has not kept two neighbouring checkpoints, and what training
    raises where the data set or the teacher is another one.
    """
    make_deterministic()
    record = store.read(run)
    if not isinstance(record, StatusRecord) or not record.epoch:
        raise UsageError(f"{run.label} has trained no epoch in {store.root}.", remedy="Name a run with a record.")
    files = checkpoints(store, run, record)
    epoch = _choose(epoch, files, run)
    keep_threads([record])
    request = Request(store, [run], recorded_recipe(store, run), data, device, JobIdentity())
    around = surroundings(request, [record])
    student = _student_before(epoch, request, around, files, record.provenance.get("weights"))
    after = look_at(files[epoch], epoch)
    _train_once(student, around)
    facts = provenance(around.device, around.dtype, around.dataset)
    other = tuple(name for name in MACHINE if facts[name] != record.provenance.get(name))
    replayed = _by_curve(after, student, around.dataset.facts.test_items) if other else _bit_by_bit(after, student)
    found = [
        *_identity(after, run, around),
        *replayed,
        *_published(store.directory(run), record, epoch, after),
    ]
    changed = facts["code_sha256"] != record.provenance.get("code_sha256")
    return Audit(run.label, epoch, tuple(found), other, changed)


def _choose(asked: int | None, files: Mapping[int, Path], run: Experiment) -> int:
    """An epoch with a checkpoint after it and one before it; before the first there is the seed."""
    before = {*files, *(() if run.parent else (0,))}
    possible = sorted(epoch for epoch in files if epoch - 1 in before)
    if asked in possible:
        return asked
    if asked is None and possible:
        return possible[-1]
    there = f"possible: {', '.join(map(str, possible))}" if possible else "it kept none"
    epochs = asked or "N"
    raise UsageError(
        f"{run.label} cannot be audited{f' at epoch {asked}' if asked else ''}: that takes the checkpoints after that "
        f"epoch and the one before ({there}).",
        remedy=f"To keep them, train with checkpoint_epochs = [{epochs if asked is None else asked - 1}, {epochs}].",
    )


def _student_before(
    epoch: int, request: Request, around: Surroundings, files: Mapping[int, Path], weights: Mapping[str, float] | None
) -> Student:
    """The student as it was before `epoch`; `weights` of its terms are on record, where a recipe had them found."""
    (run,) = request.experiments
    recipe = request.recipe.of(run.method).varied(run.differs)
    directory = request.store.directory(run)
    teacher = around.teacher.network if around.teacher else None
    stage, classes = _own_first_stage(directory), around.dataset.facts.classes
    student = Student(run, recipe, teacher, around.device, around.dtype, stage, classes=classes)
    if weights and recipe.calibrated:
        student.objective.reweigh(weights)
    if epoch > 1:
        state = look_at(files[epoch - 1], epoch - 1)
        if run.parent and epoch - 1 == run.first_epoch:
            student.go_on_from(state, run.parent)
        else:
            student.load_state_dict(state)
    return student


def _own_first_stage(directory: Path) -> Any:
    """What the run kept of its method's first stage, which is not trained again."""

    def stage(name: str, make: Any, loss: Any) -> Mapping[str, Any]:
        path = directory / f"{name}.pth"
        try:
            weights: dict[str, Any] = read_torch(path, torch.device("cpu"))["weights"]
        except (OSError, Damaged, LookupError, TypeError) as error:
            raise CheckpointError(f"{path} cannot be used: {error}.", remedy="Put it back from a copy.") from None
        return weights

    return stage


def _train_once(student: Student, around: Surroundings) -> None:
    teacher = around.teacher.network if around.teacher else None
    step = choose_step(around.recipe.step, around.loader, teacher, around.device)
    train_epoch(
        [student], step, around.loader, student.epoch, lambda student, is_best: None, lambda student, error: None
    )


def _identity(after: Mapping[str, Any], run: Experiment, around: Surroundings) -> Iterator[str]:
    expected = {
        "experiment": run.label,
        "data_sha256": around.dataset.sha256,
        "teacher_sha256": around.teacher.sha256 if around.teacher else None,
    }
    yield from (f"identity.{name}" for name, value in expected.items() if after["identity"].get(name) != value)


def _bit_by_bit(after: Mapping[str, Any], student: Student) -> Iterator[str]:
    if student.failure:
        yield f"training stopped: {student.failure.what}"
        return
    known = {part: value for part, value in student.state_dict().items() if part in after}  # a later version has more
    theirs, ours = dict(leaves(after, NOT_TRAINED)), dict(leaves(known, NOT_TRAINED))
    for name in sorted({*theirs, *ours}):
        if not same_bits(theirs.get(name), ours.get(name)):
            yield name


def _by_curve(after: Mapping[str, Any], student: Student, test_items: int) -> Iterator[str]:
    """Another machine rounds otherwise: its epoch must come near, within what chance and rounding do."""
    if student.failure:
        yield f"training stopped: {student.failure.what}"
        return
    theirs, ours = after["curves"], student.curves.data
    loss, again = theirs["train_loss"][-1], ours["train_loss"][-1]
    if abs(again - loss) > LOSS_MARGIN * abs(loss):
        yield f"train_loss {again:.4f}, recorded {loss:.4f}"
    accuracy, again = theirs["test_acc"][-1], ours["test_acc"][-1]
    share = min(max(accuracy / 100, 0.01), 0.99)
    margin = 400 * math.sqrt(share * (1 - share) / test_items)
    if abs(again - accuracy) > margin:
        yield f"test_acc {again:.2f}, recorded {accuracy:.2f}"


def _published(directory: Path, record: StatusRecord, epoch: int, after: Mapping[str, Any]) -> Iterator[str]:
    """What lies beside the checkpoint and does not say the same."""
    try:
        curves = json.loads((directory / METRICS).read_bytes())
        yield from (f"{METRICS}: {name}" for name in curves_off(curves, after["curves"], epoch))
    except (OSError, ValueError):
        yield f"{METRICS} cannot be read"
    if record.best_epoch == after["best_epoch"]:
        yield from weights_off(directory / BEST, after["best"])
    if epoch == record.epoch and record.is_done:
        yield from weights_off(directory / LAST, after["model"])
    if epoch == record.epoch and record.acc_last != after["curves"]["test_acc"][-1]:
        yield "status.json: acc_last"
