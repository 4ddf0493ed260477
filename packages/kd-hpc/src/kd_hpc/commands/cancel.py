"""kd-hpc cancel: end runs and their jobs."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from kd_hpc.commands.options import (
    CampaignOption,
    DryRunOption,
    ExperimentsOption,
    RunsArgument,
    StateOption,
    YesOption,
    require_runs,
)


def cancel(
    runs: RunsArgument = None,
    state: StateOption = None,
    experiments: ExperimentsOption = Path("experiments"),
    campaign: CampaignOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """End runs and their jobs.

    They are not queued again until somebody says retry; their files stay.

    Where several runs share a job, its id means all of them; a path means one, and the others go on in another job.

    Ask first: kd-hpc cancel Digits/pure/ResNet20/0

    Many at once: kd-hpc cancel 'Cifar100/rkd/*'

    Do not ask: kd-hpc cancel --yes 7002784.sched01
    """
    from kd_hpc.errors import SchedulerUnreachable
    from kd_hpc.interventions.cancel import cancel_runs, plan_cancel
    from kd_hpc.queueing.runner import CONTROL, tick_lock
    from kd_hpc.store import Store

    require_runs(runs, state)
    store = Store(experiments)
    with tick_lock(store.root / CONTROL):
        cancellations = plan_cancel(store, runs or [], state or [], campaign)
        for ending in cancellations:
            print(ending.says)
        if all(ending.is_needless for ending in cancellations):
            return
        if dry_run:
            print("Nothing was done.", file=sys.stderr)
            return
        if not yes:
            typer.confirm("End them?", abort=True, err=True)
        undone = cancel_runs(store, cancellations)
    for sentence in undone:
        print(sentence, file=sys.stderr)
    print("Take a run up again with: kd-hpc retry RUN", file=sys.stderr)
    if undone:
        raise typer.Exit(SchedulerUnreachable.exit_code)
