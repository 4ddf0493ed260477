"""What one tick planned and did."""

from __future__ import annotations

from dataclasses import dataclass

from kd_hpc.errors import SchedulerUnreachable
from kd_hpc.planning.decision import Decision, Plan


@dataclass(frozen=True)
class Report:
    """What a tick planned and did. `jobs`: this user's jobs now; `problems`, `refused`, `unreachable`: sentences about
    what could not be done."""

    plan: Plan
    jobs: tuple[str, ...] = ()
    acted: tuple[Decision, ...] = ()
    problems: tuple[str, ...] = ()
    refused: str = ""
    unreachable: str = ""

    @property
    def exit_code(self) -> int:
        if self.unreachable or self.plan.unknown:
            return SchedulerUnreachable.exit_code
        return 1 if self.problems or self.refused else 0
