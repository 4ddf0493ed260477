"""kd-hpc forecast: when the campaign will end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import ExperimentsOption, JsonOption


def forecast(
    campaign: Annotated[Path | None, typer.Argument(help="The campaign file.  [default: the one queued last]")] = None,
    experiments: ExperimentsOption = Path("experiments"),
    every: Annotated[float, typer.Option(help="Minutes between two kd-hpc queue, as cron calls it.")] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Say when the campaign ends.

    At even odds and at nine in ten; and whether another walltime would save hours. From measured seconds an epoch,
    waits and deaths; from the jobs that really ran at once; teachers before students.

    The campaign queued last: kd-hpc forecast

    Another: kd-hpc forecast campaigns/charlie.toml --every 30
    """
    from kd_hpc.forecasting.forecast_text import look_ahead
    from kd_hpc.queueing.session import find_campaign
    from kd_hpc.screen.terminal import print_json, print_prose

    prospect = look_ahead(find_campaign(campaign, experiments), experiments, tick_seconds=60 * every)
    if as_json:
        print_json(prospect.as_json())
        return
    for line in prospect.lines():
        print_prose(line)
