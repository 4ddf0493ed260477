"""Which run is meant: by its path, a job id, a job's name or an attempt's token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kd_hpc.errors import UsageError
from kd_hpc.experiment import parse_path
from kd_hpc.names import parse_job_name
from kd_hpc.records import StatusRecord
from kd_hpc.store import Store, Unreadable, read_record


@dataclass(frozen=True)
class FoundRun:
    """`path` is relative to the experiments folder; `record` None if the run has none."""

    path: PurePosixPath
    record: StatusRecord | Unreadable | None

    @property
    def label(self) -> str:
        return str(self.path)


def find_run(store: Store, text: str) -> FoundRun:
    """The run that `text` names. Raises UsageError if none does."""
    for path in _as_paths(store, text):
        if parse_path(path) is not None and (store.root / path).is_dir():
            return FoundRun(path, read_record(store.root / path))
    name = parse_job_name(text)
    wanted = {text, name.token} if name else {text}
    for path in store.run_directories():
        record = read_record(store.root / path)
        attempts = record.attempts if isinstance(record, StatusRecord) else ()
        if any(wanted & {attempt.token, attempt.job_id} for attempt in attempts):
            return FoundRun(path, record)
    raise UsageError(
        f"No run in {store.root} is called {text!r}, and none has such a job or token.",
        remedy="All runs: kd-hpc status",
    )


def _as_paths(store: Store, text: str) -> list[PurePosixPath]:
    """`text` as a label, and as a path that leads into the experiments folder."""
    paths = [PurePosixPath(text.strip("/"))]
    whole, root = Path(text).absolute(), store.root.absolute()
    if whole.is_relative_to(root):
        paths.append(PurePosixPath(whole.relative_to(root)))
    return paths
