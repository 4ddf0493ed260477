"""The seam: what the runner asks of a scheduler, and the only answers there are.

What is known of a job is one of three things, each with its evidence. `Gone` needs positive proof; everything that is
neither proven alive nor proven gone is `Unknown`, and nothing may be concluded from that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from kd_hpc.campaign import Resources


class Phase(StrEnum):
    HELD = "held"
    WAITING = "waiting"
    RUNNING = "running"
    STUCK = "stuck"
    """Given up by the scheduler itself: it takes a slot and will never run; only deleting it ends that."""
    OTHER = "other"
    """Alive in a state this program does not know; never treated as dead."""


@dataclass(frozen=True)
class Live:
    phase: Phase
    detail: str = ""


@dataclass(frozen=True)
class Gone:
    """The job has ended. `exit_status` is the scheduler's own number, None where it keeps none."""

    evidence: str
    exit_status: int | None = None
    comment: str = ""
    host: str = ""


@dataclass(frozen=True)
class Unknown:
    reason: str


Observation = Live | Gone | Unknown


@dataclass(frozen=True)
class ListedJob:
    """One of this user's jobs that is in the scheduler now, whoever submitted it."""

    job_id: str
    name: str
    observation: Live


@dataclass(frozen=True)
class Limits:
    """Jobs of this user the queue takes: running at once, and in the system; None where it does not say."""

    running: int | None = None
    queued: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything one look at the scheduler gave.

    `listed` is None when this user's jobs could not be listed: then nobody knows how many slots are free, nor that a
    job with some token does not exist. `unreachable` says why, and is empty if the scheduler answered.
    """

    observations: Mapping[str, Observation]
    listed: tuple[ListedJob, ...] | None
    limits: Limits = Limits()
    unreachable: str = ""

    def of(self, job_id: str) -> Observation:
        return self.observations.get(job_id) or Unknown("not asked for in this look")


@dataclass(frozen=True)
class JobSpec:
    """A job to be: `name` contains `token`; output goes to logs and errors in `directory`, which exists.

    Schedulers append there, so the job's script writes `banner(token)` to both before anything else.
    """

    name: str
    token: str
    command: Sequence[str]
    directory: Path
    resources: Resources


def banner(token: str) -> str:
    """The line that tells where one attempt's output begins in a file that earlier attempts wrote to as well."""
    return f"== kd job {token} =="


class Scheduler(Protocol):
    """One scheduler, as one user sees it. Every call is bounded in time."""

    kind: str

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        """The state of `job_ids` and of all this user's jobs, in one status call; never raises, never guesses."""
        ...

    def submit_held(self, spec: JobSpec) -> str:
        """Submit `spec` so that it cannot start, and return its job id.

        Raises SubmissionRefused if surely no job was created, SubmissionUncertain if that cannot be known.
        """
        ...

    def release(self, job_ids: Sequence[str]) -> None:
        """Let held jobs start, in one call; those that are gone or not held are passed over. May be repeated.

        Raises SchedulerUnreachable."""
        ...

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Ask for the end of these jobs; those already gone are passed over. Raises SchedulerUnreachable."""
        ...

    def wait(self, job_ids: Sequence[str], seconds: float) -> None:
        """Return when one of `job_ids` may have changed, at the latest after `seconds`."""
        ...
