"""Run directories on disk: the only code that reads and writes status.json."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from kd_hpc import fence
from kd_hpc.disk.files import NOT_OURS, read_regular
from kd_hpc.disk.locks import MayTakeFrom, nobody
from kd_hpc.errors import FolderError, LaterRecord, RecordChanged, RecordError, StoreError
from kd_hpc.experiment import Experiment, parse_path
from kd_hpc.fence import Fence
from kd_hpc.records import SCHEMA_VERSION, StatusRecord, parse_record, sealed, to_bytes

STATUS = "status.json"
METRICS = "metrics.json"
CHECKPOINT = "checkpoint.pth"
BEST = "best.pth"
LAST = "last.pth"
REPRESENTATIONS = "representations.npz"
SHARED = "-"
"""In the names of files that students keep in their teacher's directory for each other, and in no other."""
LOGS = "logs"
ERRORS = "errors"
RUNNER = "kd-hpc"
"""The role of owners that only write a record, and need a moment for it."""
_MOST_RECORD = 16 << 20


def kept_checkpoint(epoch: int) -> str:
    """The file in which a run keeps its checkpoint after `epoch`, if its recipe asks for it."""
    return f"checkpoint_epoch_{epoch}.pth"


@dataclass(frozen=True)
class Unreadable:
    """A run whose record exists and cannot be understood: nothing may be concluded, least of all that it is new."""

    path: Path
    reason: str
    is_damaged: bool = True
    """False if the file may be well, only not for us or not now: written by a later version, or a failing read."""


@dataclass(frozen=True)
class OpenRun:
    """A run that this process owns; `fence` guards its directory, and raises Superseded once it is somebody else's."""

    experiment: Experiment
    fence: Fence

    @property
    def directory(self) -> Path:
        return self.fence.directory

    def read(self) -> StatusRecord | Unreadable | None:
        """As `Store.read`; no earlier owner can change it any more."""
        return read_record(self.directory)

    def write(self, record: StatusRecord) -> StatusRecord:
        """Publish `record`, stamped with the present time and the next revision; returns what was written.

        Raises RecordChanged unless the record on disk is the one that `record` was made from, and none where it was
        made from none; and where an attempt on record would be lost.
        """
        _require_successor(record, self.read(), self.directory)
        stamp = {
            "schema_version": SCHEMA_VERSION,
            "revision": record.revision + 1,
            "updated_at": datetime.now(UTC),
            "experiment": self.experiment,
        }
        stamped = sealed(record.model_copy(update=stamp))
        self.fence.publish(self.directory / STATUS, to_bytes(stamped))
        return stamped


