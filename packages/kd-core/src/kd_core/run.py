"""One `kd-core train`: check everything, own the runs, train them, leave them finished or explained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kd_core.artifacts.beginning import Beginning, beginning_of
from kd_core.artifacts.provenance import packages_of, provenance
from kd_core.data.images import Dataset, load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.data.validation import hold_out
from kd_core.run_writer import RunWriter
from kd_core.runtime.allocator import keep_freed_memory
from kd_core.runtime.determinism import make_deterministic
from kd_core.runtime.device import choose_device, choose_dtype
from kd_core.teacher.load import Teacher, teacher_of
from kd_core.training.first_stage import TeachersStage
from kd_core.training.loop import train
from kd_core.training.step import choose_step, guarded
from kd_core.training.strength import calibrated_weights
from kd_core.training.student import Student
from kd_hpc.claim import JobIdentity, claimed
from kd_hpc.errors import DeviceError, Interrupted, KdError, Superseded
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.records import StatusRecord
from kd_hpc.store import OpenRun, Store


@dataclass(frozen=True)
class Request:
    """What was asked for: runs of one data set, seed and teacher, trained side by side.

    `recipe` is that of ordinary runs; in what a run differs from them, its variant says.
    """

    store: Store
    experiments: Sequence[Experiment]
    recipe: Recipe
    data: Path
    device: str
    job: JobIdentity


@dataclass(frozen=True)
class Surroundings:
    """What all students of a process share; the recipe as far as it is not a method's own."""

    recipe: Recipe
    device: torch.device
    dtype: torch.dtype
    dataset: Dataset
    loader: Loader
    teacher: Teacher | None
    beginnings: Mapping[Experiment, Beginning]
    """Of those forks that have not begun yet."""


def train_runs(request: Request) -> list[KdError]:
    """Train every run that is not finished; returns why runs were not, one error a run.

    Raises before anything is written: DeviceError, DataError, TeacherError, UsageError. Raises DeviceError when the
    device's memory does not suffice.
    """
    try:
        return _train_owned(request)
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(error, len(request.experiments)) from None


def _train_owned(request: Request) -> list[KdError]:
    make_deterministic()
    keep_freed_memory()
    records = [_recorded(request.store, experiment) for experiment in request.experiments]
    parents = [experiment.parent for experiment in request.experiments if experiment.parent]
    keep_threads([*(_recorded(request.store, parent) for parent in parents), *records])
    around = surroundings(request, records)
    writers: list[RunWriter] = []
    failures: list[KdError] = []
    with ExitStack() as owned:
        for experiment in request.experiments:
            try:
                writers += _own(request, experiment, around, owned.enter_context(ExitStack()))
            except KdError as error:
                failures.append(error)
        try:
            return failures + _train(writers, around)
        except KeyboardInterrupt:
            raise _interrupted(writers) from None


def _recorded(store: Store, experiment: Experiment) -> StatusRecord:
    record = store.read(experiment)
    return record if isinstance(record, StatusRecord) else StatusRecord(experiment=experiment)


def surroundings(request: Request, records: Sequence[StatusRecord]) -> Surroundings:
    """Everything that the requested runs share, checked. Writes nothing but a data set that needs no download."""
    first = request.experiments[0]
    recipe = request.recipe.varied(first.differs)
    device = choose_device(request.device)
    dtype = choose_dtype(recipe.amp_dtype, device)
    dataset = hold_out(_dataset(request.data, first.dataset), recipe.validation)
    loader = make_loader(
        recipe.loader,
        dataset,
        seed=first.seed,
        batch_size=recipe.batch_size,
        augment=recipe.augmentation,
        device=device,
    )
    expected = next((record.teacher_sha256 for record in records if record.teacher_sha256), None)
    fold, classes = recipe.step == "fast", dataset.facts.classes
    teacher = teacher_of(request.store, first, classes, expected, loader, device, dtype, fold=fold)
    found = {run: beginning_of(request.store, run, dataset.sha256, device) for run in request.experiments}
    beginnings = {run: beginning for run, beginning in found.items() if beginning}
    return Surroundings(recipe, device, dtype, dataset, loader, teacher, beginnings)


def _dataset(root: Path, name: str) -> Dataset:
    """The prepared data set; Digits, which needs no download, is prepared here if nobody did."""
    if name == "Digits" and not (root / name).exists():
        from kd_core.data.prepare import prepare_dataset

        prepare_dataset(name, root)
    return load_dataset(root, name)


def keep_threads(records: Sequence[StatusRecord]) -> None:
    """Sums in another number of threads may round differently, so a resumed run keeps the number it began with."""
    for record in records:
        if "threads" in record.provenance:
            torch.set_num_threads(record.provenance["threads"])


