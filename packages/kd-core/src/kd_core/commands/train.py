"""kd-core train: one run, from wherever it stands to its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
)

if TYPE_CHECKING:
    from kd_hpc.campaign import Recipe
    from kd_hpc.claim import JobIdentity
    from kd_hpc.errors import KdError
    from kd_hpc.experiment import Experiment
    from kd_hpc.store import Store


def train(
    dataset: DatasetOption,
    seed: SeedOption,
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    model: ModelOption = None,
    method: MethodOption = None,
    alpha: AlphaOption = None,
    teacher: TeacherOption = None,
    student: StudentOption = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            help="Another student of the same teacher to train in this process: METHOD:ALPHA; may be repeated."
        ),
    ] = None,
    device: DeviceOption = "auto",
    epochs: Annotated[int | None, typer.Option(help="Epochs in all.  [default: 150]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.  [default: 128]")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, by a cosine to 0.  [default: 0.1]")] = None,
    momentum: Annotated[float | None, typer.Option(help="[default: 0.9]")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="[default: 0.0005]")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Of pure runs only.  [default: 0.1]")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the logit method.  [default: 4]")] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="auto, crop-flip, crop, resized-crop or none.  [default: auto]")
    ] = None,
    loader: Annotated[str | None, typer.Option(help="device or workers; the same batches.  [default: device]")] = None,
    amp_dtype: Annotated[
        str | None, typer.Option(help="auto, float32 (no AMP), float16 or bfloat16.  [default: auto]")
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="fast, or plain: operation by operation, to compare with.  [default: fast]")
    ] = None,
    paraphraser_epochs: Annotated[int | None, typer.Option(help="Stage 1 of factor_transfer.  [default: 30]")] = None,
    watchdog_skips: Annotated[
        int | None, typer.Option(help="Skipped steps in a row that stop a run.  [default: 100]")
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(help="Weight of one loss term, such as rkd.angle=2; may be repeated.")
    ] = None,
    representation_epoch: Annotated[
        list[int] | None, typer.Option(help="Keep representations after this epoch, too; may be repeated.")
    ] = None,
) -> None:
    """Train one run from wherever it stands to its end; the same command again continues, or says it is complete.

    Pure: kd-core train --experiments experiments --dataset Digits --model ResNet20 --seed 0 --epochs 3

    Distilled: kd-core train --experiments experiments --dataset Digits --method rkd --alpha 0.5 --teacher ResNet20
    --student ResNetBaby --seed 0 --epochs 3

    Several students that share one teacher's forward passes: add --beside nst:0.5 --beside rkd:0.25
    """
    from kd_core.commands.identity import experiment_from, students_beside
    from kd_hpc.claim import JobIdentity
    from kd_hpc.store import Store

    first = experiment_from(dataset, model, method, alpha, teacher, student, seed)
    experiments_asked = [first, *students_beside(first, beside or [])]
    recipe = _recipe(
        weight or [],
        representation_epoch or [],
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        temperature=temperature,
        augmentation=augmentation,
        loader=loader,
        amp_dtype=amp_dtype,
        step=step,
        paraphraser_epochs=paraphraser_epochs,
        watchdog_skips=watchdog_skips,
    )
    store, job = Store(experiments), JobIdentity.from_environment()
    store.require_writable()
    open_runs, failures = _open_runs(store, experiments_asked, job)
    if open_runs:
        from kd_core.run import Request, train_runs

        failures += train_runs(Request(store, open_runs, recipe, data, device, job))
    for failure in failures[1:]:
        print(f"kd-core: {failure}", file=sys.stderr)
    if failures:
        raise failures[0]


def _open_runs(store: Store, asked: list[Experiment], job: JobIdentity) -> tuple[list[Experiment], list[KdError]]:
    """The runs that are this process's to train, and why others are not; those that are done or not ours are told."""
    from kd_hpc.claim import Superseded, inspect
    from kd_hpc.errors import KdError

    open_runs, failures = [], list[KdError]()
    for experiment in asked:
        try:
            record = inspect(store, experiment, job)
        except Superseded as superseded:
            print(f"kd-core: {experiment.label}: {superseded}", file=sys.stderr)
        except KdError as error:
            failures.append(error)
        else:
            if record.is_done:
                accuracy = "unknown" if record.acc_last is None else f"{record.acc_last:.2f}"
                print(f"{experiment.label} is {record.state}: {record.epoch} epochs, test accuracy {accuracy} %.")
            else:
                open_runs.append(experiment)
    return open_runs, failures


def _recipe(weights: list[str], representation_epochs: list[int], **fields: Any) -> Recipe:
    """What was typed, over the defaults. Raises UsageError with the option's name."""
    from pydantic import ValidationError

    from kd_hpc.campaign import Recipe
    from kd_hpc.errors import UsageError

    given = {name: value for name, value in fields.items() if value is not None}
    named = [word.partition("=") for word in weights]
    try:
        return Recipe.model_validate(
            {
                **given,
                "weights": {name: value for name, _, value in named},
                "representation_epochs": representation_epochs,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(
            f"{option}: {first['msg']} (got {first['input']!r}).", remedy="See kd-core train --help"
        ) from None
