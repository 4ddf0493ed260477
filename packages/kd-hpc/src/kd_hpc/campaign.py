"""A campaign file: TOML -> Campaign -> the grid of Experiments. Strict: what it does not know it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from kd_hpc.campaign_file.design import Design
from kd_hpc.campaign_file.explain import explain, is_missing
from kd_hpc.campaign_file.resources import Resources
from kd_hpc.campaign_file.site import site_resources, with_resources
from kd_hpc.campaign_file.size import is_too_large
from kd_hpc.campaign_file.toml_text import MOST_BYTES, parse, text_of
from kd_hpc.campaign_file.typed_settings import with_settings
from kd_hpc.catalogue import DATASETS, SCHEDULERS
from kd_hpc.disk.files import read_regular
from kd_hpc.disk.sealed import require_toml
from kd_hpc.errors import CampaignError, Damaged, IdentityError
from kd_hpc.experiment import check_name
from kd_hpc.recipe import Strict

TEACHER, STUDENT = "teacher", "student"
"""Under which names `published` has the two pure networks."""

Percent = Annotated[float, Field(ge=0, le=100)]


class SchedulerSettings(Strict):
    """Which scheduler, and how many jobs of this user may be in it at most; fewer where its own limit is lower."""

    kind: str = "local"
    slots: int = Field(2, ge=1)

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SCHEDULERS:
            raise ValueError(f"no scheduler is called so; known: {', '.join(SCHEDULERS)}")
        return value


class Budgets(Strict):
    """When to stop trying."""

    deaths_without_progress: int = Field(3, ge=1)
    node_faults: int = Field(2, ge=1)


class OwnData(Strict):
    """A data set of one's own: files in a folder, which `kd-core data prepare` makes arrays of."""

    folder: str = Field(min_length=1)
    """A folder a class, below train/ and test/ or with `test_fraction`; or a published archive that holds less."""
    size: int = Field(32, ge=8, le=512, multiple_of=4)
    """Height and width of every image, in pixels."""
    test_fraction: float | None = Field(None, gt=0, lt=1)
    """Of one tree without train/ and test/: this share of each class is the test set."""
    mirrored: bool = True
    """Whether a mirrored image is still one of its class, so that augmentation may flip it."""
    skip_unreadable: bool = False
    """Leave files out that cannot be read, instead of refusing them all."""
    subset_of: str | None = None
    """The published data set whose archive, with fewer classes or images, `folder` holds or is."""


class AnalysisSettings(Strict):
    """What the report should take for granted; nothing here changes a run."""

    smallest_effect: float = Field(0.5, gt=0)
    """Percentage points of accuracy below which a difference is of no interest, whatever its sign."""


class Notify(Strict):
    """A command that is called with JSON on stdin when a person should know something: docs/guide/notifications.md"""

    command: tuple[str, ...] = Field(min_length=1)
    seconds: float = Field(30, gt=0, le=600)
    """How long it may take."""


class Campaign(Design):
    """Everything one round of experiments is: its design, what its jobs ask for and where they run."""

    name: str
    students_per_job: int = Field(1, ge=1)
    """So many distilled runs of one teacher may share a job, and its passes over the images and through the teacher."""
    data: dict[str, OwnData] = Field({})
    """Data sets of one's own, which are in no catalogue, by name."""
    resources: Resources = Resources()
    scheduler: SchedulerSettings = SchedulerSettings()
    budgets: Budgets = Budgets()
    analysis: AnalysisSettings = AnalysisSettings()
    notify: Notify | None = None
    published: dict[str, Percent] = Field({})
    """Test accuracies of others for just these runs, by method, and of "teacher" and "student": the report compares."""
    facts: dict[str, str] = Field({})
    """What the site says of itself, each with its source: for the methodology text, never used."""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        check_name("name", value)
        return value

    @model_validator(mode="after")
    def _compares_like_with_like(self) -> Self:
        known = (TEACHER, STUDENT, *self.methods)
        if self.published and (len(self.datasets) > 1 or len(self.alphas) > 1):
            raise ValueError("published is about one data set and one alpha: make a campaign of them")
        if stray := [name for name in self.published if name not in known]:
            raise ValueError(f"published.{stray[0]} is no run here; there are {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _names_its_own_data(self) -> Self:
        for name, own in self.data.items():
            check_name("data", name)
            if name in DATASETS:
                raise ValueError(f"data.{name}: {name} is a published data set; give yours another name")
            if name not in self.datasets:
                raise ValueError(f"data.{name} is not used: add {name!r} to datasets, or delete it")
            if own.subset_of is not None and own.subset_of not in DATASETS:
                raise ValueError(f"data.{name}.subset_of: {own.subset_of} is no published data set")
            if own.subset_of and (needless := own.model_fields_set & {"size", "test_fraction", "skip_unreadable"}):
                raise ValueError(f"data.{name}.{min(needless)}: an archive with subset_of is taken as it is; delete it")
        return self


def load_campaign(path: Path, settings: Iterable[str] = ()) -> Campaign:
    """The campaign in the TOML file `path`, with `settings` as typed, such as "recipe.lr=0.05".

    Raises CampaignError: file, field, remedy, in one sentence or two; UsageError for a setting that is none.
    """
    try:
        content = read_regular(path.resolve(), MOST_BYTES)
        require_toml(content)
        tables = parse(with_settings(text_of(content), settings))
        if excess := is_too_large(tables):
            raise CampaignError(f"{path}: {excess}.", remedy="Shorten its lists.")
        campaign = Campaign.model_validate(with_resources(tables, site_resources(path)))
        for experiment in campaign.experiments():
            experiment.require_known(campaign.data)
    except IsADirectoryError:
        raise CampaignError(f"{path} is a folder.", remedy="Name the campaign file in it.") from None
    except FileNotFoundError:
        raise is_missing(path) from None
    except OSError as error:
        raise CampaignError(
            f"{path} cannot be read: {error.strerror}.", remedy="Name an existing campaign file."
        ) from None
    except Damaged as error:
        remedy = "Name the campaign's own file; if you edited this copy of it, remove its last line."
        raise CampaignError(f"{path}: {error.what}.", remedy=remedy) from None
    except ValidationError as error:
        raise explain(path, error, Campaign) from None
    except ValueError as error:
        raise CampaignError(f"{path} is not TOML: {error}.", remedy="Mend that line.") from None
    except IdentityError as error:
        raise CampaignError(f"{path}: {error.what}", remedy=error.remedy or "Mend that field.") from None
    return campaign
