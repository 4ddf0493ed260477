"""kd-hpc retry: have failed runs tried again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import CampaignOption, DryRunOption, ExperimentsOption, YesOption


def retry(
    runs: Annotated[list[str], typer.Argument(help="Runs: paths below the experiments folder, job ids or tokens.")],
    experiments: ExperimentsOption = Path("experiments"),
    campaign: CampaignOption = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin at epoch 0; the present run directory is kept in .kd/aside.")
    ] = False,
    gone: Annotated[bool, typer.Option("--gone", help="You know that nothing works on it any more.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Let the next queue take up failed, cancelled or unreadable runs; earlier deaths no longer count.

    From its checkpoint: kd-hpc retry Digits/pure/ResNet20/0

    From the beginning: kd-hpc retry --anew Digits/pure/ResNet20/0
    """
    from kd_hpc.inspection.find_run import campaign_of, find_runs
    from kd_hpc.interventions.retry import carry_out, plan_retry
    from kd_hpc.queueing.runner import CONTROL, tick_lock
    from kd_hpc.schedulers.registry import make
    from kd_hpc.store import Store

    store = Store(experiments)
    control = store.root / CONTROL
    chosen = dict.fromkeys(found.require_experiment() for run in runs for found in find_runs(store, run))
    with tick_lock(control):
        retries = []
        for experiment in chosen:
            known = campaign_of(store, experiment, campaign)
            scheduler = make(known[1], control) if known else None
            retries.append(plan_retry(store, experiment, scheduler, anew=anew, gone=gone))
        for planned in retries:
            print(planned.says)
        retries = [planned for planned in retries if not planned.is_needless]
        if not retries:
            return
        if dry_run:
            print("Nothing was done.", file=sys.stderr)
            return
        if anew and not yes:
            typer.confirm("Go on?", abort=True, err=True)
        for planned in retries:
            carry_out(store, planned, control / "aside")
    print("The next kd-hpc queue goes on with it.", file=sys.stderr)
