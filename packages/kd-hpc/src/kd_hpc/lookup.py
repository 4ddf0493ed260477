"""Which run is meant: by its path, a job id, a job's name or an attempt's token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.errors import KdError, UsageError
from kd_hpc.experiment import Experiment, parse_path
from kd_hpc.names import parse_job_name
from kd_hpc.records import StatusRecord
from kd_hpc.store import Store, Unreadable, read_record
from kd_hpc.workplace import remembered_campaigns


@dataclass(frozen=True)
class FoundRun:
    """`path` is relative to the experiments folder; `record` None if the run has none, perhaps not even a directory."""

    path: PurePosixPath
    record: StatusRecord | Unreadable | None

    @property
    def label(self) -> str:
        return str(self.path)

    @property
    def experiment(self) -> Experiment | None:
        """What the path says; None in the layout of earlier rounds, which does not say all."""
        try:
            return Experiment(**(parse_path(self.path) or {}))
        except (KdError, ValidationError):
            return None

    def require_experiment(self) -> Experiment:
        """Raises UsageError for a run of an earlier round."""
        if self.experiment is None:
            raise UsageError(f"{self.label} is a run of an earlier round: it can be read, not queued.")
        return self.experiment


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
        if any(wanted & {attempt.token, attempt.job_id, _number(attempt.job_id)} for attempt in attempts):
            return FoundRun(path, record)
    for path in _as_paths(store, text):
        if (planned := FoundRun(path, None)).experiment:
            return planned
    raise UsageError(
        f"No run in {store.root} is called {text!r}, and none has such a job or token.",
        remedy="All runs: kd-hpc status",
    )


def campaign_of(store: Store, experiment: Experiment | None, named: Path | None) -> tuple[Path, Campaign] | None:
    """The campaign file `named`, or the latest one queued here whose grid holds the run, with its campaign; or None."""
    if named is not None:
        return named, load_campaign(named)
    for path in remembered_campaigns(store.root):
        try:
            campaign = load_campaign(path)
        except KdError:
            continue
        if experiment in campaign.experiments():
            return path, campaign
    return None


def _number(job_id: str | None) -> str | None:
    """A job id without its server's name, as people type it."""
    return job_id.partition(".")[0] if job_id else None


def _as_paths(store: Store, text: str) -> list[PurePosixPath]:
    """`text` as a label, and as a path that leads into the experiments folder."""
    paths = [PurePosixPath(text.strip("/"))]
    whole, root = Path(text).absolute(), store.root.absolute()
    if whole.is_relative_to(root):
        paths.append(PurePosixPath(whole.relative_to(root)))
    return paths
