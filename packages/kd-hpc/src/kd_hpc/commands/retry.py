"""kd-hpc retry: have failed runs tried again."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from kd_hpc.experiment import Experiment
    from kd_hpc.interventions.retry import Retry
    from kd_hpc.store import Store


def retry(
    runs: RunsArgument = None,
    state: StateOption = None,
    experiments: ExperimentsOption = Path("experiments"),
    campaign: CampaignOption = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin at epoch 0; the present run directory is kept in .kd/aside.")
    ] = False,
    gone: Annotated[
        bool,
        typer.Option("--gone", help="You know that nothing works on it any more, also where nobody here can see that."),
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Have failed, cancelled or unreadable runs tried again.

    The next round takes them up; earlier deaths no longer count.

    From its checkpoint: kd-hpc retry Digits/pure/ResNet20/0

    From the beginning: kd-hpc retry --anew Digits/pure/ResNet20/0

    All that failed of one method: kd-hpc retry 'Cifar100/rkd/*' --state failed

    A machine was lost or renamed: kd-hpc retry --gone Digits/pure/ResNet20/0

    Without a run, --gone frees only the locks of a round that is gone. What was taken over by mistake can write
    nothing more.
    """
    from kd_hpc.queueing.runner import CONTROL, tick_lock
    from kd_hpc.store import Store

    store = Store(experiments)
    if gone and not runs and not state:
        _take_the_lock(store)
        return
    require_runs(runs, state)
    chosen = _chosen(store, runs or [], state or [], campaign, every=anew or gone)
    with tick_lock(store.root / CONTROL, gone=gone):
        retries = _plan(store, chosen, campaign, anew=anew, gone=gone)
        if not retries:
            return
        if dry_run:
            print("Nothing was done.", file=sys.stderr)
            return
        if anew and not yes:
            typer.confirm("Go on?", abort=True, err=True)
        _carry_out(store, retries)
    print("The next kd-hpc queue goes on with it.", file=sys.stderr)


def _take_the_lock(store: Store) -> None:
    from kd_hpc.queueing.runner import CONTROL, tick_lock

    with tick_lock(store.root / CONTROL, gone=True):
        print("No other kd-hpc has the right to change runs any more.", file=sys.stderr)


def _chosen(
    store: Store, runs: list[str], states: list[str], campaign: Path | None, *, every: bool
) -> dict[Experiment, None]:
    """The runs that are meant, each once: without `every`, of several only those that need a person."""
    from kd_hpc.inspection.selection import find_runs

    found = find_runs(store, runs, states, campaign_file=campaign, worthwhile=lambda row: row.needs_person or every)
    return dict.fromkeys(run.require_experiment() for run in found)


def _plan(store: Store, chosen: Iterable[Experiment], campaign: Path | None, *, anew: bool, gone: bool) -> list[Retry]:
    """What there is to do, all of it told."""
    from kd_hpc.inspection.find_run import campaign_of
    from kd_hpc.interventions.retry import plan_retry
    from kd_hpc.queueing.runner import CONTROL
    from kd_hpc.schedulers.registry import make

    retries = []
    for experiment in chosen:
        known = campaign_of(store, experiment, campaign)
        scheduler = make(known[1], store.root / CONTROL) if known else None
        retries.append(plan_retry(store, experiment, scheduler, anew=anew, gone=gone))
    for planned in retries:
        print(planned.says)
    return [planned for planned in retries if not planned.is_needless]


def _carry_out(store: Store, retries: Iterable[Retry]) -> None:
    from kd_hpc.interventions.retry import carry_out
    from kd_hpc.queueing.runner import CONTROL

    for planned in retries:
        carry_out(store, planned, store.root / CONTROL / "aside")