class Store:
    """The experiments folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, experiment: Experiment) -> Path:
        return self.root / experiment.path

    def read(self, experiment: Experiment) -> StatusRecord | Unreadable | None:
        """The run's record; None if it has none; Unreadable if it, or a quarantined predecessor, says nothing."""
        return read_record(self.directory(experiment))

    @contextlib.contextmanager
    def opened(
        self, experiment: Experiment, *, token: str = "", role: str = "", may_take_from: MayTakeFrom = nobody
    ) -> Iterator[OpenRun]:
        """Own the run directory, made if missing, for the body. Raises LockHeld where somebody else may."""
        directory = self.create(experiment)
        with fence.opened(directory, token=token, role=role, may_take_from=may_take_from) as rights:
            yield OpenRun(experiment, rights)

    def write(
        self,
        experiment: Experiment,
        record: StatusRecord,
        *,
        may_take_from: MayTakeFrom = nobody,
        because: str = "",
    ) -> StatusRecord:
        """Own the run for as long as it takes to write `record`. Raises what `opened` and `OpenRun.write` do.

        Where an owner's end had to be assumed, the record says of whom, and `because` of what.
        """
        with self.opened(experiment, role=RUNNER, may_take_from=may_take_from) as run:
            doubtful = "; ".join(filter(None, (run.fence.bid.doubtful, because)))
            if run.fence.bid.doubtful and record.attempts:
                record = record.with_attempt(assumed_gone=doubtful)
            return run.write(record)

    def set_record_aside(
        self, experiment: Experiment, unreadable: Unreadable, *, may_take_from: MayTakeFrom = nobody
    ) -> Path | None:
        """Move an unreadable status.json aside, beside itself; the run stays Unreadable. None if done before."""
        if unreadable.path.name != STATUS:
            return None
        with self.opened(experiment, role=RUNNER, may_take_from=may_take_from) as run:
            return run.fence.set_aside(unreadable.path, unreadable.reason)

    def create(self, experiment: Experiment) -> Path:
        """The run directory, made if missing. Raises StoreError where that cannot be."""
        directory = self.directory(experiment)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The run directory {directory} cannot be made: {error.strerror}.",
                remedy="Name another folder with --experiments, or fix its permissions.",
            ) from error
        return directory

    def require_writable(self) -> None:
        """Raise FolderError, before anything is written, if runs cannot be kept here."""
        parent = next(path for path in (self.root, *self.root.absolute().parents) if path.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise FolderError(
                f"The experiments folder {self.root} cannot be written: {parent} is no folder you may write to.",
                remedy="Name another with --experiments, or fix its permissions.",
            )

    def run_directories(self) -> Iterator[PurePosixPath]:
        """Every directory below the root whose path is a run's, in sorted order, whatever it holds."""
        yield from sorted(_run_directories(self.root, PurePosixPath()))


def artefacts(directory: Path) -> list[Path]:
    """The curves, weights, checkpoints and arrays that a run left in its directory; not what others keep there."""
    found = (path for pattern in (METRICS, "*.pth", "*.npz") for path in directory.glob(pattern))
    return sorted(path for path in found if not path.name.startswith(".") and SHARED not in path.name)


def read_record(directory: Path) -> StatusRecord | Unreadable | None:
    """`Store.read` for any run directory, also one of an earlier layout."""
    path = directory / STATUS
    try:
        record = parse_record(read_regular(path, _MOST_RECORD))
    except FileNotFoundError:
        return _quarantined(directory)
    except LaterRecord as error:
        return Unreadable(path, str(error), is_damaged=False)
    except RecordError as error:
        return Unreadable(path, error.what)
    except OSError as error:
        return Unreadable(path, error.strerror or str(error), is_damaged=error.errno in NOT_OURS)
    return record if _belongs(record, directory) else Unreadable(path, f"it is the record of {_label(record)}")


def _belongs(record: StatusRecord, directory: Path) -> bool:
    """True if the record, from version 2 on, says that it is of the run in `directory`."""
    if record.schema_version < 2 or record.experiment is None:
        return True
    where = record.experiment.path.parts
    return directory.parts[-len(where) :] == where


def _label(record: StatusRecord) -> str:
    return record.experiment.label if record.experiment else "no run"


def _require_successor(record: StatusRecord, before: StatusRecord | Unreadable | None, directory: Path) -> None:
    if isinstance(before, Unreadable) and before.path.name == STATUS:
        raise RecordChanged(f"{before.path} is unreadable: {before.reason}.")
    origin = (before.revision, before.checksum) if isinstance(before, StatusRecord) else (0, None)
    if origin != (record.revision, record.checksum):
        raise RecordChanged(
            f"{directory / STATUS} is not the record that this one was made from: it has revision {origin[0]}, not "
            f"{record.revision}.",
            remedy="Nothing was written. Try again.",
        )
    if isinstance(before, StatusRecord) and (lost := before.attempts_lost_in(record)):
        raise RecordChanged(f"{directory / STATUS} would lose attempt {lost[0].number}: nothing was written.")


def _quarantined(directory: Path) -> Unreadable | None:
    for reason in sorted(directory.glob(f"{STATUS}.quarantined.*.reason"), reverse=True):
        return Unreadable(reason, f"quarantined earlier: {_text(reason)}")
    return None


def _text(path: Path) -> str:
    try:
        return read_regular(path).decode(errors="replace").strip()
    except OSError as error:
        return f"{path.name} says nothing: {error.strerror}"


def _run_directories(root: Path, relative: PurePosixPath) -> Iterator[PurePosixPath]:
    if parse_path(relative) is not None:
        yield relative
    elif len(relative.parts) < 5 and (root / relative).is_dir():
        for entry in (root / relative).iterdir():
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _run_directories(root, relative / entry.name)
