"""Campaigns whose round was closed: they are not begun anew by a command that somebody, or cron, only repeats."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.errors import Damaged, StoreError, UsageError
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.sealed import read_object

JOURNAL = "closing.json"
"""In the folder of a closed round: which campaigns were queued into which folder, and when it was closed."""


def campaigns_queued(experiments: Path) -> str:
    """The names of the campaigns that were queued into `experiments`, for the journal."""
    return " ".join(sorted(path.stem for path in remembered_campaigns(experiments)))


def require_open(campaign: str, campaign_file: Path, experiments: Path) -> None:
    """Raise UsageError if the round of `campaign` was closed and it was not begun anew in `experiments` since."""
    if campaign in campaigns_queued(experiments).split():
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
