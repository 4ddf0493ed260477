"""kd-hpc status: the runs as their records tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import ExperimentsOption, JsonOption


def status(
    campaign: Annotated[
        Path | None, typer.Argument(help="A campaign file: its whole grid, with the reason for every wait.")
    ] = None,
    experiments: ExperimentsOption = Path("experiments"),
    as_json: JsonOption = False,
) -> None:
    """Show every run: state, epoch, accuracy, job, and why it stands where it stands.

    Reads records only, so it is quick and needs no scheduler; kd-hpc why RUN asks the scheduler, too.

    All runs there are: kd-hpc status

    Those of a campaign, also the ones to come: kd-hpc status campaigns/digits.toml
    """
    from kd_hpc.inspection.status import campaign_rows, folder_rows
    from kd_hpc.queueing.show import print_json, print_table
    from kd_hpc.store import Store

    store = Store(experiments)
    rows = folder_rows(store) if campaign is None else campaign_rows(campaign, store)
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    print_table(("run", "state", "epoch", "accuracy", "job", "reason"), [row.cells() for row in rows])
