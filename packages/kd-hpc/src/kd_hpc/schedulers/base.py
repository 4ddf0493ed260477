"""The seam: what the runner asks of a scheduler, and the only answers there are.

What is known of a job is one of three things, each with its evidence. `Gone` needs positive proof; everything that is
neither proven alive nor proven gone is `Unknown`, and nothing may be concluded from that. What a scheduler says of an
end is told in types: nobody above this floor reads a scheduler's words, they are only quoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from kd_hpc.campaign_file.resources import Resources


class Phase(StrEnum):
    HELD = "held"
    WAITING = "waiting"
    RUNNING = "running"
    STUCK = "stuck"
    """Given up by the scheduler itself: it takes a slot and will never run; only deleting it ends that."""
    OTHER = "other"
    """Alive in a state this program does not know; never treated as dead."""


@dataclass(frozen=True)
class Obstacle:
    """Why a live job does not go on by itself, and what to write or type."""

    says: str
    remedy: str
    needs_new_job: bool = False
    """True if only another job, made after the mending, can help."""


@dataclass(frozen=True)
class Live:
    phase: Phase
    detail: str = ""
    obstacle: Obstacle | None = None


@dataclass(frozen=True)
class Exceeded:
    """Killed for going beyond `limit`: walltime, mem, or another of the scheduler's own names."""

    limit: str
    used_kilobytes: int | None = None


@dataclass(frozen=True)
class NodeFault:
    """Its node could not run it, or lost it."""


@dataclass(frozen=True)
class Deleted:
    """Somebody ended it; `ran` is False if it had not started."""

    ran: bool = True


Verdict = Exceeded | NodeFault | Deleted
"""How a job ended, where its scheduler says more than an exit status."""


@dataclass(frozen=True)
class Gone:
    """The job has ended. `exit_status` is the scheduler's own number, None where it keeps none; `comment` its words."""

    evidence: str
    exit_status: int | None = None
    comment: str = ""
    host: str = ""
    signal: int | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Unknown:
    reason: str


@dataclass(frozen=True)
class Lost(Unknown):
    """Given up by its server, which lost the node: its processes may live on. `gone` is what it is once they cannot.

    `ends_by`: when its walltime is over at the latest; None where nobody knows when it started.
    """

    gone: Gone
    ends_by: datetime | None = None


Observation = Live | Gone | Unknown


@dataclass(frozen=True)
class KillLine:
    """What a scheduler wrote into a job's own stderr when it ended it."""

    verdict: Verdict
    words: str


class Identity(NamedTuple):
    """Whose job has an id now, and what it is called."""

    name: str
    owner: str


@dataclass(frozen=True)
class ListedJob:
    """One of this user's jobs that is in the scheduler now, whoever submitted it; `queue` "" where that is not told."""

    job_id: str
    name: str
    observation: Live
    queue: str = ""


@dataclass(frozen=True)
class Limits:
    """Jobs of this user that are taken: running at once and in the system, by the queue; in all queues together.

    None where the scheduler does not say.
    """

    running: int | None = None
    queued: int | None = None
    everywhere: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything one look at the scheduler gave.

    `listed` is None when this user's jobs could not be listed: then nobody knows how many slots are free, nor that a
    job with some token does not exist. `unreachable` says why the look failed and is empty if the scheduler answered;
    `is_missing` if it is not even installed here. `identities`: by id, whose job each observation is about.
    `closed`: why the campaign's queue takes nothing at all. `remarks`: lines beside good answers, which mean nothing.
    """

    observations: Mapping[str, Observation]
    listed: tuple[ListedJob, ...] | None
    limits: Limits = Limits()
    unreachable: str = ""
    is_missing: bool = False
    identities: Mapping[str, Identity] = field(default_factory=dict)
    closed: Obstacle | None = None
    remarks: tuple[str, ...] = ()

    def of(self, job_id: str) -> Observation:
        return self.observations.get(job_id) or Unknown("not asked for in this look")


@dataclass(frozen=True)
class JobSpec:
    """A job to be: `name` contains `token`; output goes to logs and errors in `directory`, which exists.

    `avoid`: nodes that it must not run on, where the scheduler can choose.
    """

    name: str
    token: str
    command: Sequence[str]
    directory: Path
    resources: Resources
    avoid: tuple[str, ...] = ()


class Scheduler(Protocol):
    """One scheduler, as one user sees it. Every call is bounded in time. Ids are taken as they come: see OwnJobs."""

    kind: str
    user: str
    """Whose jobs are one's own."""
    can_avoid_nodes: bool
    list_jobs: str
    """What a person types to see their jobs."""

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
