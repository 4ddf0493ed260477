"""What the planner answers: one decision a run, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kd_hpc.diagnosis.case import Cause
from kd_hpc.experiment import Experiment
from kd_hpc.planning.breaker import BadNode
from kd_hpc.schedulers.base import ListedJob, Obstacle


class Action(StrEnum):
    SUBMIT = "submit"
    RESUBMIT = "resubmit"
    ADOPT = "adopt"
    """A job with the token of this run's intent was found: it is this run's."""
    RELEASE = "release"
    WAIT = "wait"
    """For its teacher, a slot, or better nodes: a later tick goes on."""
    LEAVE = "leave"
    """Something may be at work on it; only time tells."""
    BLOCK = "block"
    """Nothing happens until a person acts."""
    FAIL = "fail"
    QUARANTINE = "quarantine"
    DONE = "done"

    @property
    def is_submission(self) -> bool:
        return self in (Action.SUBMIT, Action.RESUBMIT)

    @property
    def is_settled(self) -> bool:
        """True if later ticks decide the same unless a person acts."""
        return self in (Action.DONE, Action.BLOCK, Action.FAIL, Action.QUARANTINE)


@dataclass(frozen=True)
class Ending:
    """How the latest attempt ended, for its record."""

    cause: Cause
    detail: str
    remedy: str
    charged: bool
    end_epoch: int | None = None
    exit_status: int | None = None
    host: str = ""
    next_memory: str | None = None


@dataclass(frozen=True)
class Decision:
    """`ending` is to be recorded before anything else; `job_id` is the job to adopt or release, or that is at work.

    `shares_job_of` is the run that leads the job this one is to be submitted in; None for a run that has, or leads, its
    own.
    """

    experiment: Experiment
    action: Action
    reason: str
    remedy: str = ""
    job_id: str | None = None
    memory: str | None = None
    teacher_sha256: str | None = None
    ending: Ending | None = None
    shares_job_of: Experiment | None = None


@dataclass(frozen=True)
class Surplus:
    """A job to delete: one that can never do anything but fill a slot, or that a person wants ended.

    `token` is in its name.
    """

    job_id: str
    reason: str
    token: str


@dataclass(frozen=True)
class Plan:
    """Decisions in the order of their importance, which is the order of submission."""

    decisions: tuple[Decision, ...]
    surplus: tuple[Surplus, ...] = ()
    strays: tuple[ListedJob, ...] = ()
    unknown: tuple[str, ...] = ()
    """Recorded jobs of which nothing can be known now, as sentences."""
    capacity: int = 0
    in_use: int = 0
    bad_nodes: tuple[BadNode, ...] = ()
    avoids_nodes: bool = False
    """True if jobs are kept off the bad nodes; otherwise one job at a time is sent while there are some."""
    closed: Obstacle | None = None
    """Why the queue takes none of the jobs that could be submitted."""

    @property
    def submissions(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.action.is_submission)

    @property
    def jobs(self) -> dict[Experiment, tuple[Decision, ...]]:
        """The submissions of each job to be, by the run that leads it, which comes first."""
        found: dict[Experiment, tuple[Decision, ...]] = {}
        for decision in self.submissions:
            leader = decision.shares_job_of or decision.experiment
            found[leader] = (*found.get(leader, ()), decision)
        return found

    @property
    def is_settled(self) -> bool:
        return all(decision.action.is_settled for decision in self.decisions)

    @property
    def needs(self) -> list[list[Decision]]:
        """Decisions that wait for a person, those with one cause together: first the run that a person must look at,
        then those with the same remedy, and those that wait for it as their teacher.
        """
        needing = {d.experiment: d for d in self.decisions if d.action.is_settled and d.action != Action.DONE}
        groups: dict[str, list[Decision]] = {}
        for decision in needing.values():
            cause = needing.get(decision.experiment.teacher_run or decision.experiment, decision)
            groups.setdefault(cause.remedy or cause.experiment.label, []).append(decision)
        return list(groups.values())
