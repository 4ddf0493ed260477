"""A simulated `kd-core train`: fenced by token and job id, one record an epoch, resumes from its checkpoint.

It does not take the owner lock that real trainers also take: what must hold is to hold without that fence. Only a job
that the server gave up while it lived can be told apart by no record; it is kept out by the fence of the directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from kd_hpc.claim import JobIdentity, require_recorded
from kd_hpc.errors import Superseded
from kd_hpc.experiment import Experiment
from kd_hpc.job_output import banner
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import JobSpec
from kd_hpc.schedulers.memory_sizes import in_kilobytes
from kd_hpc.simulation.disk import Disk, RunDirectory


class Violation(AssertionError):
    """Something happened that must never happen."""


@dataclass(frozen=True)
class Nature:
    """What a run is like: how long its epochs take, what memory it needs, and what is wrong with it.

    One that is broken takes its whole process down; one that `stops_at` an epoch is stopped there by its own watchdog.
    """

    epoch_seconds: float
    memory: str = "1gb"
    is_broken: bool = False
    stops_at: int | None = None


@dataclass
class Witness:
    """Who writes which run now, and how often runs were begun: the truth that records are compared with."""

    writers: dict[Experiment, str] = field(default_factory=dict)
    starts: int = 0
    ghosts: set[str] = field(default_factory=set)
    """Jobs that the server has given up, and that may live: they may be taken over, if then they write no more."""


@dataclass
class SimStudent:
    """One run of a process: what it is, where it stands, and its record as this process knows it."""

    experiment: Experiment
    nature: Nature
    record: StatusRecord
    epoch: int
    room: int
    is_open: bool = True
    """False once this process has written its last word about the run."""


class SimTrainer:
    """The process of one job, which trains the first of `runs` and those beside it."""

    def __init__(
        self,
        runs: Sequence[tuple[Experiment, Nature]],
        spec: JobSpec,
        epochs: int,
        disk: Disk,
        witness: Witness,
        clock: Callable[[], datetime],
    ) -> None:
        """`clock` is that of the node, which need not be the runner's."""
        self.clock = clock
        self.runs, self.spec, self.epochs = runs, spec, epochs
        self.disk, self.witness = disk, witness
        self.job_id = ""
        self.spare = 0.0
        self.students: list[SimStudent] = []

    @property
    def open_students(self) -> list[SimStudent]:
        return [student for student in self.students if student.is_open]

    def start(self) -> int | None:
        self._say(banner(self.spec.token))
        claimable = [(run, nature, record) for run, nature in self.runs if (record := self._claimable(run))]
        if not claimable:
            return 0
        run, _, record = claimable[0]
        if reason := self._teacher_problem(run, record):
            self._say(f"kd-core: {reason}")
            return 1
        for run, nature, record in claimable:
            self._claim(run, nature, record)
        return None

    def work(self, seconds: float) -> int | None:
        self._leave_what_was_taken_over()
        if not self.open_students:
            return 0
        if any(student.nature.is_broken for student in self.open_students):
            self._say(_TRACEBACK)
            return self._exit(1)
        if self._needs_more_memory():
            asked = self.spec.resources.memory
            self._say(f"=>> PBS: job killed: mem {_kilobytes(asked) + 9}kb exceeded limit {_kilobytes(asked)}kb")
            return self._exit(-27)
        self.spare += seconds
        self._train()
        if not self._unfinished():
            self._complete()
        return 0 if not self.open_students and self.spare > _LAST_SECONDS else None

    def killed(self, line: str) -> None:
        """Dead in the middle of an epoch, perhaps between a checkpoint and its record, or between those of two runs."""
        self._leave_what_was_taken_over()
        if not (students := self.open_students):
            return
        training = self._training()
        if training and self.spare > 0.9 * _epoch_seconds(training):
            for student in training[: len(training) // 2]:
                self._reach(student)
            behind = training[len(training) // 2]
            self.disk.run(behind.experiment).checkpoint = behind.epoch + 1
        self._say(line)
        for student in students:
            self._close(student)

    def _claimable(self, run: Experiment) -> StatusRecord | None:
        """The run's record, if this job is the one on it and it is not complete."""
        found = self.disk.run(run).record
        record = found if isinstance(found, StatusRecord) else None
        try:
            require_recorded(record, JobIdentity(self.spec.token, self.job_id))
        except Superseded as superseded:
            self._say(str(superseded))
            return None
        assert record is not None, "a recorded job has a record"
        return None if record.is_done else record

    def _teacher_problem(self, run: Experiment, record: StatusRecord) -> str:
        """What real trainers check before anything is written."""
        parent, teacher = run.parent, run.teacher_run
        if parent and not self.disk.run(run).checkpoint and self.disk.run(parent).checkpoint < run.first_epoch:
            if parent not in self.disk.purged:
                raise Violation(f"{run.label} was begun before its parent {parent.label} had kept its checkpoint")
            return f"The checkpoint that {parent.label} kept is gone."
        if teacher is None:
            return ""
        directory = self.disk.runs.get(teacher, RunDirectory())
        if not isinstance(directory.record, StatusRecord) or directory.record.state != State.COMPLETED:
            return f"The teacher {teacher.label} is not completed."
        if record.teacher_sha256 != directory.best_sha256:
            return f"{teacher.label}/best.pth is not the teacher this run was started with."
        return ""

    def _claim(self, run: Experiment, nature: Nature, record: StatusRecord) -> None:
        directory = self.disk.run(run)
        other = self.witness.writers.get(run)
        if other and not (self.disk.is_fenced and other in self.witness.ghosts):
            raise Violation(f"{run.label} is written by jobs {other} and {self.job_id} at once")
        if directory.best_sha256:
            raise Violation(f"{run.label} is complete and is trained again by job {self.job_id}")
        self.witness.writers[run] = self.job_id
        self.witness.starts += 1
        directory.checkpoint = max(directory.checkpoint, run.first_epoch)
        begun = max(record.progress, run.first_epoch)
        start = {"start_epoch": begun, "end_epoch": directory.checkpoint, "started_at": self.clock()}
        resumed = {"state": State.IN_PROGRESS, "epoch": directory.checkpoint, "revision": record.revision + 1}
        directory.record = record.with_attempt(**start).model_copy(update=resumed)
        room = self.disk.take_over(run)
        self.students.append(SimStudent(run, nature, directory.record, directory.checkpoint, room))

    def _train(self) -> None:
        """Spend the time there is on epochs; those behind go first until all are level."""
        while (students := self._training()) and self.spare >= _epoch_seconds(students):
            self.spare -= _epoch_seconds(students)
            for student in students:
                if student.nature.stops_at == student.epoch + 1:
                    self._stop(student)
                else:
                    self._reach(student)

    def _stop(self, student: SimStudent) -> None:
        """By its own watchdog; there is no clock in here, so that its attempt ends when it was submitted."""
        attempt = student.record.attempt
        student.record = student.record.with_attempt(ended_at=attempt.submitted_at if attempt else None)
        remedy = f"kd-hpc retry {student.experiment.label}"
        self._write(student, state=State.FAILED, reason="its watchdog stopped it", remedy=remedy)
        self._close(student)

    def _training(self) -> list[SimStudent]:
        unfinished = self._unfinished()
        return [student for student in unfinished if student.epoch == min(other.epoch for other in unfinished)]

    def _unfinished(self) -> list[SimStudent]:
        return [student for student in self.open_students if student.epoch < self.epochs]

    def _complete(self) -> None:
        """One run after the other, for as long as there is time: a kill may come between two."""
        for student in self.open_students:
            if student is not self.students[0] and self.spare < _LAST_SECONDS:
                return
            self.disk.run(student.experiment).best_sha256 = sha256(student.experiment.label.encode()).hexdigest()
            self._write(student, state=State.COMPLETED)
            self._close(student)
            self.spare -= 0 if student is self.students[0] else _LAST_SECONDS

    def _reach(self, student: SimStudent) -> None:
        """Publish the student's next epoch."""
        student.epoch += 1
        self.disk.run(student.experiment).checkpoint = student.epoch
        student.record = student.record.with_attempt(end_epoch=student.epoch)
        self._write(student, epoch=student.epoch, acc_last=90.0)

    def _write(self, student: SimStudent, **changes: object) -> None:
        if self.witness.writers.get(student.experiment) != self.job_id:
            raise Violation(f"job {self.job_id} writes {student.experiment.label}, which it has left")
        student.record = student.record.model_copy(update={"revision": student.record.revision + 1, **changes})
        self.disk.run(student.experiment).record = student.record

    def _leave_what_was_taken_over(self) -> None:
        """The fence: its first write after somebody took a run over fails, and it leaves that run as it is."""
        for student in self.open_students:
            if not self.disk.is_owned_by(student.experiment, student.room):
                self._close(student)

    def _close(self, student: SimStudent) -> None:
        student.is_open = False
        if self.witness.writers.get(student.experiment) == self.job_id:
            del self.witness.writers[student.experiment]

    def _exit(self, status: int) -> int:
        for student in self.open_students:
            self._close(student)
        return status

    def _needs_more_memory(self) -> bool:
        most = max(_kilobytes(student.nature.memory) for student in self.open_students)
        return most > _kilobytes(self.spec.resources.memory)

    def _say(self, text: str) -> None:
        """On stderr, which is in the directory of the run that leads the job."""
        self.disk.run(self.runs[0][0]).stderr += f"{text}\n" if text else ""


_LAST_SECONDS = 60
"""Between the record that says completed and the end of the job, or the next run's."""
_TOGETHER = 0.6
"""What a student costs among others, as a part of what it costs alone."""
_TRACEBACK = """\
Traceback (most recent call last):
  File "/home/user/kd_core/training/loop.py", line 1, in train
    raise ValueError("broken")
ValueError: broken"""


def _epoch_seconds(students: Sequence[SimStudent]) -> float:
    alone = [student.nature.epoch_seconds for student in students]
    return max(max(alone), _TOGETHER * sum(alone))


def _kilobytes(size: str) -> int:
    return in_kilobytes(size) or 0
