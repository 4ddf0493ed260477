"""kd-hpc queue: one tick, or as many as it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import CampaignArgument, DryRunOption, ExperimentsOption, JsonOption


def queue(
    campaign: CampaignArgument,
    experiments: ExperimentsOption = Path("experiments"),
    watch: Annotated[bool, typer.Option("--watch", help="Keep going until nothing is left to do.")] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin a campaign again whose round was closed; its archive stays.")
    ] = False,
    dry_run: DryRunOption = False,
    everything: Annotated[bool, typer.Option("--all", help="With --dry-run: every run on a line of its own.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Submit every run that may start now; leave alone, continue or explain all others.

    Safe to repeat, by hand or by cron: what is queued or finished is not queued again. Exit status 75: the scheduler
    could not be reached, or another kd-hpc is at work; nothing was lost, try again. With --watch, 3: some runs need
    you.

    One tick: kd-hpc queue campaigns/charlie.toml

    Look first: kd-hpc queue campaigns/charlie.toml --dry-run

    Until all is done: kd-hpc queue campaigns/digits.toml --watch
    """
    from kd_hpc.archiving.closed_campaigns import require_open
    from kd_hpc.errors import FolderError, StoreError, UsageError
    from kd_hpc.queueing.runner import tick_lock
    from kd_hpc.queueing.session import open_session

    if watch and (dry_run or as_json):
        raise UsageError("--watch goes with neither --dry-run nor --json.", remedy="Leave one of them away.")
    session = open_session(campaign, experiments)
    if not anew:
        require_open(session.campaign.name, campaign, experiments)
    if dry_run:
        from kd_hpc.planning.planner import plan
        from kd_hpc.queueing.show import show_plan
        from kd_hpc.queueing.tick_report import silence_of

        situation = session.runner.look()
        silence = silence_of(situation.snapshot) if situation.snapshot.unreachable else None
        show_plan(plan(situation), silence, session.store.root, as_json=as_json, everything=everything)
        return
    session.require_submittable()
    session.store.require_writable()
    try:
        if watch:
            from kd_hpc.queueing.watch import watch as keep_watching

            raise typer.Exit(keep_watching(session))
        with tick_lock(session.control):
            session.remember_campaign()
            report = session.runner.tick()
    except StoreError as error:
        raise FolderError(error.what, remedy=error.remedy) from error
    from kd_hpc.queueing.show import show_report

    show_report(report, session.store.root, as_json=as_json)
    raise typer.Exit(report.exit_code)