def _own(request: Request, experiment: Experiment, around: Surroundings, claim: ExitStack) -> list[RunWriter]:
    """The run's writer while `claim` is open; none if it is somebody else's since it was last looked at, or done."""
    try:
        claimed_run = claim.enter_context(claimed(request.store, experiment, request.job))
    except Superseded:
        return []
    return [_begin(request, claimed_run.run, claimed_run.record, around, claim)] if claimed_run.run else []


def _begin(request: Request, run: OpenRun, record: StatusRecord, around: Surroundings, claim: ExitStack) -> RunWriter:
    """The run's writer, with a student where its checkpoint left it. A KdError is told to the record, then raised."""
    experiment, teacher = run.experiment, around.teacher
    identity = {
        "experiment": experiment.label,
        "data_sha256": around.dataset.sha256,
        "teacher_sha256": teacher.sha256 if teacher else None,
    }
    recipe = request.recipe.of(experiment.method).varied(experiment.differs)
    beginning = around.beginnings.get(experiment)
    facts = provenance(around.device, around.dtype, around.dataset)
    if added := packages_of(experiment):
        facts["packages"] = added
    if teacher:
        facts |= {"teacher": teacher.provenance, "weights": recipe.weights_of(experiment.method)}
    facts |= {"parent": beginning.provenance} if beginning else _known_parent(record)
    writer = RunWriter(run, record, identity, give_up=claim.close)
    writer.begin(recipe, facts)
    try:
        network, stage = (teacher.network, _first_stage(request, writer, teacher, around)) if teacher else (None, None)
        classes = around.dataset.facts.classes
        student = Student(experiment, recipe, network, around.device, around.dtype, stage, classes=classes)
        if stage and teacher and recipe.calibrated:
            _calibrate(student, stage, teacher, around.loader)
        writer.resume(student, around.loader)
        if beginning:
            writer.go_on_from(beginning.state, beginning.parent)
        if recipe.calibrated:
            writer.tell(weights=student.objective.weights)
    except KdError as error:
        writer.fail(error)
        raise
    return writer


def _known_parent(record: StatusRecord) -> dict[str, Any]:
    """What an earlier start of a fork recorded of its beginning."""
    return {"parent": record.provenance["parent"]} if "parent" in record.provenance else {}


def _calibrate(student: Student, stage: TeachersStage, teacher: Teacher, loader: Loader) -> None:
    """Scale a new student's weights as its recipe asks; one that goes on has them in its checkpoint, too."""
    recipe, method, own = student.recipe, student.objective.method, student.objective.weights
    assert method is not None, "only a distilled run has a first stage"
    basis = hashlib.sha256(f"{recipe.calibrated} {recipe.temperature} {sorted(own.items())}".encode()).hexdigest()[:8]
    weights = stage.once(
        f"calibration_{method.name}_{student.experiment.student}_{basis}",
        lambda: calibrated_weights(
            method, own, recipe.calibrated, student.model, teacher.network, loader.train(0, stage="calibration")
        ),
    )
    student.objective.reweigh(weights)


def _first_stage(request: Request, writer: RunWriter, teacher: Teacher, around: Surroundings) -> TeachersStage:
    experiment = writer.experiment
    trained = experiment.teacher_run
    return TeachersStage(
        teacher,
        request.recipe.varied(experiment.differs),
        around.loader,
        around.device,
        experiment.seed,
        fence=writer.fence,
        shared=request.store.directory(trained) if trained else None,
        on_epoch=writer.warmup_epoch,
    )


def _train(writers: Sequence[RunWriter], around: Surroundings) -> list[KdError]:
    """Train them to their ends, or to their failures, which are returned."""
    writer_of = {writer.student: writer for writer in writers}
    train(
        list(writer_of),
        choose_step(
            around.recipe.step, around.loader, around.teacher.network if around.teacher else None, around.device
        ),
        around.loader,
        lambda student, is_best: writer_of[student].end_epoch(is_best),
        lambda student, error: writer_of[student].fail(error),
    )
    for student in writer_of:
        guarded(student, lambda student: writer_of[student].complete())
    return [student.failure for student in writer_of if student.failure is not None]


def _out_of_memory(error: torch.OutOfMemoryError, students: int) -> DeviceError:
    """Fewer students change no run; a smaller batch would be another recipe."""
    fewer = f"Train fewer students side by side than {students}: students_per_job in the campaign, or fewer --beside"
    larger = "sk for a GPU with more memory, or one that nobody shares"
    return DeviceError(
        f"The GPU's memory is full: {str(error).strip().partition(chr(10))[0]}",
        remedy=f"{fewer}; or a{larger}." if students > 1 else f"A{larger}.",
    )


def _interrupted(writers: Sequence[RunWriter]) -> Interrupted:
    done = [
        f"{writer.experiment.label} has {writer.student.epoch} of {writer.record.epochs} epochs" for writer in writers
    ]
    others = f", and so on for {len(done) - 1} beside it" if done[1:] else ""
    return Interrupted(f"Interrupted: {done[0]}{others}.", remedy="The same command goes on from there.")
