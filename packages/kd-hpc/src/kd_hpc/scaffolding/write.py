"""Writes the files of a new campaign, and never over one that is there."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from kd_hpc.campaign import Campaign
from kd_hpc.campaign_file.explain import explain
from kd_hpc.campaign_file.site import SITE
from kd_hpc.disk.files import publish_text
from kd_hpc.errors import CampaignError, FolderError, IdentityError, UsageError
from kd_hpc.scaffolding.campaign_text import campaign_text, project_text
from kd_hpc.scaffolding.site_text import EXAMPLE, SETTINGS, site_text
from kd_hpc.scaffolding.wishes import Wishes


def require_new(*paths: Path) -> None:
    """Raise UsageError where one of `paths` is taken."""
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} is there already, and stays as it is.", remedy="Move it away, or name another.")


def checked_text(wishes: Wishes, path: Path) -> str:
    """The campaign's text, known to be one. Raises CampaignError."""
    text = campaign_text(wishes, str(path))
    try:
        campaign = Campaign.model_validate(tomllib.loads(text))
        for experiment in campaign.experiments():
            experiment.require_known()
    except ValidationError as error:
        raise _said_otherwise(explain(path, error, Campaign)) from None
    except IdentityError as error:
        raise _said_otherwise(error) from None
    return text


def texts_of(wishes: Wishes, path: Path) -> dict[Path, str]:
    """The campaign's text, and where there is no site.toml yet one with the project code. Raises CampaignError."""
    site = Path(SITE)
    if not wishes.project or site.exists():
        return {path: checked_text(wishes, path)}
    checked_text(wishes, path)
    return {path: checked_text(replace(wishes, project=""), path), site: project_text(wishes)}


def _said_otherwise(error: UsageError) -> CampaignError:
    """As of words that were typed: there is no file yet to be mended."""
    to_mend = not error.remedy or error.remedy.startswith("Mend")
    return CampaignError(error.what, remedy="Say it otherwise: kd-hpc init --help" if to_mend else error.remedy)


def filled_in(login: str, folder: str, campaign: Path) -> str:
    """The laptop's settings. Raises UsageError where they make no sense, or outside of a clone."""
    try:
        example = Path(EXAMPLE).read_text(encoding="utf-8")
    except OSError:
        raise UsageError(f"There is no {EXAMPLE} here.", remedy="Type this in a clone of the project.") from None
    return site_text(example, login, folder, str(campaign))


def write_new(texts: dict[Path, str]) -> None:
    """Publish each, whole or not at all. Raises FolderError."""
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(
                f"{path.parent} cannot be made: {error.strerror}.", remedy="Name another file with -o."
            ) from None
        publish_text(path, text)


def settings_file() -> Path:
    return Path(SETTINGS)
