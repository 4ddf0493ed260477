"""Which run is meant: by its path, a job id, a job's name or an attempt's token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.errors import KdError, UsageError
from kd_hpc.experiment import Experiment, experiment_at, parse_path
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.schedulers.job_names import parse_job_name
from kd_hpc.store import Store, Unreadable, read_record


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
        return experiment_at(self.label)

    def require_experiment(self) -> Experiment:
        """Raises UsageError for a run of an earlier round."""
        if self.experiment is None:
            raise UsageError(f"{self.label} is a run of an earlier round: it can be read, not queued.")
        return self.experiment


def find_run(store: Store, text: str) -> FoundRun:
    """The run that `text` names; of a job that several share, the one that leads it. Raises UsageError if none does."""
    return find_runs(store, text)[0]


def find_runs(store: Store, text: str) -> list[FoundRun]:
    """The run at the path `text`, or every run that the job `text` trains or trained, the one that leads it first.

    Raises UsageError if there is none.
    """
    for path in _as_paths(store, text):
        if parse_path(path) is not None and (store.root / path).is_dir():
            return [FoundRun(path, read_record(store.root / path))]
    if sharing := sorted(_runs_of_job(store, text), key=lambda found: found[0]):
        return [run for _, run in sharing]
    for path in _as_paths(store, text):
        if (planned := FoundRun(path, None)).experiment:
            return [planned]
    raise UsageError(
        f"No run in {store.root} is called {text!r}, and none has such a job or token.",
        remedy="All runs: kd-hpc status",
    )


def _runs_of_job(store: Store, text: str) -> Iterator[tuple[int, FoundRun]]:
    """Runs with their places in the job that `text` names by id, number, name or token."""
    for path in store.run_directories():
        record = read_record(store.root / path)
        attempts = record.attempts if isinstance(record, StatusRecord) else ()
        for attempt in attempts:
            if is_called(attempt, text):
                labels = attempt.runs or ()
                yield labels.index(str(path)) if str(path) in labels else 0, FoundRun(path, record)
                break


def is_called(attempt: Attempt, text: str) -> bool:
    """True if `text` names the attempt's job: by id, number, name or token."""
    name = parse_job_name(text)
    return bool({text, name.token if name else text} & {attempt.token, attempt.job_id, _number(attempt.job_id)})


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
