"""kd-core train: one run, from wherever it stands to its end."""

from __future__ import annotations

import sys
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
    from kd_hpc.claim import JobIdentity
    from kd_hpc.errors import KdError
    from kd_hpc.experiment import Experiment
    from kd_hpc.recipe import Recipe
    from kd_hpc.records import StatusRecord
    from kd_hpc.store import Store


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
    beside: Annotated[
        list[str] | None,
        typer.Option(
            help="Another student of the same teacher to train in this process: METHOD:ALPHA, or METHOD+VARIANT:ALPHA; "
            "may be repeated."
        ),
    ] = None,
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
    from kd_core.commands.identity import experiment_from, students_beside
    from kd_hpc.claim import JobIdentity
    from kd_hpc.errors import UsageError
    from kd_hpc.store import Store

    recipe: Recipe = context.obj
    own_datasets = [folder.parent.name for folder in data.glob("*/manifest.json")]
    first = experiment_from(dataset, model, method, alpha, teacher, student, seed, own_datasets, variant)
    experiments_asked = [first, *students_beside(first, beside or [])]
    methods = tuple(run.method for run in experiments_asked if not run.is_pure)
    for option, problem in (
        ("--weight", recipe.unknown_weight(methods)),
        ("--convex", recipe.unknown_exception(methods)),
    ):
        if problem:
            raise UsageError(f"{option}: {problem}", remedy="Mend its spelling, or leave it away.")
    store, job = Store(experiments), JobIdentity.from_environment()
    store.require_writable()
    open_runs, failures = _open_runs(store, experiments_asked, recipe, job)
    if open_runs:
        from kd_core.run import Request, train_runs

        failures += train_runs(Request(store, open_runs, recipe, data, device, job))
    _raise(failures)


def _raise(failures: list[KdError]) -> None:
    """Tell why runs were not trained, and end with the first reason; who was superseded ends well."""
    told = sorted(failures, key=lambda failure: failure.exit_code == 0)
    for failure in told[1:]:
        print(f"kd-core: {failure}", file=sys.stderr)
    if told:
        raise told[0]


def _open_runs(
    store: Store, asked: list[Experiment], recipe: Recipe, job: JobIdentity
) -> tuple[list[Experiment], list[KdError]]:
    """The runs that are this process's to train, and why others are not; those that are done or not ours are told."""
    from kd_hpc.claim import inspect
    from kd_hpc.errors import KdError, Superseded

    open_runs, failures = [], list[KdError]()
    for experiment in asked:
        try:
            record = inspect(store, experiment, job)
        except Superseded as superseded:
            print(f"kd-core: {experiment.label}: {superseded}", file=sys.stderr)
        except KdError as error:
            failures.append(error)
        else:
            if not record.is_done:
                open_runs.append(experiment)
            elif differs := recipe.varied(experiment.differs).differences(record.recipe, experiment.method):
                failures.append(_done_otherwise(store, experiment, record, differs))
            else:
                accuracy = "unknown" if record.acc_last is None else f"{record.acc_last:.2f}"
                print(f"{experiment.label} is {record.state}: {record.epoch} epochs, test accuracy {accuracy} %.")
    return open_runs, failures


def _done_otherwise(store: Store, experiment: Experiment, record: StatusRecord, differs: str) -> KdError:
    from kd_hpc.errors import UsageError
    from kd_hpc.remedies import with_folder

    aside = with_folder(f"kd-hpc retry --anew {experiment.label}", store.root)
    return UsageError(
        f"{experiment.label} is {record.state}, with another recipe: {differs}.",
        remedy=f"It stays as it is. To have both, name another --experiments; to have this instead: {aside}, "
        "then this command again.",
    )
