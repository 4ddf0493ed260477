"""Jobs as attempts tell of them: every run that shares a job has an attempt of its own in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kd_hpc.records import Attempt

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Job:
    """One job, or one start by hand, with the attempts of all runs in it: at least one."""

    attempts: tuple[Attempt, ...]

    @property
    def is_submitted(self) -> bool:
        """False for a start by hand, and before the scheduler took it."""
        return self.attempts[0].job is not None

    @property
    def scheduler(self) -> str:
        return self.attempts[0].scheduler

    @property
    def students(self) -> int:
        """How many runs share it, as planned."""
        return max(len(attempt.runs or ("",)) for attempt in self.attempts)

    @property
    def walltime(self) -> str | None:
        return next((attempt.walltime for attempt in self.attempts if attempt.walltime), None)

    @property
    def memory(self) -> str | None:
        return next((attempt.memory for attempt in self.attempts if attempt.memory), None)

    @property
    def wait(self) -> float | None:
        """Hours from submission to the first start; None where either is not on record."""
        submitted = [attempt.submitted_at for attempt in self.attempts if attempt.submitted_at]
        started = [attempt.started_at for attempt in self.attempts if attempt.started_at]
        return (min(started) - min(submitted)).total_seconds() / 3600 if submitted and started else None

    @property
    def spans(self) -> list[Span]:
        """When it was at work, as far as start and end are on record: disjoint, in order."""
        known = [(a.started_at, a.ended_at) for a in self.attempts if a.started_at and a.ended_at]
        merged: list[Span] = []
        for start, end in sorted(span for span in known if span[0] < span[1]):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def hours(self, start: datetime, end: datetime) -> float:
        """Hours at work from `start` until `end`, however many runs shared them."""
        parts = ((min(last, end) - max(first, start)).total_seconds() for first, last in self.spans)
        return sum(max(0.0, seconds) for seconds in parts) / 3600


def jobs_of(attempts: Iterable[Attempt]) -> list[Job]:
    """The jobs behind `attempts`, each once, in the order of their first attempt."""
    groups: dict[Hashable, list[Attempt]] = defaultdict(list)
    for place, attempt in enumerate(attempts):
        groups[attempt.job or place].append(attempt)
    return [Job(tuple(same)) for same in groups.values()]


def in_jobs(attempts: Sequence[Attempt]) -> str:
    """What to add to a number of attempts where they are fewer jobs; else nothing."""
    return of_jobs(len(attempts), len(jobs_of(attempts)))


def of_jobs(attempts: int, jobs: int) -> str:
    """The same of two numbers."""
    return f" in {jobs} job{'' if jobs == 1 else 's'}" if jobs < attempts else ""
