"""kd-hpc queue: one tick, or as many as it takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kd_hpc.commands.options import CampaignArgument, DryRunOption, ExperimentsOption, JsonOption, SetOption

if TYPE_CHECKING:
    from kd_hpc.queueing.session import Session
    from kd_hpc.queueing.tick_report import Report


def queue(
    campaign: CampaignArgument,
    experiments: ExperimentsOption = Path("experiments"),
    watch: Annotated[bool, typer.Option("--watch", help="Keep going until nothing is left to do.")] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin a campaign again whose round was closed; its archive stays.")
    ] = False,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    everything: Annotated[bool, typer.Option("--all", help="With --dry-run: every run on a line of its own.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Submit every run that may start now.

    All others are left alone, continued or explained. Safe to repeat, by hand or by cron: what is queued or finished
    is not queued again. Exit status 75: the scheduler could not be reached, or somebody else queues right now;
    nothing was lost, try again. With --watch, 3: some runs need you.

    One tick: kd-hpc queue campaigns/charlie.toml

    Look first: kd-hpc queue campaigns/charlie.toml --dry-run

    Until all is done: kd-hpc queue campaigns/digits.toml --watch

    The same runs with another learning rate, beside those that are there:

    \b
    kd-hpc queue campaigns/digits.toml --set recipe.lr=0.05
    """
    from kd_hpc.archiving.closed_campaigns import require_open
    from kd_hpc.errors import UsageError
    from kd_hpc.queueing.session import open_session

    if watch and (dry_run or as_json):
        raise UsageError("--watch goes with neither --dry-run nor --json.", remedy="Leave one of them away.")
    session = open_session(campaign, experiments, settings or ())
    with session.notifier.over_a_round(counts=not dry_run):
        if not anew:
            require_open(session.campaign.name, campaign, experiments)
        _compare(session, campaign)
        if dry_run:
            _look(session, as_json=as_json, everything=everything)
            return
        report = _round(session, watch=watch)
    raise typer.Exit(_tell(session, report, as_json=as_json) if report else _watch(session))


def _compare(session: Session, campaign: Path) -> None:
    """Tell what is new or no longer planned. Raises UsageError where runs of these names have another recipe."""
    from kd_hpc.queueing.changed_campaign import changes, require_own_recipe

    require_own_recipe(session.campaign, campaign, session.store)
    for sentence in changes(session.campaign, session.remembered, session.store):
        print(sentence, file=sys.stderr)


def _look(session: Session, *, as_json: bool, everything: bool) -> None:
    """Print what a round would do."""
    from kd_hpc.planning.planner import plan
    from kd_hpc.queueing.show import show_plan
    from kd_hpc.queueing.tick_report import silence_of

    situation = session.runner.look()
    silence = silence_of(situation.snapshot) if situation.snapshot.unreachable else None
    show_plan(plan(situation), silence, session.store.root, as_json=as_json, everything=everything)


def _round(session: Session, *, watch: bool) -> Report | None:
    """What one round did; None where rounds are left to watching. Raises UsageError for what can never work."""
    from kd_hpc.queueing.runner import tick_lock

    session.require_submittable()
    session.store.require_writable()
    if watch:
        return None
    with _about_the_folder(), tick_lock(session.control):
        session.remember_campaign()
        return session.runner.tick()


def _tell(session: Session, report: Report, *, as_json: bool) -> int:
    """Show what a round did, and call who wants to be called; its exit status."""
    from kd_hpc.queueing.show import show_report

    show_report(report, session.store.root, as_json=as_json)
    session.tell(report)
    return report.exit_code


def _watch(session: Session) -> int:
    from kd_hpc.queueing.watch import watch

    with _about_the_folder():
        return watch(session)


@contextmanager
def _about_the_folder() -> Iterator[None]:
    """What the body finds wrong with kd-hpc's own files is wrong with the folder that was named."""
    from kd_hpc.errors import FolderError, StoreError

    try:
        yield
    except StoreError as error:
        raise FolderError(error.what, remedy=error.remedy) from error
