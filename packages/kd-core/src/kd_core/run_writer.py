"""Writing one run's directory while this process owns it, in the order that makes a kill at any point harmless."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kd_core.artifacts.checkpoint import load_checkpoint, save_checkpoint
from kd_core.artifacts.representations import REPRESENTATIONS_BEST, at_epoch, extract, save_representations
from kd_core.artifacts.weights import save_weights
from kd_core.data.loaders import Loader
from kd_core.training.student import Student
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import CheckpointError, KdError, StoreError, TrainingError
from kd_hpc.experiment import Experiment
from kd_hpc.files import sweep_temporaries
from kd_hpc.recipe import Recipe
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import BEST, CHECKPOINT, LAST, REPRESENTATIONS, Store


class RunWriter:
    """One run's record and files. A file is published before anything that refers to it."""

    student: Student

    def __init__(
        self,
        store: Store,
        experiment: Experiment,
        record: StatusRecord,
        identity: dict[str, Any],
        *,
        give_up: Callable[[], None],
    ) -> None:
        """`give_up` ends this process's claim on the run."""
        self.store, self.experiment, self.record, self.identity = store, experiment, record, identity
        self.give_up = give_up
        self.directory: Path = store.create(experiment)

    def begin(self, recipe: Recipe, provenance: dict[str, Any]) -> None:
        """Say that the run is in progress, and how."""
        sweep_temporaries(self.directory)
        self._write(
            state=State.IN_PROGRESS,
            experiment=self.experiment,
            recipe=recipe.model_dump(mode="json"),
            epochs=recipe.epochs,
            provenance=provenance,
            teacher_sha256=self.identity["teacher_sha256"],
            reason="",
            remedy="",
        )

    def warmup_epoch(self, stage: str, finished: int, loss: float) -> None:
        """Book one epoch of a stage before the student's own."""
        self._write(warmup_epochs=finished)
        print(f"{self.experiment.label} {stage} epoch {finished} loss {loss:.6f}", flush=True)

    def resume(self, student: Student, loader: Loader) -> None:
        """Put the student where its checkpoint left it. Raises CheckpointError if that was made with another recipe."""
        self.student, self.loader = student, loader
        path = self.directory / CHECKPOINT
        state, complaints = load_checkpoint(path, self.identity, student.device)
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        if state is not None and (differs := student.recipe.differences(state["recipe"], self.experiment.method)):
            raise CheckpointError(
                f"{path} was made with another recipe: {differs}.",
                remedy=f"Use that recipe again, or move {self.directory} away to start anew.",
            )
        if state is not None:
            student.load_state_dict(state)
        self._write(**self._progress())

    def end_epoch(self, is_best: bool) -> None:
        """Book one epoch: curves, best weights, checkpoint, record."""
        student = self.student
        student.curves.publish(self.directory)
        if is_best:
            save_weights(self.directory / BEST, student.best)
        if student.epoch in student.recipe.representation_epochs:
            save_representations(self.directory / at_epoch(student.epoch), extract(student.model, self.loader.test()))
        save_checkpoint(self.directory / CHECKPOINT, self.identity, student.state_dict())
        self._write(**self._progress())
        score = student.curves.data
        print(
            f"{student.experiment.label} epoch {student.epoch}/{student.recipe.epochs} "
            f"loss {score['train_loss'][-1]:.4f} test accuracy {score['test_acc'][-1]:.2f} % "
            f"({score['seconds'][-1]:.1f} s)",
            flush=True,
        )

    def complete(self) -> None:
        """Leave everything a finished run has, and then say that it is finished, or suspect."""
        student, tests = self.student, self.loader.test
        student.curves.publish(self.directory)
        save_weights(self.directory / BEST, student.best)
        save_weights(self.directory / LAST, student.model.state_dict())
        save_representations(self.directory / REPRESENTATIONS, extract(student.model, tests()))
        student.model.load_state_dict(student.best)
        save_representations(self.directory / REPRESENTATIONS_BEST, extract(student.model, tests()))
        self._write(**self._verdict(), **self._progress(), ended=True)

    def fail(self, error: KdError) -> None:
        """Where training itself went wrong, say so in the record, with what to do about it.

        From then on the run is not this process's any more: it may be tried again while students beside it go on.
        Anything else, such as a full disk, says nothing about the run: it stays in progress and may be resumed.
        """
        if isinstance(error, TrainingError):
            with suppress(StoreError):  # it stays in progress, then, until the process ends
                self._write(state=State.FAILED, reason=error.what, remedy=error.remedy, ended=True)
                self.give_up()

    def _verdict(self) -> dict[str, Any]:
        accuracy, dataset = self.student.accuracies[-1], self.student.experiment.dataset
        chance = DATASETS[dataset].chance_accuracy
        if accuracy >= chance:
            return {"state": State.COMPLETED}
        return {
            "state": State.SUSPECT,
            "reason": f"test accuracy {accuracy:.2f} % is at chance level on {dataset} (below {chance:.2f} %)",
            "remedy": "Look at the loss terms in metrics.json; mend the recipe, then: "
            f"kd-hpc retry --anew {self.experiment.label}",
        }

    def _progress(self) -> dict[str, Any]:
        student = self.student
        if not student.epoch:
            return {"epoch": 0}
        return {
            "epoch": student.epoch,
            "acc_last": student.accuracies[-1],
            "acc_best": max(student.accuracies),
            "best_epoch": student.best_epoch,
        }

    def _write(self, *, ended: bool = False, **changes: Any) -> None:
        record = self.record.model_copy(update=changes)
        attempt: dict[str, Any] = {"end_epoch": record.progress}
        if ended:
            attempt["ended_at"] = datetime.now(UTC)
        self.record = self.store.write(self.experiment, record.with_attempt(**attempt))
