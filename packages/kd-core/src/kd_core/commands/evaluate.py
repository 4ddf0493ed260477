"""kd-core evaluate: score a finished run's weights again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_core.commands.interrupted import if_interrupted
from kd_core.commands.options import DataOption, DeviceOption, ExperimentsOption

RunArgument = Annotated[str, typer.Argument(help="The run's path below the experiments folder.")]


def evaluate(
    run: RunArgument,
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    weights: Annotated[str, typer.Option(help="best or last.")] = "last",
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a run's weights on the test images, in float32.

    Example: kd-core evaluate Digits/pure/ResNet20/0 --weights best
    """
    import torch

    from kd_core.artifacts.reload import experiment_at, load_weights, test_loader
    from kd_core.runtime.device import choose_device
    from kd_core.training.evaluate import evaluate as score_of
    from kd_hpc.errors import UsageError
    from kd_hpc.screen.terminal import print_json
    from kd_hpc.store import Store

    if weights not in ("best", "last"):
        raise UsageError(f"--weights {weights} is not known.", remedy="Say best or last.")
    store, experiment = Store(experiments), experiment_at(run)
    with if_interrupted("nothing was written", "The same command begins again."):
        model = load_weights(store, experiment, f"{weights}.pth", choose_device(device))
        score = score_of(model, test_loader(store, experiment, data, device).test(), torch.float32)
    if as_json:
        print_json({"run": run, "weights": weights, **score._asdict()})
    else:
        print(f"{run} ({weights} weights): test accuracy {score.accuracy:.2f} %, loss {score.loss:.4f}")
