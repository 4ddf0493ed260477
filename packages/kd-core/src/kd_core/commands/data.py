"""kd-core data: prepare data sets where there is internet, verify them anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_core.commands.options import DataOption
from kd_hpc.catalogue import DATASETS

app = typer.Typer(
    help="Prepare and verify data sets; jobs only read them.",
    epilog="Example: kd-core data prepare Cifar10 --data data",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help=f"{', '.join(DATASETS)}.")]


@app.command()
def prepare(
    name: NameArgument,
    data: DataOption = Path("data"),
    local: Annotated[Path | None, typer.Option("--from", help="Folder that already holds the published files.")] = None,
) -> None:
    """Download a data set, check it, and leave arrays for jobs.

    Example: kd-core data prepare Cifar10

    From files that you have: kd-core data prepare SVHN --from downloads
    """
    from kd_core.data.prepare import prepare_dataset

    manifest = prepare_dataset(name, data, local)
    print(f"{name} is prepared in {data / name}: {len(manifest.files)} files, content {manifest.sha256[:12]}.")


@app.command()
def verify(
    name: NameArgument,
    data: DataOption = Path("data"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that a prepared data set is what it was.

    Example: kd-core data verify Digits
    """
    from kd_core.data.images import verify_dataset
    from kd_hpc.terminal import print_json

    manifest = verify_dataset(data, name)
    if as_json:
        print_json(manifest.model_dump(mode="json"))
        return
    print(f"{name} in {data} is whole: {len(manifest.files)} files, content {manifest.sha256[:12]}.")
