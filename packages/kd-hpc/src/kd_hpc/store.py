"""Run directories on disk: the only code that reads and writes status.json."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from kd_hpc.errors import FolderError, LaterRecord, RecordError, StoreError
from kd_hpc.experiment import Experiment, parse_path
from kd_hpc.files import publish_bytes, quarantine
from kd_hpc.records import StatusRecord, parse_record

STATUS = "status.json"
METRICS = "metrics.json"
CHECKPOINT = "checkpoint.pth"
BEST = "best.pth"
LAST = "last.pth"
REPRESENTATIONS = "representations.npz"
LOGS = "logs"
ERRORS = "errors"


@dataclass(frozen=True)
class Unreadable:
    """A run whose record exists and cannot be understood: nothing may be concluded, least of all that it is new."""

    path: Path
    reason: str
    is_damaged: bool = True
    """False if the file may be well, only not for us or not now: written by a later version, or a failing read."""


class Store:
    """The experiments folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, experiment: Experiment) -> Path:
        return self.root / experiment.path

    def read(self, experiment: Experiment) -> StatusRecord | Unreadable | None:
        """The run's record; None if it has none; Unreadable if it, or a quarantined predecessor, says nothing."""
        return read_record(self.directory(experiment))

    def write(self, experiment: Experiment, record: StatusRecord) -> StatusRecord:
        """Publish `record`, stamped with the present time; returns what was written. Creates the run directory."""
        directory = self.create(experiment)
        stamped = record.model_copy(update={"updated_at": datetime.now(UTC)})
        publish_bytes(directory / STATUS, stamped.model_dump_json(indent=2, exclude_none=True).encode())
        return stamped

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

    def quarantine_record(self, unreadable: Unreadable) -> Path | None:
        """Move an unreadable status.json aside, beside itself; the run stays Unreadable. None if done before."""
        return quarantine(unreadable.path, unreadable.reason) if unreadable.path.name == STATUS else None

    def run_directories(self) -> Iterator[PurePosixPath]:
        """Every directory below the root whose path is a run's, in sorted order, whatever it holds."""
        yield from sorted(_run_directories(self.root, PurePosixPath()))


def read_record(directory: Path) -> StatusRecord | Unreadable | None:
    """`Store.read` for any run directory, also one of an earlier layout."""
    path = directory / STATUS
    try:
        return parse_record(path.read_bytes())
    except FileNotFoundError:
        return _quarantined(directory)
    except LaterRecord as error:
        return Unreadable(path, str(error), is_damaged=False)
    except RecordError as error:
        return Unreadable(path, error.what)
    except OSError as error:
        return Unreadable(path, error.strerror or str(error), is_damaged=False)


def _quarantined(directory: Path) -> Unreadable | None:
    for reason in sorted(directory.glob(f"{STATUS}.quarantined.*.reason"), reverse=True):
        return Unreadable(reason, f"quarantined earlier: {reason.read_text(errors='replace').strip()}")
    return None


def _run_directories(root: Path, relative: PurePosixPath) -> Iterator[PurePosixPath]:
    if parse_path(relative) is not None:
        yield relative
    elif len(relative.parts) < 5 and (root / relative).is_dir():
        for entry in (root / relative).iterdir():
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _run_directories(root, relative / entry.name)
