"""kd-core train: one run, from wherever it stands to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kd_core.commands.options import (
    AlphaOption,
    DataOption,
    DatasetOption,
    DeviceOption,
    ExperimentsOption,
    MethodOption,
    ModelOption,
    SeedOption,
    StudentOption,
    TeacherOption,
    VariantOption,
)

if TYPE_CHECKING:
    from kd_hpc.experiment import Experiment
    from kd_hpc.recipe import Recipe

BesideOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Another student of the same teacher to train in this process: METHOD:ALPHA, or METHOD+VARIANT:ALPHA; "
        "may be repeated."
    ),
]


def train(
    context: typer.Context,
    dataset: DatasetOption,
    seed: SeedOption,
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    model: ModelOption = None,
    method: MethodOption = None,
    alpha: AlphaOption = None,
    teacher: TeacherOption = None,
    student: StudentOption = None,
    variant: VariantOption = "",
    beside: BesideOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Train one run, from wherever it stands to its end.

    The same command again continues it, or says that it is complete.

    A pure run: kd-core train --dataset Digits --model ResNet20 --seed 0

    A student of that teacher:

    \b
    kd-core train --dataset Digits --method rkd --alpha 0.5 \\
        --teacher ResNet20 --student ResNetBaby --seed 0

    A control arm, its teacher untrained: add --control random_teacher to it;
    --control hard to a pure one.

    Several that share one teacher's passes: add --beside nst:0.5 --beside rkd:0.25
    """
    from kd_core.commands.asked_runs import train_asked
    from kd_core.commands.identity import experiment_from, students_beside
    from kd_hpc.store import Store

    recipe: Recipe = context.obj
    own_datasets = [folder.parent.name for folder in data.glob("*/manifest.json")]
    first = experiment_from(dataset, model, method, alpha, teacher, student, seed, own_datasets, variant)
    asked = [first, *students_beside(first, beside or [])]
    _require_known(recipe, asked)
    train_asked(Store(experiments), asked, recipe, data, device)


def _require_known(recipe: Recipe, asked: list[Experiment]) -> None:
    """Raises UsageError where `recipe` speaks of loss terms or methods that none of `asked` has."""
    from kd_hpc.errors import UsageError

    methods = tuple(run.method for run in asked if not run.is_pure)
    for option, problem in (
        ("--weight", recipe.unknown_weight(methods)),
        ("--convex", recipe.unknown_exception(methods)),
    ):
        if problem:
            raise UsageError(f"{option}: {problem}", remedy="Mend its spelling, or leave it away.")
