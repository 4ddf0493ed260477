"""kd-core teacher: teachers that were trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_core.commands.options import DataOption, DatasetOption, DeviceOption, ExperimentsOption, SeedOption

app = typer.Typer(
    help="Take teachers that were trained elsewhere.",
    epilog="Example: kd-core teacher import a.pth --as ResNet20 --dataset Digits --seed 1",
    no_args_is_help=True,
)


@app.callback()
def teacher() -> None:
    """Take teachers that were trained elsewhere."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Weights that torch.save wrote: RepDistiller's layout, or ours.")],
    dataset: DatasetOption,
    seed: SeedOption,
    model: Annotated[str, typer.Option("--as", help="The network they are of.")],
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    device: DeviceOption = "auto",
) -> None:
    """Make weights from elsewhere a completed run, a teacher for students.

    They are scored on the test images; the record says where they come from, and
    the files are those of any run.

    Example: kd-core teacher import a.pth --as ResNet20 --dataset Digits --seed 1
    """
    from kd_core.runtime.device import choose_device
    from kd_core.teacher_import import import_teacher
    from kd_hpc.experiment import Experiment
    from kd_hpc.store import Store

    own = [folder.parent.name for folder in data.glob("*/manifest.json")]
    experiment = Experiment(dataset=dataset, student=model, seed=seed).require_known(own)
    score = import_teacher(Store(experiments), experiment, file, data, choose_device(device))
    print(f"{experiment.label} is completed: imported from {file}, test accuracy {score.accuracy:.2f} %.")
