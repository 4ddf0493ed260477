"""kd-core fork: a run that goes on from another's kept checkpoint, otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_core.commands.evaluate import RunArgument
from kd_core.commands.options import DataOption, DeviceOption, ExperimentsOption


def fork(
    run: RunArgument,
    at: Annotated[int, typer.Option(min=1, help="The epoch that is the last of both.")],
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    alpha: Annotated[float | None, typer.Option(help="Strength of distillation from then on.")] = None,
    method: Annotated[str | None, typer.Option(help="Distillation method from then on.")] = None,
    control: Annotated[str, typer.Option(help="Control arm from then on, such as shuffled.")] = "",
    teacher: Annotated[str | None, typer.Option(help="Network of the teacher, if the run has none.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train a run that goes on from another's checkpoint.

    It shares every bit with RUN up to the epoch --at, and differs after it in what is said here. RUN must have kept
    that epoch's checkpoint (--checkpoint-epoch, or checkpoint_epochs in a campaign's recipe). The recipe is RUN's. The
    same command again continues.

    The teacher is switched off after epoch 2:

    \b
    kd-core fork --at 2 --alpha 0 \\
        Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/0
    """
    from kd_core.artifacts.reload import experiment_at, recorded_recipe
    from kd_core.commands.asked_runs import train_asked
    from kd_hpc.campaign_file.forks import forked
    from kd_hpc.errors import UsageError
    from kd_hpc.store import Store
    from kd_hpc.variant import parse_variant

    parent, store = experiment_at(run), Store(experiments)
    arm = parse_variant(control)
    if arm.settings or arm.fork:
        raise UsageError(f"--control {control} is no control arm.", remedy="Name one, such as --control shuffled.")
    child = forked(
        parent, at, alpha=alpha, method=method, teacher=teacher, control=arm.control, teacher_seed=arm.teacher_seed
    )
    recipe = recorded_recipe(store, parent)
    if at >= recipe.epochs:
        raise UsageError(
            f"A fork at epoch {at} has nothing left to train: {run} has {recipe.epochs}.",
            remedy="Name an earlier epoch.",
        )
    train_asked(store, [child], recipe, data, device)
