"""A run as it was found, what names its jobs, and which campaign plans it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.errors import KdError, UsageError
from kd_hpc.experiment import Experiment, experiment_at
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.schedulers.job_names import parse_job_name
from kd_hpc.store import Store, Unreadable


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
