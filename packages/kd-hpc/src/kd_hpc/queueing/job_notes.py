"""Facts about jobs that no record holds, each a small file: which were released, and which a person wants deleted.

FOLDER/released/JOB-ID   it, whose token is inside, was let go: should it be held again, a person did that
FOLDER/unwanted/JOB-ID   a job of no run that is to be deleted, with its name inside; asked for until it is gone
FOLDER/stuck.json        runs whose jobs do not go on by themselves, as the last round found them
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kd_hpc.disk.files import publish_bytes, read_regular
from kd_hpc.disk.sealed import known_object, object_bytes
from kd_hpc.schedulers.own_jobs import JobRef


class Stuck(NamedTuple):
    job_id: str
    says: str
    remedy: str


class JobNotes:
    def __init__(self, folder: Path) -> None:
        self._released, self._unwanted = folder / "released", folder / "unwanted"
        self._stuck = folder / "stuck.json"

    def released(self) -> frozenset[JobRef]:
        return frozenset(JobRef(note.name, _read(note)) for note in _notes(self._released))

    def note_released(self, jobs: Iterable[JobRef]) -> None:
        for job in jobs:
            _write(self._released / job.job_id, job.token.encode())

    def unwanted(self) -> tuple[JobRef, ...]:
        """Jobs to delete, by id and whole name: the id alone may be another's by now."""
        return tuple(JobRef(note.name, name) for note in _notes(self._unwanted) if (name := _read(note)))

    def want_deleted(self, job: JobRef) -> None:
        _write(self._unwanted / job.job_id, job.token.encode())

    def stuck(self) -> dict[str, Stuck]:
        """By the run's label."""
        try:
            found = known_object(self._stuck).get("runs", {})
            return {str(run): Stuck(*map(str, told)) for run, told in dict(found).items()}
        except (ValueError, TypeError):
            return {}

    def note_stuck(self, runs: Mapping[str, Stuck]) -> None:
        if runs != self.stuck():
            _write(self._stuck, object_bytes({"runs": dict(runs)}))

    def forget_all_but(self, job_ids: Collection[str]) -> None:
        """Remove what is noted of jobs other than `job_ids`, which are all there are."""
        for note in (*_notes(self._released), *_notes(self._unwanted)):
            if note.name not in job_ids:
                note.unlink(missing_ok=True)


def _notes(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError:
        return []


def _read(note: Path) -> str:
    with contextlib.suppress(OSError):
        return read_regular(note, 1024).decode(errors="replace").strip()
    return ""


def _write(note: Path, content: bytes) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    publish_bytes(note, content)
