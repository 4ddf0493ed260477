"""Every error this project raises on purpose, in one tree.

    KdError                     exit 1   something failed
    ├── Interrupted             exit 130 Ctrl-C, with what is kept
    ├── UsageError              exit 2   what was typed or written cannot be meant
    │   ├── CampaignError                a campaign file, with its field
    │   ├── IdentityError                a name or a combination that is no experiment
    │   └── FolderError                  a folder that cannot be used, found before anything was done
    ├── StoreError              exit 1   a run directory cannot be read or written
    │   ├── RecordError                  a status record that is not one
    │   │   └── LaterRecord              one that a later version of this program wrote
    │   ├── RecordChanged                the record on disk is not the one that a new one was made from
    │   └── Damaged                      a file does not hold what was written into it
    ├── Superseded              exit 0   the run is somebody else's now: this process touches it no more
    ├── RunOwned                exit 75  a live process owns this run directory
    ├── LockHeld                exit 75  another process has the lock
    │   └── OwnerUnseen                  or had it, and nobody here can know whether it lives
    ├── SchedulerError          exit 1   a scheduler refused, and said why
    │   ├── SubmissionRefused            this submission surely created no job
    │   ├── SubmissionUncertain          this submission may have created one: look for its token, never repeat it
    │   └── SchedulerUnreachable exit 75 nothing can be known right now: try again
    ├── NotificationFailed      exit 1   the campaign's command to notify somebody failed
    └── TrainingError           exit 1   training cannot start or go on
        ├── DeviceError                  no usable device, or its memory is full
        ├── DataError                    a data set is missing or not the one expected
        ├── TeacherError                 the teacher is missing, unfinished, flagged or another one
        ├── CheckpointError              a checkpoint cannot be used
        ├── ShapeMismatch                tensors that a loss cannot compare (in kd_core.methods.base)
        └── WatchdogStop                 numbers went wrong: the run must not go on

A message has two parts: what happened and where, and what to type next.
"""

from __future__ import annotations

from typing import ClassVar


class KdError(Exception):
    """Base of all expected failures; `str()` gives both parts of the message."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what} {remedy}".strip())


class Interrupted(KdError):
    exit_code = 130


class UsageError(KdError):
    exit_code = 2


class CampaignError(UsageError):
    pass


class IdentityError(UsageError):
    pass


class FolderError(UsageError):
    pass


class StoreError(KdError):
    pass


class RecordError(StoreError):
    pass


class LaterRecord(RecordError):
    pass


class RecordChanged(StoreError):
    pass


class Damaged(StoreError):
    pass


class Superseded(KdError):
    exit_code = 0


class RunOwned(KdError):
    exit_code = 75


class LockHeld(KdError):
    exit_code = 75


class OwnerUnseen(LockHeld):
    pass


class SchedulerError(KdError):
    pass


class SubmissionRefused(SchedulerError):
    pass


class SubmissionUncertain(SchedulerError):
    pass


class SchedulerUnreachable(SchedulerError):
    exit_code = 75


class NotificationFailed(KdError):
    pass


class TrainingError(KdError):
    pass


class DeviceError(TrainingError):
    pass


class DataError(TrainingError):
    pass


class TeacherError(TrainingError):
    pass


class CheckpointError(TrainingError):
    pass


class WatchdogStop(TrainingError):
    pass
