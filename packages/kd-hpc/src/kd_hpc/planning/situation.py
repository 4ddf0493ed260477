"""What the planner looks at: plain data about every run and the scheduler, gathered before any decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from kd_hpc.campaign import Campaign
from kd_hpc.experiment import Experiment
from kd_hpc.records import StatusRecord
from kd_hpc.schedulers.base import Snapshot
from kd_hpc.schedulers.own_jobs import JobRef
from kd_hpc.store import Unreadable


@dataclass(frozen=True)
class Weights:
    """A teacher's best.pth: its SHA-256, or what is wrong with it."""

    sha256: str = ""
    problem: str = ""


@dataclass(frozen=True)
class RunView:
    """One run. `record` was read after the scheduler was asked where its job is gone, so nobody writes it any more.

    `owner_alive` is None where nobody claimed the run, or where this machine cannot know. The ends of stderr and stdout
    are read where its job is gone, from where that job wrote them, and so is what is wrong with that folder; `weights`
    for completed teachers. `cancelled`: a person asked for its end. `parent_problem`: what is wrong with the checkpoint
    that a fork is to begin with.
    """

    experiment: Experiment
    record: StatusRecord | Unreadable | None
    owner_alive: bool | None = None
    stderr_tail: str = ""
    stdout_tail: str = ""
    folder_problem: str = ""
    weights: Weights | None = None
    cancelled: bool = False
    parent_problem: str = ""

    @property
    def first_epoch(self) -> int:
        """The finished epochs that its next attempt begins with."""
        record = self.record
        done = record.epoch if isinstance(record, StatusRecord) else 0
        return max(done, self.experiment.first_epoch)


@dataclass(frozen=True)
class Situation:
    """`root` is the absolute path of the experiments folder, `scheduler` the kind of scheduler that was asked.

    `can_avoid_nodes`: whether it can. `released`: jobs that were released before; one that is held now is held by a
    person. `unwanted`: other jobs of this user that they asked to be deleted.
    """

    campaign: Campaign
    root: str
    scheduler: str
    runs: tuple[RunView, ...]
    snapshot: Snapshot
    now: datetime
    can_avoid_nodes: bool = False
    released: frozenset[JobRef] = frozenset()
    unwanted: tuple[JobRef, ...] = ()
    by_run: dict[Experiment, RunView] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_run", {run.experiment: run for run in self.runs})

    @property
    def job_ids(self) -> tuple[str, ...]:
        """This user's jobs, as far as they could be listed."""
        return tuple(job.job_id for job in self.snapshot.listed or ())
