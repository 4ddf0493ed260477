"""A campaign and what lies in its folder already: told, or refused, before anything is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.errors import CampaignError
from kd_hpc.experiment import Experiment
from kd_hpc.records import StatusRecord
from kd_hpc.store import Store

_NAMED = 3
"""Runs that a sentence names; of the others it tells the number."""


def trained_otherwise(campaign: Campaign, store: Store) -> dict[Experiment, str]:
    """The campaign's runs that were, or are being, trained with another recipe, each with the difference in words."""
    records = ((run, store.read(run)) for run in campaign.experiments())
    begun = [(run, record) for run, record in records if isinstance(record, StatusRecord) and _is_begun(record)]
    told = {run: campaign.recipe_for(run).differences(record.recipe, run.method) for run, record in begun}
    return {run: differs for run, differs in told.items() if differs}


def _is_begun(record: StatusRecord) -> bool:
    return bool(record.progress) or record.state.has_job


def require_own_recipe(campaign: Campaign, campaign_file: Path, store: Store) -> None:
    """Raise CampaignError where runs of the campaign have another recipe: another recipe is another run."""
    others = trained_otherwise(campaign, store)
    if not others:
        return
    named = [f"{run.label} ({differs})" for run, differs in others.items()]
    raise CampaignError(
        f"{campaign_file}: {_count(others)} of this campaign {'is' if len(others) == 1 else 'are'} in {store.root} "
        f"with another recipe: {_some(named)}.",
        remedy="Nothing was submitted. Close the round of those first: kd-hpc archive NAME --experiments "
        f"{store.root}; or keep both: kd-hpc queue {campaign_file} --experiments {campaign.name}",
    )


def changes(campaign: Campaign, remembered: Path, store: Store) -> Iterator[str]:
    """What the campaign plans otherwise than the file `remembered` when it was queued last, as sentences."""
    try:
        before = set(load_campaign(remembered).experiments())
    except CampaignError:  # there is none, or an earlier version's
        return
    planned = campaign.experiments()
    if new := [run.label for run in planned if run not in before]:
        yield f"New since {campaign.name} was queued last: {_count(new)}: {_some(new)}."
    if gone := before - set(planned):
        labels = sorted(run.label for run in gone)
        kept = sum(store.read(run) is not None for run in gone)
        stay = f"; {kept} of them on disk, where they stay" if kept else ""
        yield f"No longer planned by {campaign.name}: {_count(labels)}: {_some(labels)}{stay}."


def _count(runs: Sequence[object] | dict[Experiment, str]) -> str:
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
