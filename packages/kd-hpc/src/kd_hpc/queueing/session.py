"""Where commands work: a campaign, the experiments folder, its scheduler, and the runner that joins them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.campaign_file.site import SITE
from kd_hpc.campaign_file.toml_text import text_of
from kd_hpc.campaign_file.typed_settings import with_settings
from kd_hpc.disk.files import publish_bytes, read_regular
from kd_hpc.disk.sealed import seal_toml
from kd_hpc.errors import CampaignError
from kd_hpc.notification.notifier import Notifier
from kd_hpc.queueing.actions import Trainer
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import CONTROL, Runner
from kd_hpc.queueing.tick_report import Report
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.schedulers.registry import kind, make
from kd_hpc.store import Store

_CAMPAIGNS = "campaigns"


@dataclass(frozen=True)
class Session:
    """`campaign_file` is the file the campaign was read from, `settings` what was typed behind it."""

    campaign: Campaign
    campaign_file: Path
    store: Store
    scheduler: OwnJobs
    runner: Runner
    settings: tuple[str, ...] = ()

    @property
    def control(self) -> Path:
        return control_folder(self.store)

    def require_submittable(self) -> None:
        """Raise CampaignError if jobs cannot be submitted yet for want of a line only the user can write."""
        if line := kind(self.scheduler.kind).missing_line(self.campaign):
            missing = f"resources.{line.partition(' ')[0]} is not filled in"
            raise CampaignError(
                f"{self.campaign_file}: {missing}, and {self.scheduler.kind} takes no job without it.",
                remedy=f"Write your own under [resources] of {SITE}: {line}",
            )

    @cached_property
    def notifier(self) -> Notifier:
        return Notifier(self.campaign, self.store.root, self.control)

    def tell(self, report: Report) -> None:
        """Notify whom the campaign names of what a round found."""
        self.notifier.after_round(report.plan, failure=report.failure, is_known=report.silence is None)

    @property
    def remembered(self) -> Path:
        """Where the campaign's text is kept, as it was queued last."""
        return self.control / _CAMPAIGNS / f"{self.campaign.name}.toml"

    def remember_campaign(self) -> None:
        """Keep the campaign's text beside the runs, so that later commands need not be told which it was."""
        self.remembered.parent.mkdir(parents=True, exist_ok=True)
        text = with_settings(text_of(read_regular(self.campaign_file)), self.settings)
        publish_bytes(self.remembered, seal_toml(text.encode()))


def open_session(campaign_file: Path, experiments: Path, settings: Iterable[str] = ()) -> Session:
    """The session of the campaign in `campaign_file`. Writes nothing. Raises CampaignError, UsageError."""
    settings = tuple(settings)
    campaign, store = load_campaign(campaign_file, settings), Store(experiments)
    control = control_folder(store)
    scheduler = make(campaign, control)
    evidence = Evidence(store, control / "weights.json")
    data = Path(campaign.resources.data)
    runner = Runner(campaign, store, scheduler, evidence, Trainer(trainer(campaign), data))
    return Session(campaign, campaign_file, store, scheduler, runner, settings)


def control_folder(store: Store) -> Path:
    return store.root / CONTROL


def remembered_campaigns(experiments: Path) -> list[Path]:
    """The campaign files that were queued into `experiments`, the latest first."""
    files = (experiments / CONTROL / _CAMPAIGNS).glob("*.toml")
    return sorted(files, key=lambda file: (-file.stat().st_mtime_ns, file.name))


def find_campaign(campaign_file: Path | None, experiments: Path) -> Path:
    """`campaign_file`, or the one queued last. Raises CampaignError if there is none."""
    if campaign_file is not None:
        return campaign_file
    if known := remembered_campaigns(experiments):
        return known[0]
    raise CampaignError(
        f"No campaign was queued into {experiments} yet.", remedy="Name one: --campaign campaigns/NAME.toml"
    )


def trainer(campaign: Campaign) -> str:
    """The command that trains, in the environment that jobs use: the campaign's venv, or the one of this program."""
    if campaign.resources.venv:
        return str(Path(campaign.resources.venv).absolute() / "bin" / "kd-core")
    beside = Path(sys.executable).with_name("kd-core")
    return str(beside) if beside.exists() else "kd-core"
