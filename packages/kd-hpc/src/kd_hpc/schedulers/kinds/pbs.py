"""OpenPBS and PBS Professional, 18 to 23: qselect, qstat, qsub, qrls, qdel, pbsnodes."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.campaign_file.resources import PLACEHOLDER
from kd_hpc.schedulers.pbs.directives import refused
from kd_hpc.schedulers.pbs.doctor import checks
from kd_hpc.schedulers.pbs.kill_lines import kill_line
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler

__all__ = ["LOOK_EVERY", "checks", "kill_line", "make", "missing_line", "refused"]

LOOK_EVERY = 60.0


def make(campaign: Campaign, control: Path) -> PbsScheduler:
    return PbsScheduler(campaign.resources.queue)


def missing_line(campaign: Campaign) -> str:
    return 'project = "ABCD1234"' if campaign.resources.project in (None, PLACEHOLDER) else ""
