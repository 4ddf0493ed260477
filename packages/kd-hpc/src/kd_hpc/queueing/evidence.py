"""What run directories show beside their records: who claimed them, last words, teachers' weights, requests to stop."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

from kd_hpc import claim
from kd_hpc.disk.files import publish_bytes, read_tail
from kd_hpc.disk.sealed import known_object, object_bytes, read_archive
from kd_hpc.errors import Damaged, KdError
from kd_hpc.experiment import Experiment
from kd_hpc.planning.situation import Weights
from kd_hpc.queueing.job_notes import JobNotes
from kd_hpc.records import FileDigest
from kd_hpc.store import BEST, ERRORS, LOGS, Store, kept_checkpoint

CANCELLED = ".cancelled"
"""In a run directory: a person asked that this run be ended. The record says so once its job is gone."""
_TAIL_BYTES = 64 * 1024


class Evidence:
    """Evidence below `store`; what is known of weights is kept in `cache`, by size and time of the file.

    `notes`, of jobs, are beside it.
    """

    def __init__(self, store: Store, cache: Path) -> None:
        self._store = store
        self._cache_file = cache
        self.notes = JobNotes(cache.with_name("jobs"))
        self._cache: dict[str, Any] | None = None
        self._has_learned = False

    def owner_alive(self, experiment: Experiment) -> bool | None:
        """Whether the process that last claimed the run lives; None if there was none, or nobody can know from here."""
        try:
            owner = claim.owner(self._store.directory(experiment))
        except KdError:
            return None
        return owner.is_alive() if owner else None

    def last_words(self, run: str) -> tuple[str, str]:
        """The ends of stderr and stdout in the directory of the run with that label; empty where there is none."""
        return last_words(self._store.root / run)

    def folder_problem(self, run: str) -> str:
        """Why no job can write into the directory of the run with that label; empty if one can."""
        directory = self._store.root / run
        if not directory.is_dir():
            return f"{directory} is missing"
        return "" if os.access(directory, os.W_OK | os.X_OK) else f"{directory} may not be written"

    def is_cancelled(self, experiment: Experiment) -> bool:
        return (self._store.directory(experiment) / CANCELLED).exists()

    def weights(self, experiment: Experiment) -> Weights:
        """The run's best.pth. Looked through once for each size and time of the file."""
        path = self._store.directory(experiment) / BEST
        try:
            stat = path.stat()
        except OSError as error:
            return Weights(problem=f"{path}: {error.strerror}")
        key, version = str(experiment.path), [stat.st_size, stat.st_mtime_ns]
        known = self._known()
        if known.get(key, [])[:2] != version:
            weights = inspect_weights(path)
            if weights.problem:
                return weights
            known[key] = [*version, weights.sha256]
            self._has_learned = True
        return Weights(sha256=str(known[key][2]))

    def checkpoint_problem(self, experiment: Experiment, epoch: int) -> str:
        """Why no fork can begin with the checkpoint that the run kept after `epoch`; empty if one can."""
        path = self._store.directory(experiment) / kept_checkpoint(epoch)
        return "" if path.is_file() else f"{path} is missing, or may not be read"

    def keep(self) -> None:
        """Write down what was learned about weights, so that the next tick need not look again."""
        if self._has_learned:
            publish_bytes(self._cache_file, object_bytes({"weights": self._cache}))

    def _known(self) -> dict[str, Any]:
        if self._cache is None:
            kept = known_object(self._cache_file).get("weights")
            entries = kept.items() if isinstance(kept, dict) else ()
            self._cache = {run: entry for run, entry in entries if isinstance(entry, list) and len(entry) == 3}
        return self._cache


def last_words(directory: Path) -> tuple[str, str]:
    """The ends of what the jobs of a run wrote to stderr and stdout."""
    return _tail(directory / ERRORS), _tail(directory / LOGS)


def _tail(path: Path) -> str:
    try:
        return read_tail(path, _TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""


def inspect_weights(path: Path) -> Weights:
    """Whether torch could load `path`, as far as can be told without it: a whole zip archive with what torch needs."""
    try:
        content = read_archive(path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except OSError as error:
        return Weights(problem=f"{path}: {error.strerror}")
    except (Damaged, zipfile.BadZipFile) as error:
        return Weights(problem=f"{path} is no torch file: {error}")
    if not any(name.endswith("/data.pkl") for name in names):
        return Weights(problem=f"{path} is no torch file: it holds no data.pkl")
    return Weights(sha256=FileDigest.of(content).sha256)
