"""Which students share a job: those of one teacher and seed that stand at the same epoch. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Ending
from kd_hpc.planning.situation import RunView
from kd_hpc.planning.teacher_readiness import Readiness
from kd_hpc.records import StatusRecord
from kd_hpc.schedulers.memory_sizes import in_kilobytes

LEVEL = 1
"""Epochs between two students of a job at most: who is ahead waits for the other, and a kill parts them by one."""


@dataclass(frozen=True)
class Ready:
    """A run that only needs a slot, or a place in another's job."""

    run: RunView
    readiness: Readiness
    memory: str
    why: str
    ending: Ending | None

    @property
    def epoch(self) -> int:
        return self.run.first_epoch

    @property
    def must_be_alone(self) -> bool:
        """True after a death in vain: should it be what kills its jobs, it kills no other's."""
        attempt = self.run.record.attempt if isinstance(self.run.record, StatusRecord) else None
        ending = self.ending or attempt
        return bool(ending and ending.charged and not (attempt and attempt.forgiven))


@dataclass
class Job:
    """Runs to be submitted together, at most `size`; the first of `members` leads."""

    size: int
    members: list[Ready] = field(default_factory=list)

    @property
    def leader(self) -> Experiment:
        return self.members[0].run.experiment

    @property
    def memory(self) -> str:
        """The most that any of its runs needs."""
        return max((member.memory for member in self.members), key=lambda size: in_kilobytes(size) or 0)

    def takes(self, ready: Ready) -> bool:
        """True if `ready` may be trained beside those that are in it."""
        if len(self.members) >= self.size or ready.must_be_alone or self.members[0].must_be_alone:
            return False
        leader, own = self.members[0], ready.run.experiment.company
        return (
            own is not None
            and own == self.leader.company
            and ready.readiness == leader.readiness
            and abs(ready.epoch - leader.epoch) <= LEVEL
        )
