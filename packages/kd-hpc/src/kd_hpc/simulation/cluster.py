"""Simulated jobs: held, waiting, running, ended; killed at their walltime, for their memory, by bad nodes, by chance.

Time is in seconds since the world began and never jumps: that is the scheduler's own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from kd_hpc.schedulers.base import Deleted, Exceeded, Gone, JobSpec, NodeFault, Phase, Verdict


class Program(Protocol):
    """What a job runs."""

    def start(self) -> int | None:
        """Begin; an exit status if it ends at once."""

    def work(self, seconds: float) -> int | None:
        """Go on for `seconds`; an exit status if it ends meanwhile."""

    def killed(self, line: str) -> None:
        """End without warning; the scheduler writes `line` to its stderr."""


@dataclass
class SimJob:
    job_id: str
    name: str
    spec: JobSpec | None
    phase: Phase | None = Phase.HELD
    """None after its end."""
    host: str = ""
    elapsed: float = 0.0
    exit_status: int | None = None
    comment: str = ""
    program: Program | None = None
    user: str = "simulated"
    is_lost: bool = False
    """Given up by the server; its processes, which it cannot see, live as long as `phase` says."""

    @property
    def is_listed(self) -> bool:
        """True while the server counts it."""
        return self.phase is not None and not self.is_lost

    @property
    def is_alive(self) -> bool:
        return self.phase is not None

    def ending(self, *, with_history: bool) -> Gone:
        """The scheduler's word on a job that has ended."""
        if not with_history:
            return Gone(f"Unknown Job Id {self.job_id}")
        if self.is_lost:
            evidence = f"{self.job_id}: job_state = F, Exit_status = -20"
            return Gone(evidence, -20, "", self.host, verdict=NodeFault())
        status = self.exit_status
        number = status - 256 if status is not None and status > 256 else None
        return Gone(f"{self.job_id}: job_state = F", status, self.comment, self.host, number, self._verdict())

    def _verdict(self) -> Verdict | None:
        if self.exit_status is None or self.comment == "terminated":
            return Deleted(ran=self.exit_status is not None)
        if self.exit_status in (-29, -27):
            return Exceeded("walltime" if self.exit_status == -29 else "mem")
        return NodeFault() if self.exit_status < 0 else None


@dataclass
class Cluster:
    """`running_limit` jobs run at once; `queued_limit` is what the scheduler takes, None if it does not say."""

    running_limit: int
    queued_limit: int | None
    rng: Random
    death_rate: float = 0.0
    node_fault_rate: float = 0.0
    lost_node_rate: float = 0.0
    reused_id_rate: float = 0.0
    ghosts: set[str] = field(default_factory=set)
    """Jobs that were given up and are not known to be over."""
    hosts: tuple[str, ...] = ("gpu01", "gpu02", "gpu03")
    made: int = 0
    jobs: dict[str, SimJob] = field(default_factory=dict)
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    """Seconds from now, and what the server will do then."""

    def alive(self) -> Iterator[SimJob]:
        return (job for job in self.jobs.values() if job.is_alive)

    def listed(self) -> Iterator[SimJob]:
        """What the server counts as this user's."""
        return (job for job in self.alive() if job.is_listed and job.user == "simulated")

    def submit(self, name: str, spec: JobSpec | None, user: str = "simulated") -> SimJob:
        job = SimJob(self._next_id(), name, spec, user=user)
        self.jobs[job.job_id] = job
        return job

    def lose(self, job: SimJob) -> None:
        """The server gives a running job up. Its node comes back within two days, without it."""
        job.is_lost = True
        self.ghosts.add(job.job_id)
        self.at(self.rng.uniform(600, 48 * 3600), lambda: self._found_again(job))

    def rename_nodes(self) -> None:
        self.hosts = tuple(f"{host[:5]}-{self.rng.randrange(1000)}" for host in self.hosts)

    def _next_id(self) -> str:
        """A new one; or, by a server that was set up anew, one of a job that has ended."""
        ended = [job.job_id for job in self.jobs.values() if not job.is_alive and not job.is_lost]
        if ended and self.reused_id_rate and self.rng.random() < self.reused_id_rate:
            return self.rng.choice(ended)
        self.made += 1
        return f"{self.made}.sim"

    def _found_again(self, job: SimJob) -> None:
        if job.is_alive:
            self._kill(job, -20, "", "")
        job.is_lost = False
        self.ghosts.discard(job.job_id)

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        self.later.append((seconds, act))

    def release(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job and job.phase == Phase.HELD:
            job.phase = Phase.WAITING

    def delete(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job and job.is_listed:
            self._kill(job, None if job.phase != Phase.RUNNING else 271, "", "terminated")

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass: start what may run, then let everything work."""
        due = [act for when, act in self.later if when <= seconds]
        self.later = [(when - seconds, act) for when, act in self.later if when > seconds]
        for act in due:
            act()
        self._start_waiting()
        for job in list(self.alive()):
            if job.phase == Phase.RUNNING:
                self._run(job, seconds)

    def kill(self, job: SimJob) -> None:
        """A running job is gone without warning."""
        self._kill(job, 265, "", "")

    def _start_waiting(self) -> None:
        running = sum(job.phase == Phase.RUNNING for job in self.listed())
        for job in list(self.alive()):
            if job.phase == Phase.WAITING and running < self.running_limit:
                running += self._start(job)

    def _start(self, job: SimJob) -> bool:
        job.phase, job.host = Phase.RUNNING, self.rng.choice(self.hosts)
        if self.rng.random() < self.node_fault_rate:
            self._kill(job, -1, "", "")
            return False
        status = job.program.start() if job.program else None
        if status is not None:
            self._end(job, status)
        return job.is_alive

    def _run(self, job: SimJob, seconds: float) -> None:
        limit = job.spec.resources.walltime_seconds if job.spec else 3600
        if job.is_listed and self.lost_node_rate and self.rng.random() < self.lost_node_rate * seconds / 3600:
            self.lose(job)
        if self.rng.random() < self.death_rate * seconds / 3600:
            self._work(job, self.rng.random() * seconds)
            self._kill(job, 265, "", "")
        elif job.elapsed + seconds > limit:
            self._work(job, limit - job.elapsed)
            self._kill(job, -29, f"=>> PBS: job killed: walltime {limit + 21} exceeded limit {limit}", "")
        else:
            self._work(job, seconds)

    def _work(self, job: SimJob, seconds: float) -> None:
        job.elapsed += seconds
        status = job.program.work(seconds) if job.program else None
        if status is not None:
            self._end(job, status)

    def _kill(self, job: SimJob, status: int | None, line: str, comment: str) -> None:
        if job.is_alive:
            if job.program and job.phase == Phase.RUNNING:
                job.program.killed(line)
            self._end(job, status, comment)

    def _end(self, job: SimJob, status: int | None, comment: str = "") -> None:
        job.phase, job.exit_status, job.comment = None, -20 if job.is_lost else status, comment
