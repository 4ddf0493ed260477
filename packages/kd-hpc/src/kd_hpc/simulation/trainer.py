"""A simulated `kd-core train`: fenced by token and job id, one record an epoch, resumes from its checkpoint.

It does not take the owner lock that real trainers also take: what must hold is to hold without that second fence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from kd_hpc.claim import JobIdentity, Superseded, require_recorded
from kd_hpc.experiment import Experiment
from kd_hpc.memory import in_kilobytes
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import JobSpec, banner
from kd_hpc.simulation.disk import Disk, RunDirectory


class Violation(AssertionError):
    """Something happened that must never happen."""


@dataclass(frozen=True)
class Nature:
    """What a run is like: how long its epochs take, what memory it needs, and whether its code is broken."""

    epoch_seconds: float
    memory: str = "1gb"
    is_broken: bool = False


@dataclass
class Witness:
    """Who writes which run now, and which runs were ever completed: the truth that records are compared with."""

    writers: dict[Experiment, str] = field(default_factory=dict)
    starts: int = 0


class SimTrainer:
    def __init__(
        self, experiment: Experiment, spec: JobSpec, epochs: int, nature: Nature, disk: Disk, witness: Witness
    ) -> None:
        self.experiment, self.spec, self.epochs, self.nature = experiment, spec, epochs, nature
        self.disk, self.witness = disk, witness
        self.job_id = ""
        self.epoch = 0
        self.spare = 0.0
        self.record = StatusRecord()
        self._is_finished = False

    def start(self) -> int | None:
        directory = self.disk.run(self.experiment)
        directory.stderr += banner(self.spec.token) + "\n"
        try:
            found = directory.record
            record = found if isinstance(found, StatusRecord) else None
            require_recorded(record, JobIdentity(self.spec.token, self.job_id))
        except Superseded as superseded:
            directory.stderr += f"{superseded}\n"
            return 0
        assert record is not None, "a recorded job has a record"
        if record.is_done:
            return 0
        if reason := self._teacher_problem(record):
            directory.stderr += f"kd-core: {reason}\n"
            return 1
        self._claim(record, directory)
        return None

    def work(self, seconds: float) -> int | None:
        if self._is_finished:
            return self._exit(0)
        if self.nature.is_broken:
            self.disk.run(self.experiment).stderr += _TRACEBACK
            return self._exit(1)
        if self._needs_more_memory():
            asked = self.spec.resources.memory
            line = f"=>> PBS: job killed: mem {_kilobytes(asked) + 9}kb exceeded limit {_kilobytes(asked)}kb\n"
            self.disk.run(self.experiment).stderr += line
            return self._exit(-27)
        self.spare += seconds
        gained = int(self.spare // self.nature.epoch_seconds)
        self.spare -= gained * self.nature.epoch_seconds
        is_finished = gained and self._reach(min(self.epochs, self.epoch + gained))
        return self._exit(0) if is_finished and self.spare > _LAST_SECONDS else None

    def killed(self, line: str) -> None:
        """Dead in the middle of an epoch, perhaps between its checkpoint and its record."""
        if self.witness.writers.get(self.experiment) != self.job_id:
            return
        directory = self.disk.run(self.experiment)
        if not self._is_finished and self.epoch < self.epochs and self.spare > 0.9 * self.nature.epoch_seconds:
            directory.checkpoint = self.epoch + 1
        directory.stderr += f"{line}\n" if line else ""
        self._exit(0)

    def _teacher_problem(self, record: StatusRecord) -> str:
        """What real trainers check before anything is written."""
        teacher = self.experiment.teacher_run
        if teacher is None:
            return ""
        directory = self.disk.runs.get(teacher, RunDirectory())
        if not isinstance(directory.record, StatusRecord) or directory.record.state != State.COMPLETED:
            return f"The teacher {teacher.label} is not completed."
        if record.teacher_sha256 != directory.best_sha256:
            return f"{teacher.label}/best.pth is not the teacher this run was started with."
        return ""

    def _claim(self, record: StatusRecord, directory: RunDirectory) -> None:
        if other := self.witness.writers.get(self.experiment):
            raise Violation(f"{self.experiment.label} is written by jobs {other} and {self.job_id} at once")
        if directory.best_sha256:
            raise Violation(f"{self.experiment.label} is complete and is trained again by job {self.job_id}")
        self.witness.writers[self.experiment] = self.job_id
        self.witness.starts += 1
        self.epoch = directory.checkpoint
        start = {"start_epoch": record.progress, "end_epoch": record.progress}
        self.record = record.with_attempt(**start).model_copy(update={"state": State.IN_PROGRESS})
        directory.record = self.record

    def _reach(self, epoch: int) -> bool:
        """Publish `epoch`; True if it was the last."""
        directory = self.disk.run(self.experiment)
        self.epoch = directory.checkpoint = epoch
        self.record = self.record.model_copy(update={"epoch": epoch, "acc_last": 90.0}).with_attempt(end_epoch=epoch)
        if epoch == self.epochs:
            directory.best_sha256 = sha256(self.experiment.label.encode()).hexdigest()
            self.record = self.record.model_copy(update={"state": State.COMPLETED})
            self._is_finished = True
        directory.record = self.record
        return self._is_finished

    def _exit(self, status: int) -> int:
        del self.witness.writers[self.experiment]
        return status

    def _needs_more_memory(self) -> bool:
        return _kilobytes(self.nature.memory) > _kilobytes(self.spec.resources.memory)


_LAST_SECONDS = 60
"""Between the record that says completed and the end of the job."""
_TRACEBACK = """\
Traceback (most recent call last):
  File "/home/user/kd_core/train.py", line 1, in train
    raise ValueError("broken")
ValueError: broken
"""


def _kilobytes(size: str) -> int:
    return in_kilobytes(size) or 0
