"""Slurm: squeue, scontrol, sbatch, scancel, and sacct where a site keeps accounts."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.schedulers.slurm.directives import refused
from kd_hpc.schedulers.slurm.doctor import checks
from kd_hpc.schedulers.slurm.kill_lines import kill_line
from kd_hpc.schedulers.slurm.scheduler import SlurmScheduler

__all__ = ["LOOK_EVERY", "checks", "kill_line", "make", "missing_line", "refused"]

LOOK_EVERY = 60.0


def make(campaign: Campaign, control: Path) -> SlurmScheduler:
    return SlurmScheduler()


def missing_line(campaign: Campaign) -> str:
    return ""
