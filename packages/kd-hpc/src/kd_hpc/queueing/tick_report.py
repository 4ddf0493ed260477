"""What one tick planned and did."""

from __future__ import annotations

from dataclasses import dataclass

from kd_hpc.errors import SchedulerError, SchedulerUnreachable
from kd_hpc.planning.decision import Decision, Plan
from kd_hpc.schedulers.base import Snapshot
from kd_hpc.schedulers.batch import ON_A_LOGIN_NODE


@dataclass(frozen=True)
class Silence:
    """A scheduler that could not be asked, so that nothing was changed. `passes`: it may answer later."""

    says: str
    remedy: str
    passes: bool = True

    def __str__(self) -> str:
        return f"The scheduler could not be asked: {self.says}. Nothing was changed. {self.remedy}"


@dataclass(frozen=True)
class Report:
    """What a tick planned and did. `jobs`: this user's jobs now. All else are sentences about what could not be done.

    `silence`: nothing was done. `unheard`: this part of it was not heard of, and the next tick repeats it. `refused`:
    a submission was, and so would be the next ones.
    """

    plan: Plan
    jobs: tuple[str, ...] = ()
    acted: tuple[Decision, ...] = ()
    problems: tuple[str, ...] = ()
    refused: str = ""
    unheard: str = ""
    silence: Silence | None = None

    @property
    def unreachable(self) -> str:
        """Why not all could be asked for or done; empty if it could."""
        return self.silence.says if self.silence else self.unheard

    @property
    def failure(self) -> str:
        """What kept the round from its work, in one sentence; empty if nothing did."""
        closed = self.plan.closed.says if self.plan.closed else ""
        return next(filter(None, (self.unreachable, self.refused, closed, *self.plan.unknown, *self.problems)), "")

    @property
    def exit_code(self) -> int:
        if self.silence and not self.silence.passes:
            return SchedulerError.exit_code
        if self.silence or self.unheard or self.plan.unknown:
            return SchedulerUnreachable.exit_code
        return 1 if self.problems or self.refused or self.plan.closed else 0


def silence_of(snapshot: Snapshot) -> Silence:
    """Of a look that failed."""
    if snapshot.is_missing:
        return Silence(snapshot.unreachable, ON_A_LOGIN_NODE, passes=False)
    return Silence(snapshot.unreachable, "Try again.")
