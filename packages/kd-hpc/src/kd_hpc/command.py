"""The command line that trains a run: the only way kd-hpc starts kd-core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd_hpc.errors import UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.variant import format_alpha, split_arm


def train_arguments(
    experiment: Experiment,
    recipe: Recipe,
    experiments: Path,
    data: Path,
    *,
    gpus: int = 0,
    beside: Sequence[Experiment] = (),
) -> list[str]:
    """Arguments of `kd-core` for one run and those `beside` it; only what differs from the defaults is spelled out.

    `recipe` is that of ordinary runs: in what a run differs from them, its variant says.
    """
    arguments = ["train", "--experiments", str(experiments), "--data", str(data), "--dataset", experiment.dataset]
    if experiment.is_pure:
        arguments += ["--model", experiment.student]
    else:
        arguments += ["--method", experiment.method, "--alpha", format_alpha(experiment.alpha)]
        arguments += ["--teacher", str(experiment.teacher), "--student", experiment.student]
    arguments += ["--variant", experiment.variant] if experiment.variant else []
    arguments += ["--seed", str(experiment.seed), "--device", "cuda" if gpus else "cpu"]
    arguments += [word for other in beside for word in ("--beside", f"{other.arm}:{format_alpha(other.alpha)}")]
    methods = {other.method for other in (experiment, *beside)}
    return [*arguments, *recipe_arguments(recipe.of(*methods))]


def student_beside(first: Experiment, word: str) -> Experiment:
    """The run that `word`, such as "rkd:0.5" or "logit+shuffled:0.5", names beside `first`. Raises UsageError."""
    arm, _, alpha = word.partition(":")
    try:
        strength = float(alpha)
    except ValueError:
        raise UsageError(f"--beside {word!r} is not METHOD:ALPHA.", remedy="Write, say, --beside rkd:0.5") from None
    method, variant = split_arm(arm)
    return Experiment(**{**first.model_dump(), "method": method, "alpha": strength, "variant": variant})


def recipe_arguments(recipe: Recipe) -> list[str]:
    """The options for every field that differs from its default, one a value where a field has several."""
    changed = recipe.model_dump(exclude_defaults=True)
    return [word for field, value in changed.items() for word in _words(flag(field), value)]


def flag(field: str) -> str:
    """The option of a recipe field; one that holds several values is given once for each, in the singular."""
    several = isinstance(Recipe.model_fields[field].default, dict | tuple)
    return "--" + (field.removesuffix("s") if several else field).replace("_", "-")


def _words(option: str, value: object) -> list[str]:
    match value:
        case dict():
            return [word for name, weight in value.items() for word in (option, f"{name}={weight!r}")]
        case tuple():
            return [word for item in value for word in (option, str(item))]
        case bool():
            return [option if value else option.replace("--", "--no-", 1)]
    return [option, str(value)]
