"""What a new campaign is to be: everything that is asked or given, with what is usual where it will run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

SUBMITS = {"pbs": "qsub", "slurm": "sbatch"}
"""The command by which a scheduler is known to be here."""


@dataclass(frozen=True)
class Wishes:
    """Fields as in the campaign file; `seeds` counts them from 0."""

    scheduler: str
    datasets: tuple[str, ...]
    teacher: str
    student: str
    walltime: str
    cores: int
    memory: str
    slots: int
    students_per_job: int
    name: str = "mine"
    methods: tuple[str, ...] = ("logit", "attention_transfer", "rkd")
    alphas: tuple[float, ...] = (0.25, 0.5, 0.75)
    seeds: int = 3
    epochs: int | None = None
    batch_size: int | None = None
    gpus: int = 0
    gpu_type: str = ""
    queue: str = ""
    project: str = ""
    modules: tuple[str, ...] = ()


_HERE = Wishes(
    scheduler="local",
    datasets=("Digits",),
    teacher="ResNet20",
    student="ResNetBaby",
    walltime="00:30:00",
    cores=1,
    memory="2gb",
    slots=2,
    students_per_job=9,
    epochs=15,
    batch_size=64,
)
_SLURM = Wishes(
    scheduler="slurm",
    datasets=("Cifar10",),
    teacher="ResNet112",
    student="ResNet56",
    walltime="04:00:00",
    cores=8,
    memory="16gb",
    slots=10,
    students_per_job=6,
    gpus=1,
)
_PBS = replace(_SLURM, scheduler="pbs")
USUAL = {wishes.scheduler: wishes for wishes in (_HERE, _PBS, _SLURM)}
"""By scheduler."""


def scheduler_here() -> str:
    """The scheduler of this machine: one whose command is here, else the machine itself."""
    return next((kind for kind in SUBMITS if is_here(kind)), "local")


def is_here(scheduler: str) -> bool:
    """Whether jobs can be submitted from this machine."""
    return scheduler not in SUBMITS or shutil.which(SUBMITS[scheduler]) is not None
