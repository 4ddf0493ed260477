"""The command line that trains a run: the only way kd-hpc starts kd-core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd_hpc.campaign import Recipe
from kd_hpc.experiment import Experiment
from kd_hpc.variant import format_alpha


def train_arguments(
    experiment: Experiment,
    recipe: Recipe,
    experiments: Path,
    data: Path,
    *,
    gpus: int = 0,
    beside: Sequence[Experiment] = (),
) -> list[str]:
    """Arguments of `kd-core` for one run and those `beside` it; only what differs from the defaults is spelled out."""
    arguments = ["train", "--experiments", str(experiments), "--data", str(data), "--dataset", experiment.dataset]
    if experiment.is_pure:
        arguments += ["--model", experiment.student]
    else:
        arguments += ["--method", experiment.method, "--alpha", format_alpha(experiment.alpha)]
        arguments += ["--teacher", str(experiment.teacher), "--student", experiment.student]
    arguments += ["--seed", str(experiment.seed), "--device", "cuda" if gpus else "cpu"]
    for other in beside:
        arguments += ["--beside", f"{other.method}:{format_alpha(other.alpha)}"]
    return [*arguments, *recipe_arguments(recipe)]


def recipe_arguments(recipe: Recipe) -> list[str]:
    """`--flag value` for every field that differs from its default; one `--weight name=value` a weight."""
    arguments: list[str] = []
    for field, value in recipe.model_dump(exclude_defaults=True).items():
        if field == "weights":
            arguments += [word for name, weight in value.items() for word in ("--weight", f"{name}={weight!r}")]
        elif field == "representation_epochs":
            arguments += [word for epoch in value for word in ("--representation-epoch", str(epoch))]
        else:
            arguments += ["--" + field.replace("_", "-"), str(value)]
    return arguments
