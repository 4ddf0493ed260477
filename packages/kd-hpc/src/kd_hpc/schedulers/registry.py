"""The schedulers there are: one file each in kinds/, called like its line in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from kd_hpc.campaign import Campaign
from kd_hpc.catalogue import SCHEDULERS
from kd_hpc.errors import CampaignError
from kd_hpc.schedulers.base import KillLine, Scheduler
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.schedulers.readiness import Check, Place


class Kind(Protocol):
    """What such a file holds."""

    LOOK_EVERY: float
    """Seconds between two looks of a program that keeps watching; a minute where administrators ask for it."""

    def make(self, campaign: Campaign, control: Path) -> Scheduler:
        """`control` is the folder below the experiments where kd-hpc keeps its own files."""
        ...

    def missing_line(self, campaign: Campaign) -> str:
        """The line under [resources] without which this scheduler takes no job; empty if nothing is missing."""
        ...

    def refused(self, directive: str) -> str:
        """Why its submit command is not given an option that a campaign adds; empty if it is."""
        ...

    def kill_line(self, stderr: str) -> KillLine | None:
        """What this scheduler wrote into a job's stderr when it killed it; None if it did not."""
        ...

    def checks(self, place: Place) -> Iterator[Check]:
        """The doctor's questions to it."""
        ...


def kind(name: str) -> Kind:
    """The module of the scheduler called `name`, imported now."""
    return cast(Kind, import_module(f"kd_hpc.schedulers.kinds.{name}"))


def make(campaign: Campaign, control: Path) -> OwnJobs:
    """The scheduler of `campaign`, which touches nothing but this user's own jobs.

    Raises CampaignError for an option that it must not be given.
    """
    found = kind(campaign.scheduler.kind)
    for directive in campaign.resources.directives:
        if why := found.refused(directive):
            what = f"{campaign.name}: {directive!r} in resources.directives is not given to {campaign.scheduler.kind}"
            raise CampaignError(f"{what}: {why}.", remedy="Mend that line.")
    return OwnJobs(found.make(campaign, control))


def kill_line(stderr: str) -> KillLine | None:
    """The last kill line of any scheduler in a job's stderr: a log does not say whose it is."""
    found = [line for name in SCHEDULERS if (line := kind(name).kill_line(stderr))]
    return max(found, key=lambda line: stderr.rfind(line.words), default=None)
