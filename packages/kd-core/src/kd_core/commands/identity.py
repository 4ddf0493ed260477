"""From what was typed to the run that is meant."""

from __future__ import annotations

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
        return Experiment(dataset=dataset, student=model, seed=seed).require_known()
    if student is None:
        raise UsageError("--student is missing.", remedy="Name the network to train with --student.")
    return Experiment(
        dataset=dataset, method=str(method), alpha=alpha, teacher=teacher, student=student, seed=seed
    ).require_known()
