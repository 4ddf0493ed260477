"""site.toml: what is particular to a site or a person, such as the project code that pays for jobs.

It belongs into no campaign that others read, so git ignores it. It lies beside the campaign, in the folder above, or
where the command is typed, and a line of its [resources] counts where the campaign itself says nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kd_hpc.campaign_file.explain import explain
from kd_hpc.campaign_file.resources import PLACEHOLDER, Resources, plain_names
from kd_hpc.campaign_file.toml_text import MOST_BYTES, tables_of
from kd_hpc.disk.files import read_regular
from kd_hpc.errors import CampaignError
from kd_hpc.recipe import Strict

SITE = "site.toml"


class Site(Strict):
    """The whole file."""

    resources: Resources = Resources()


def site_resources(campaign: Path) -> dict[str, Any]:
    """The table [resources] of the site file for `campaign`, if there is one. Raises CampaignError."""
    places = (campaign.parent / SITE, campaign.parent.parent / SITE, Path(SITE))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    try:
        found = tables_of(read_regular(path.resolve(), MOST_BYTES))
        Site.model_validate(found)
    except OSError as error:
        raise CampaignError(f"{path} cannot be read: {error.strerror}.", remedy="Mend or remove it.") from None
    except ValidationError as error:
        raise explain(path, error, Site) from None
    except ValueError as error:
        raise CampaignError(f"{path} is not TOML: {error}.", remedy="Mend that line.") from None
    return plain_names(found.get("resources", {}))


def with_resources(tables: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, Any]:
    """A campaign's `tables` with resources of the `site` where the campaign itself says nothing about them."""
    ours = tables.get("resources", {})
    if not site or not isinstance(ours, dict):
        return dict(tables)
    known = {name: value for name, value in plain_names(ours).items() if value != PLACEHOLDER}
    return {**tables, "resources": {**ours, **{name: value for name, value in site.items() if name not in known}}}
