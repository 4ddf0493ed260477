"""Writing one run's directory while this process owns it, in the order that makes a kill at any point harmless."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kd_core.artifacts.checkpoint import keep_checkpoint, load_checkpoint, save_checkpoint
from kd_core.artifacts.representations import REPRESENTATIONS_BEST, at_epoch, extract, save_representations
from kd_core.artifacts.weights import save_weights
from kd_core.data.loaders import Loader
from kd_core.training.student import Student
from kd_hpc.disk.files import sweep_temporaries
from kd_hpc.disk.sealed import read_archive
from kd_hpc.errors import CheckpointError, Damaged, KdError, StoreError, Superseded, TrainingError
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.records import FileDigest, State, StatusRecord
from kd_hpc.store import BEST, CHECKPOINT, LAST, REPRESENTATIONS, OpenRun, artefacts, kept_checkpoint


class RunWriter:
    """One run's record and files. A file is published before anything that refers to it."""

    student: Student

    def __init__(
        self,
        run: OpenRun,
        record: StatusRecord,
        identity: dict[str, Any],
        *,
        give_up: Callable[[], None],
    ) -> None:
        """`give_up` ends this process's claim on the run."""
        self.run, self.record, self.identity = run, record, identity
        self.experiment, self.fence, self.directory = run.experiment, run.fence, run.directory
        self.give_up = give_up

    def begin(self, recipe: Recipe, provenance: dict[str, Any]) -> None:
        """Say that the run is in progress, and how."""
        sweep_temporaries(self.directory)
        self._write(
            state=State.IN_PROGRESS,
            experiment=self.experiment,
            recipe=recipe.model_dump(mode="json"),
            recipe_sha256=recipe.identity(self.experiment.method),
            epochs=recipe.epochs,
            provenance=provenance,
            files={},
            teacher_sha256=self.identity["teacher_sha256"],
            reason="",
            remedy="",
        )

    def tell(self, **facts: Any) -> None:
        """Add to what the record says of where its results come from."""
        self._write(provenance={**self.record.provenance, **facts})

    def warmup_epoch(self, stage: str, finished: int, loss: float) -> None:
        """Book one epoch of a stage before the student's own."""
        self._write(warmup_epochs=finished)
        print(f"{self.experiment.label} {stage} epoch {finished} loss {loss:.6f}", flush=True)

    def resume(self, student: Student, loader: Loader) -> None:
        """Put the student where its checkpoint left it. Raises CheckpointError if that was made with another recipe."""
        self.student, self.loader = student, loader
        path = self.directory / CHECKPOINT
        state, complaints = load_checkpoint(self.fence, path, self.identity, student.device)
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        if state is not None and (differs := student.recipe.differences(state["recipe"], self.experiment.method)):
            raise CheckpointError(
                f"{path} was made with another recipe: {differs}.",
                remedy=f"Use that recipe again, or move {self.directory} away to start anew.",
            )
        if state is not None:
            _restore(student, state, path)
        self._write(**self._progress())

    def go_on_from(self, state: dict[str, Any], parent: Experiment) -> None:
        """Put a fork where its parent was; those epochs are not of this attempt."""
        self.student.go_on_from(state, parent)
        attempt = self.record.attempt
        begun = attempt.start_epoch if attempt and attempt.start_epoch else 0
        self.record = self.record.with_attempt(start_epoch=max(begun, self.student.epoch))
        self._write(**self._progress())

    def end_epoch(self, is_best: bool) -> None:
        """Book one epoch: curves, best weights, checkpoint, record."""
        student = self.student
        student.curves.publish(self.fence)
        if is_best:
            self._save_weights(BEST, student.best)
        if student.epoch in student.recipe.representation_epochs:
            self._save_representations(at_epoch(student.epoch))
        if student.epoch in student.recipe.checkpoint_epochs:
            kept = self.directory / kept_checkpoint(student.epoch)
            keep_checkpoint(self.fence, kept, self.identity, student.state_dict())
        save_checkpoint(self.fence, self.directory / CHECKPOINT, self.identity, student.state_dict())
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
        student = self.student
        student.curves.publish(self.fence)
        self._save_weights(BEST, student.best)
        self._save_weights(LAST, student.model.state_dict())
        self._save_representations(REPRESENTATIONS)
        student.model.load_state_dict(student.best)
        self._save_representations(REPRESENTATIONS_BEST)
        self._write(**self._verdict(), **self._progress(), files=self._files(), ended=True)

    def _save_weights(self, name: str, state: Mapping[str, Any]) -> None:
        save_weights(self.fence, self.directory / name, state)

    def _save_representations(self, name: str) -> None:
        save_representations(self.fence, self.directory / name, extract(self.student.model, self.loader.test()))

    def _files(self) -> dict[str, FileDigest]:
        """What the run leaves: as this process published it; what an earlier attempt left, as it is if it is whole."""
        found = {
            path.name: self.fence.digests.get(path.name) or self._earlier(path) for path in artefacts(self.directory)
        }
        return {name: digest for name, digest in found.items() if digest}

    def _earlier(self, path: Path) -> FileDigest | None:
        try:
            return FileDigest.of(read_archive(path))
        except (OSError, Damaged) as error:
            print(f"{path} is not on record: {error}", file=sys.stderr)
            return None

    def fail(self, error: KdError) -> None:
        """Where training itself went wrong, say so in the record, with what to do about it.

        From then on the run is not this process's any more: it may be tried again while students beside it go on.
        Anything else, such as a full disk, says nothing about the run: it stays in progress and may be resumed.
        """
        if isinstance(error, TrainingError):
            with suppress(StoreError, Superseded):  # it stays as it is, then, until the process ends
                self._write(state=State.FAILED, reason=error.what, remedy=error.remedy, ended=True)
                self.give_up()

    def _verdict(self) -> dict[str, Any]:
        accuracy, dataset = self.student.accuracies[-1], self.student.experiment.dataset
        facts = self.record.dataset_facts
        assert facts is not None, "`begin` has written them"
        chance = facts.chance_accuracy
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
            "acc_best": student.accuracies[student.best_epoch - 1],
            "best_epoch": student.best_epoch,
        }

    def _write(self, *, ended: bool = False, **changes: Any) -> None:
        record = self.record.model_copy(update=changes)
        attempt: dict[str, Any] = {"end_epoch": record.progress}
        if ended:
            attempt["ended_at"] = datetime.now(UTC)
        self.record = self.run.write(record.with_attempt(**attempt))


def _restore(student: Student, state: dict[str, Any], path: Path) -> None:
    """Raises CheckpointError where a whole checkpoint does not fit this student."""
    try:
        student.load_state_dict(state)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} does not fit this run: {reason}",
            remedy=f"It was made by another version: use that one, or kd-hpc retry --anew {student.experiment.label}",
        ) from None
