"""kd-hpc page: how everything stands, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import ExperimentsOption


def page(
    campaign: Annotated[
        Path | None, typer.Argument(help="A campaign file: its whole grid.  [default: all that was queued here]")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("page.html"),
    experiments: ExperimentsOption = Path("experiments"),
) -> None:
    """Write one HTML file that shows how everything stands.

    Grid, curves, what needs you, when it ends. From records alone, without a scheduler or a network; it needs no
    other file, so it can be sent to anybody.

    All that was queued here: kd-hpc page

    A campaign: kd-hpc page campaigns/charlie.toml -o charlie.html
    """
    from kd_hpc.inspection.glance import Glance
    from kd_hpc.page.build import write_page

    write_page(Glance(experiments, campaign, (), ()).overview(), output)
    print(output)
