"""Campaigns whose round was closed: they are not begun anew by a command that somebody, or cron, only repeats."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.campaign import load_campaign
from kd_hpc.disk.sealed import read_object
from kd_hpc.errors import CampaignError, Damaged, StoreError, UsageError
from kd_hpc.queueing.changed_campaign import trained_otherwise
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.store import Store

JOURNAL = "closing.json"
"""In the folder of a closed round: which campaigns had runs in which folder, and when it was closed."""


def campaigns_queued(experiments: Path) -> list[str]:
    """The names of the campaigns that were queued into `experiments`."""
    return sorted(path.stem for path in remembered_campaigns(experiments))


def campaigns_with_runs(experiments: Path) -> list[str]:
    """Those of them that have runs there: a round that is closed is theirs, and no other campaign's."""
    store = Store(experiments)
    return sorted(path.stem for path in remembered_campaigns(experiments) if _has_runs(path, store))


def _has_runs(campaign_file: Path, store: Store) -> bool:
    try:
        campaign = load_campaign(campaign_file)
    except CampaignError:  # an earlier version's: nobody can know
        return True
    others = trained_otherwise(campaign, store)
    return any(store.read(run) is not None for run in campaign.experiments() if run not in others)


def require_open(campaign: str, campaign_file: Path, experiments: Path) -> None:
    """Raise UsageError if the round of `campaign` was closed and it was not begun anew in `experiments` since."""
    if campaign in campaigns_queued(experiments):
        return
    root = experiments.absolute().parent
    for journal in sorted(root.glob(f"analysis/experiment_*/{JOURNAL}")):
        closed = _read(journal)
        if campaign in closed.get("campaigns", "").split() and closed.get("experiments") == experiments.absolute().name:
            raise UsageError(
                f"The campaign {campaign} is closed: its runs are in {journal.parent.relative_to(root)}.",
                remedy=f"Give the next campaign another name; to train this one again, from epoch 0: "
                f"kd-hpc queue {campaign_file} --anew",
            )


def _read(journal: Path) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in read_object(journal).items()}
    except (OSError, Damaged) as error:
        raise StoreError(f"{journal} is unreadable: {error}.", remedy="Mend it or move it away.") from None
