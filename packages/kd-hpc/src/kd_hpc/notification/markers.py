"""Which events were told, as one file a try: made by exactly one of many, true after any kill."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kd_hpc.disk.files import publish_text, read_regular
from kd_hpc.disk.process import ProcessIdentity
from kd_hpc.errors import StoreError
from kd_hpc.notification.events import Event

MOST_TRIES = 3
"""So often a command may fail before an event is given up."""


class Stage(StrEnum):
    CLAIMED = "claimed"
    """Somebody is about to call the command, and has not."""
    CALLING = "calling"
    """It was begun: from here on it may have told."""
    TOLD = "told"
    FAILED = "failed"
    """It surely told nothing: it could not be run, or said so by its exit status."""


class Marker(BaseModel):
    """One try to tell one event."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    process: ProcessIdentity
    at: datetime
    title: str
    said: str = ""


class Markers:
    """The markers in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, event: Event) -> Path | None:
        """The marker of a new try, which is this process's alone; None if there is nothing left to tell.

        A try that was begun counts as told, whatever became of it; one that was only claimed by a process that is gone
        is taken over.
        """
        tries = self._tries(event.name)
        number = len(tries) + 1
        if tries:
            last = _read(tries[-1])
            open_again = last is not None and (
                last.stage == Stage.FAILED or (last.stage == Stage.CLAIMED and last.process.is_alive() is False)
            )
            if not open_again or number > MOST_TRIES:
                return None
        path = self._folder / f"{event.name}.{number}"
        return path if self._create(path, _marker(event, Stage.CLAIMED)) else None

    def note(self, path: Path, event: Event, stage: Stage, said: str = "") -> None:
        """Write down how far the try at `path` is."""
        publish_text(path, _marker(event, stage, said).model_dump_json(indent=2))

    def forget_others(self, kinds: Collection[str], lasting: Collection[str]) -> None:
        """Remove what was told of things of these kinds that are over; should they come back, they are told anew."""
        for path in list(self._all()):
            name = path.name.rpartition(".")[0]
            if name.rpartition("-")[0] in kinds and name not in lasting:
                path.unlink(missing_ok=True)

    def _tries(self, name: str) -> list[Path]:
        return sorted(path for path in self._all() if path.name.rpartition(".")[0] == name)

    def _all(self) -> Iterator[Path]:
        yield from (path for path in self._folder.glob("*.[0-9]") if not path.name.startswith("."))

    def _create(self, path: Path, marker: Marker) -> bool:
        """Make `path` with its whole content in one step; False if somebody else was first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        publish_text(draft, marker.model_dump_json(indent=2))
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            raise StoreError(f"{path} cannot be made: {error.strerror}.") from error
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
        return True


def _marker(event: Event, stage: Stage, said: str = "") -> Marker:
    return Marker(stage=stage, process=ProcessIdentity.current(), at=datetime.now(UTC), title=event.title, said=said)


def _read(path: Path) -> Marker | None:
    try:
        return Marker.model_validate_json(read_regular(path))
    except (OSError, ValidationError):
        return None
