"""kd-core data: prepare data sets where there is internet, verify them anywhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kd_core.commands.interrupted import if_interrupted
from kd_core.commands.options import DataOption
from kd_hpc.catalogue import DATASETS

if TYPE_CHECKING:
    from kd_core.data.decode import Advance
    from kd_core.data.images import Manifest

app = typer.Typer(
    help="Prepare and verify data sets; jobs only read them.",
    epilog="Example: kd-core data prepare Cifar10 --data data",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help=f"{', '.join(DATASETS.own)}, or one of your own.")]


@app.command()
def prepare(
    name: NameArgument,
    data: DataOption = Path("data"),
    local: Annotated[Path | None, typer.Option("--from", help="Folder that already holds the published files.")] = None,
    campaign: Annotated[
        Path | None, typer.Option(help="The campaign file that says what NAME is: [data.NAME].")
    ] = None,
    subset: Annotated[
        bool, typer.Option("--subset", help="With --from: an archive of NAME's structure that holds less of it.")
    ] = False,
) -> None:
    """Leave arrays for jobs, of a published data set or your own images.

    A published one is downloaded and checked against its known SHA-256.

    Example: kd-core data prepare Cifar10

    From files that you have: kd-core data prepare SVHN --from downloads

    Your own images: kd-core data prepare Clothing --campaign clothing.toml

    A part of one: kd-core data prepare TinyImageNet --subset --from part.zip
    """
    from kd_hpc.screen.progress import bar

    with if_interrupted("files that came whole are kept", "The same command fetches the rest."), bar() as step:
        manifest, remarks = _prepare(name, data, local, campaign, subset, step("images"))
    for remark in remarks:
        print(f"kd-core: {manifest.name}: {remark}", file=sys.stderr)
    what = f"{len(manifest.files)} files, content {manifest.sha256[:12]}"
    print(f"{manifest.name} is prepared in {data / manifest.name}: {what}.")


def _prepare(
    name: str, data: Path, local: Path | None, campaign: Path | None, subset: bool, advance: Advance
) -> tuple[Manifest, Sequence[str]]:
    from kd_hpc.errors import UsageError

    if subset:
        if local is None or campaign is not None:
            raise UsageError("--subset needs --from and no --campaign.", remedy="Name the archive: --from FILE.zip")
        from kd_core.data.own import prepare_part

        return prepare_part(name, local, data)
    if campaign is not None:
        from kd_core.data.own import prepare_own
        from kd_hpc.campaign import load_campaign

        described = load_campaign(campaign).data
        if name in described:
            return prepare_own(name, described[name], data, advance)
    from kd_core.data.prepare import prepare_dataset

    return prepare_dataset(name, data, local), ()


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
    from kd_hpc.screen.terminal import print_json

    manifest = verify_dataset(data, name)
    if as_json:
        print_json(manifest.model_dump(mode="json"))
        return
    print(f"{name} in {data} is whole: {len(manifest.files)} files, content {manifest.sha256[:12]}.")
