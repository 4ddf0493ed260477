"""Finding a student's own teacher, and refusing any other."""

from __future__ import annotations

from typing import NamedTuple

import torch

from kd_core.artifacts.remedies import begin_anew, train_it
from kd_core.artifacts.weights import load_network, read_weights
from kd_core.data.loaders import Loader
from kd_core.runtime.device import place
from kd_core.teacher.frozen import Frozen, freeze
from kd_core.teacher.untrained import sha256_of, untrained_network
from kd_hpc.errors import CheckpointError, TeacherError
from kd_hpc.experiment import Experiment
from kd_hpc.records import FileDigest, State, StatusRecord
from kd_hpc.store import BEST, Store


class Teacher(NamedTuple):
    """A frozen network, and what its students' records say of it."""

    network: Frozen
    path: str
    sha256: str

    @property
    def provenance(self) -> dict[str, str]:
        return {"path": self.path, "sha256": self.sha256}


def teacher_of(
    store: Store,
    student: Experiment,
    classes: int,
    expected: str | None,
    loader: Loader,
    device: torch.device,
    dtype: torch.dtype,
    *,
    fold: bool,
) -> Teacher | None:
    """The teacher of `student`: none of a pure run, an untrained one in the control arm random_teacher, else its own.

    Raises TeacherError if it is not the one with SHA-256 `expected`, and whatever load_teacher raises.
    """
    if student.teacher is None:
        return None
    if student.teacher_run is not None:
        return load_teacher(store, student, classes, expected, device, dtype, fold=fold)
    network = untrained_network(student.teacher, classes, student.seed, loader.train(0, stage="random_teacher"))
    sha256, name = sha256_of(network), f"the untrained {student.teacher} of seed {student.seed}"
    _require_expected(name, sha256, expected, store, student)
    return Teacher(freeze(place(network, device), dtype, fold=fold), name, sha256)


def load_teacher(
    store: Store,
    student: Experiment,
    classes: int,
    expected: str | None,
    device: torch.device,
    dtype: torch.dtype,
    *,
    fold: bool,
) -> Teacher:
    """The teacher of `student`, frozen for asking in `dtype`: same data set, same seed, completed, best weights.

    Raises TeacherError if it is missing, unfinished, flagged, unreadable, or not the one with SHA-256 `expected`.
    """
    run = student.teacher_run
    assert run is not None, "only distilled runs have a teacher"
    _require_completed(store, run)
    path = store.directory(run) / BEST
    try:
        content = read_weights(store, run, BEST)
        sha256 = FileDigest.of(content).sha256
        _require_expected(str(path), sha256, expected, store, student)
        model = load_network(content, path, run, classes, device, train_it(store, run))
    except CheckpointError as error:
        raise TeacherError(error.what, remedy=error.remedy) from None
    return Teacher(freeze(model.requires_grad_(False).eval(), dtype, fold=fold), str(run.path / BEST), sha256)


def _require_expected(name: str, sha256: str, expected: str | None, store: Store, student: Experiment) -> None:
    if expected is not None and sha256 != expected:
        raise TeacherError(
            f"{name} is not the teacher this run was started with (SHA-256 {sha256[:12]}, recorded {expected[:12]}).",
            remedy=f"Put that teacher back, or move {store.directory(student)} away and start it anew.",
        )


def _require_completed(store: Store, run: Experiment) -> None:
    record = store.read(run)
    state = record.state if isinstance(record, StatusRecord) else State.NOT_STARTED
    if state == State.COMPLETED:
        return
    if state == State.SUSPECT:
        reason = record.reason if isinstance(record, StatusRecord) else ""
        raise TeacherError(
            f"The teacher {run.label} is suspect: {reason}.",
            remedy=f"Look at its curves, then train a better one: {begin_anew(store, run)}",
        )
    raise TeacherError(f"The teacher {run.label} is {state}, not completed.", remedy=train_it(store, run))
