"""The embedded scheduler: processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.schedulers.local.scheduler import LocalScheduler, kill_line
from kd_hpc.schedulers.readiness import Check, Level, Place

__all__ = ["LOOK_EVERY", "checks", "kill_line", "make", "missing_line", "refused"]

LOOK_EVERY = 5.0


def make(campaign: Campaign, control: Path) -> LocalScheduler:
    return LocalScheduler(control / "local", campaign.scheduler.slots)


def missing_line(campaign: Campaign) -> str:
    return ""


def refused(directive: str) -> str:
    return "there is no submit command here to give it to"


def checks(place: Place) -> Iterator[Check]:
    yield Check("scheduler", Level.OK, f"this machine, {place.campaign.scheduler.slots} jobs at a time")
