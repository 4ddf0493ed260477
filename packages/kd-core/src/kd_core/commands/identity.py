"""From what was typed to the run that is meant."""

from __future__ import annotations

from collections.abc import Collection

from kd_hpc.command import student_beside
from kd_hpc.errors import UsageError
from kd_hpc.experiment import Experiment


def experiment_from(
    dataset: str,
    model: str | None,
    method: str | None,
    alpha: float | None,
    teacher: str | None,
    student: str | None,
    seed: int,
    own_datasets: Collection[str] = (),
    variant: str = "",
) -> Experiment:
    """A pure run from --model, a distilled one from --method. Raises UsageError for anything between."""
    if (model is None) == (method is None):
        raise UsageError(
            "A run is either pure or distilled.",
            remedy="Pass --model for a pure one, or --method, --alpha, --teacher and --student.",
        )
    if model is not None:
        if alpha is not None or teacher is not None or student is not None:
            raise UsageError(
                "--alpha, --teacher and --student belong to --method.", remedy="Leave away them or --model."
            )
        return Experiment(dataset=dataset, student=model, seed=seed, variant=variant).require_known(own_datasets)
    if student is None:
        raise UsageError("--student is missing.", remedy="Name the network to train with --student.")
    return Experiment(
        dataset=dataset, method=str(method), alpha=alpha, teacher=teacher, student=student, seed=seed, variant=variant
    ).require_known(own_datasets)


def students_beside(first: Experiment, words: list[str]) -> list[Experiment]:
    """Students that may be trained beside `first`, from words such as "rkd:0.5". Raises UsageError."""
    if words and first.is_pure:
        raise UsageError("--beside belongs to --method: pure runs share nothing.", remedy="Train them one by one.")
    students = [student_beside(first, word).require_known((first.dataset,)) for word in words]
    if len({first, *students}) <= len(students):
        raise UsageError("One student is named twice.", remedy="Name each METHOD:ALPHA once.")
    for student in students:
        if student.company != first.company:
            raise UsageError(
                f"{student.arm} cannot be trained beside {first.arm}: it has another teacher or another recipe.",
                remedy="Train it in a process of its own.",
            )
    return students
