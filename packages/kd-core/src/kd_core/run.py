"""One `kd-core train`: check everything, own the runs, train them, leave them finished or explained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from kd_core.artifacts.provenance import provenance
from kd_core.artifacts.weights import save_weights
from kd_core.data.images import Dataset, load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.methods import METHODS
from kd_core.run_writer import RunWriter
from kd_core.runtime.allocator import keep_freed_memory
from kd_core.runtime.determinism import make_deterministic
from kd_core.runtime.device import choose_device, choose_dtype
from kd_core.teacher.load import Teacher, load_teacher
from kd_core.training.loop import train
from kd_core.training.paraphraser_stage import (
    ParaphraserStage,
    remove_stage_checkpoints,
    saved_paraphraser,
    shared_path,
)
from kd_core.training.step import choose_step
from kd_core.training.student import Student
from kd_hpc.campaign import Recipe
from kd_hpc.claim import JobIdentity, Superseded, claimed
from kd_hpc.errors import DeviceError, KdError
from kd_hpc.experiment import Experiment
from kd_hpc.records import StatusRecord
from kd_hpc.store import PARAPHRASER, Store


@dataclass(frozen=True)
class Request:
    """What was asked for: runs of one data set, seed and teacher, trained side by side."""

    store: Store
    experiments: Sequence[Experiment]
    recipe: Recipe
    data: Path
    device: str
    job: JobIdentity


@dataclass(frozen=True)
class Surroundings:
    """What all students of a process share."""

    device: torch.device
    dtype: torch.dtype
    dataset: Dataset
    loader: Loader
    teacher: Teacher | None


def train_runs(request: Request) -> list[RunWriter]:
    """Train every run that is not finished; returns their writers, whose students hold any failure.

    Raises before anything is written: DeviceError, DataError, TeacherError, RunOwned. Raises DeviceError when the
    device's memory does not suffice.
    """
    make_deterministic()
    keep_freed_memory()
    records = [_recorded(request.store, experiment) for experiment in request.experiments]
    _keep_threads(records)
    around = _surroundings(request, records)
    with ExitStack() as owned:
        writers = []
        for experiment in request.experiments:
            with suppress(Superseded):  # since it was last looked at: somebody else's now
                claim = owned.enter_context(ExitStack())
                record = claim.enter_context(claimed(request.store, experiment, request.job))
                if not record.is_done:
                    writers.append(_begin(request, experiment, record, around, claim))
        try:
            _train([writer for writer in writers if writer.failure is None], around, request.recipe)
        except torch.OutOfMemoryError as error:
            raise _out_of_memory(error, request.recipe) from None
    return writers


def _recorded(store: Store, experiment: Experiment) -> StatusRecord:
    record = store.read(experiment)
    return record if isinstance(record, StatusRecord) else StatusRecord(experiment=experiment)


def _surroundings(request: Request, records: Sequence[StatusRecord]) -> Surroundings:
    first = request.experiments[0]
    device = choose_device(request.device)
    dtype = choose_dtype(request.recipe.amp_dtype, device)
    dataset = _dataset(request.data, first.dataset)
    expected = next((record.teacher_sha256 for record in records if record.teacher_sha256), None)
    fold = request.recipe.step == "fast"
    teacher = None if first.is_pure else load_teacher(request.store, first, expected, device, dtype, fold=fold)
    loader = make_loader(
        request.recipe.loader,
        dataset,
        seed=first.seed,
        batch_size=request.recipe.batch_size,
        augment=request.recipe.augmentation,
        device=device,
    )
    return Surroundings(device, dtype, dataset, loader, teacher)


def _dataset(root: Path, name: str) -> Dataset:
    """The prepared data set; Digits, which needs no download, is prepared here if nobody did."""
    if name == "Digits" and not (root / name).exists():
        from kd_core.data.prepare import prepare_dataset

        prepare_dataset(name, root)
    return load_dataset(root, name)


def _keep_threads(records: Sequence[StatusRecord]) -> None:
    """Sums in another number of threads may round differently, so a resumed run keeps the number it began with."""
    for record in records:
        if "threads" in record.provenance:
            torch.set_num_threads(record.provenance["threads"])


def _begin(
    request: Request, experiment: Experiment, record: StatusRecord, around: Surroundings, claim: ExitStack
) -> RunWriter:
    """The run's writer, with a student where its checkpoint left it; or a failed run's, without."""
    teacher = around.teacher
    identity = {
        "experiment": experiment.label,
        "data_sha256": around.dataset.sha256,
        "teacher_sha256": teacher.sha256 if teacher else None,
    }
    facts = provenance(around.device, around.dtype, around.dataset)
    writer = RunWriter(request.store, experiment, record, identity, give_up=claim.close)
    writer.begin(request.recipe, {**facts, "teacher": teacher.provenance} if teacher else facts)
    try:
        paraphraser = _paraphraser(request, writer, teacher, around) if teacher else None
        network = teacher.network if teacher else None
        student = Student(experiment, request.recipe, network, around.device, around.dtype, paraphraser)
        writer.resume(student, around.loader)
    except KdError as error:
        writer.fail(error)
    return writer


def _paraphraser(
    request: Request, writer: RunWriter, teacher: Teacher, around: Surroundings
) -> dict[str, torch.Tensor] | None:
    """The teacher's paraphraser, trained now if nobody has; None for a method that has none."""
    experiment = writer.experiment
    if not METHODS[experiment.method].needs_paraphraser:
        return None
    assert experiment.teacher_run is not None, "a distilled run has a teacher"
    shared = shared_path(request.store.directory(experiment.teacher_run), teacher, request.recipe)
    own = writer.directory / PARAPHRASER
    weights = saved_paraphraser(own, around.device) or saved_paraphraser(shared, around.device)
    if weights is None:
        stage = ParaphraserStage(
            teacher, request.recipe, around.loader, writer.directory, around.device, experiment.seed
        )
        weights = stage.train(writer.warmup_epoch)
        save_weights(shared, weights)
    save_weights(own, weights)
    remove_stage_checkpoints(writer.directory)
    return weights


def _train(writers: Sequence[RunWriter], around: Surroundings, recipe: Recipe) -> None:
    writer_of = {writer.student: writer for writer in writers}
    train(
        list(writer_of),
        choose_step(recipe.step, around.loader, around.teacher.network if around.teacher else None, around.device),
        around.loader,
        lambda student, is_best: writer_of[student].end_epoch(is_best),
        lambda student: _fail(writer_of[student]),
    )
    for writer in writers:
        if writer.failure is None:
            writer.complete()


def _fail(writer: RunWriter) -> None:
    assert writer.student.failure is not None, "called with a student that failed"
    writer.fail(writer.student.failure)


def _out_of_memory(error: torch.OutOfMemoryError, recipe: Recipe) -> DeviceError:
    return DeviceError(
        f"The GPU's memory is full: {str(error).splitlines()[0]}",
        remedy=f"Lower --batch-size (now {recipe.batch_size}), or ask for a larger GPU.",
    )
