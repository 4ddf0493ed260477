"""Which scheduler a campaign names; only that one is imported."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.schedulers.base import Scheduler

LOOK_EVERY: dict[str, float] = {"local": 5.0}
"""Seconds between two looks of a program that keeps watching; a minute where administrators ask for it."""
LOOK_EVERY_DEFAULT = 60.0


def make(campaign: Campaign, control: Path) -> Scheduler:
    """The scheduler of `campaign`. `control` is the folder below the experiments where kd-hpc keeps its own files."""
    match campaign.scheduler.kind:
        case "local":
            from kd_hpc.schedulers.local import LocalScheduler

            return LocalScheduler(control / "local", campaign.scheduler.slots)
        case "pbs":
            from kd_hpc.schedulers.pbs import PbsScheduler

            return PbsScheduler(campaign.resources.queue)
        case "slurm":
            from kd_hpc.schedulers.slurm import SlurmScheduler

            return SlurmScheduler()
