"""Run directories that exist only in memory: the Store and Evidence of a simulated world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from kd_hpc.disk.locks import MayTakeFrom, nobody
from kd_hpc.errors import RecordChanged
from kd_hpc.experiment import Experiment, experiment_at
from kd_hpc.planning.situation import Weights
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.job_notes import JobNotes, Stuck
from kd_hpc.records import StatusRecord
from kd_hpc.schedulers.own_jobs import JobRef
from kd_hpc.store import STATUS, Store, Unreadable


@dataclass
class RunDirectory:
    record: StatusRecord | Unreadable | None = None
    checkpoint: int = 0
    """Finished epochs of all that a resumed run would find."""
    best_sha256: str = ""
    stderr: str = ""
    cancelled: bool = False
    room: int = 0
    """The number of the only owner that can still write here; 0 for none."""


@dataclass
class Disk:
    """`step` is told of every write before and after it; it may raise, and then the writer is dead."""

    step: Callable[[str], None]
    runs: dict[Experiment, RunDirectory] = field(default_factory=dict)
    notes: SimNotes = field(default_factory=lambda: SimNotes())
    is_fenced: bool = True
    """False for a disk on which an owner that was taken over can go on writing."""
    purged: set[Experiment] = field(default_factory=set)
    _rooms: Iterator[int] = field(default_factory=lambda: count(1))
    _kept_rooms: dict[Experiment, int] = field(default_factory=dict)
    """Of runs whose files vanished."""

    def take_over(self, experiment: Experiment) -> int:
        """Take the run from every earlier owner; returns the number of the new one."""
        self.run(experiment).room = room = next(self._rooms)
        return room

    def is_owned_by(self, experiment: Experiment, room: int) -> bool:
        """False once somebody else has taken the run over."""
        known = self.runs[experiment].room if experiment in self.runs else self._kept_rooms.get(experiment)
        return not self.is_fenced or known == room

    def run(self, experiment: Experiment) -> RunDirectory:
        return self.runs.setdefault(experiment, RunDirectory(room=self._kept_rooms.pop(experiment, 0)))

    def purge(self, experiment: Experiment) -> None:
        """Its files vanish. Who writes there goes on: real trainers end at that, but promises must not need it."""
        self.purged.add(experiment)
        if gone := self.runs.pop(experiment, None):
            self._kept_rooms[experiment] = gone.room


class SimNotes(JobNotes):
    """Notes of jobs that exist only in memory."""

    def __init__(self) -> None:
        super().__init__(Path("/simulated/jobs"))
        self._jobs: set[JobRef] = set()

    def released(self) -> frozenset[JobRef]:
        return frozenset(self._jobs)

    def note_released(self, jobs: Iterable[JobRef]) -> None:
        self._jobs.update(jobs)

    def unwanted(self) -> tuple[JobRef, ...]:
        return ()

    def note_stuck(self, runs: Mapping[str, Stuck]) -> None:
        pass

    def forget_all_but(self, job_ids: Collection[str]) -> None:
        self._jobs = {job for job in self._jobs if job.job_id in job_ids}


class SimStore(Store):
    """What the runner reads and writes; the trainers write to the disk directly."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(Path("/simulated/experiments"))
        self._disk = disk

    def read(self, experiment: Experiment) -> StatusRecord | Unreadable | None:
        run = self._disk.runs.get(experiment)
        return run.record if run else None

    def write(
        self,
        experiment: Experiment,
        record: StatusRecord,
        *,
        may_take_from: MayTakeFrom = nobody,
        because: str = "",
    ) -> StatusRecord:
        self._disk.step("before a record")
        before = self.read(experiment)
        if isinstance(before, StatusRecord) and before.revision != record.revision:
            raise RecordChanged(f"{experiment.label} has revision {before.revision}, not {record.revision}.")
        self._disk.take_over(experiment)
        self._disk.run(experiment).record = written = record.model_copy(update={"revision": record.revision + 1})
        self._disk.step("after a record")
        return written

    def create(self, experiment: Experiment) -> Path:
        self._disk.run(experiment)
        return self.directory(experiment)

    def set_record_aside(
        self, experiment: Experiment, unreadable: Unreadable, *, may_take_from: MayTakeFrom = nobody
    ) -> Path | None:
        if unreadable.path.name != STATUS:
            return None
        target = unreadable.path.with_name(f"{STATUS}.quarantined.0.reason")
        self._disk.run(experiment).record = Unreadable(target, f"quarantined earlier: {unreadable.reason}")
        return target


class SimEvidence(Evidence):
    def __init__(self, store: SimStore, disk: Disk) -> None:
        super().__init__(store, Path("/simulated/cache"))
        self._disk = disk
        self.notes = disk.notes

    def owner_alive(self, experiment: Experiment) -> bool | None:
        return None

    def last_words(self, run: str) -> tuple[str, str]:
        experiment = experiment_at(run)
        found = self._disk.runs.get(experiment) if experiment else None
        return found.stderr if found else "", ""

    def folder_problem(self, run: str) -> str:
        return ""

    def is_cancelled(self, experiment: Experiment) -> bool:
        run = self._disk.runs.get(experiment)
        return run.cancelled if run else False

    def weights(self, experiment: Experiment) -> Weights:
        run = self._disk.runs.get(experiment)
        return Weights(run.best_sha256) if run and run.best_sha256 else Weights(problem="it is missing")

    def checkpoint_problem(self, experiment: Experiment, epoch: int) -> str:
        run = self._disk.runs.get(experiment)
        return "" if run and run.checkpoint >= epoch else "it is missing"

    def keep(self) -> None:
        pass
