"""`kd-analysis weekly`: the story of the week."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer


def weekly(
    since: Annotated[str | None, typer.Option("--since", help="First day, YYYY-MM-DD.  [default: seven days]")] = None,
    repository: Annotated[Path, typer.Option("--repository", help="Where the work's git history is.")] = Path(),
    experiments: Annotated[Path, typer.Option("--experiments", help="Folder of runs.")] = Path("experiments"),
    campaign: Annotated[Path | None, typer.Option("--campaign", help="Campaign file, for what is next.")] = None,
    today: Annotated[str | None, typer.Option("--today", help="Last day, YYYY-MM-DD.  [default: today, UTC]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell a supervisor the week.

    What was worked on and why, what ran, what failed, numbers, what is next. From git history and the records; what
    neither says is not told.

    Example: kd-analysis weekly --campaign campaigns/charlie.toml

    From a day on: kd-analysis weekly --since 2026-11-01
    """
    from datetime import UTC, datetime, timedelta

    from kd_analysis.reading.runs_table import collect
    from kd_analysis.weekly.page import as_markdown
    from kd_analysis.weekly.story import Week, ask_forecast, tell
    from kd_hpc.campaign import load_campaign
    from kd_hpc.screen.terminal import print_json

    plan = load_campaign(campaign) if campaign else None
    last = _day(today) if today else datetime.now(UTC).date()
    week = Week(_day(since) if since else last - timedelta(days=6), last)
    _require_order(week.first <= week.last)
    tree = collect(experiments, plan) if experiments.is_dir() else None
    story = tell(week, repository, tree, ask_forecast(campaign, experiments))
    if as_json:
        print_json(story.as_json())
    else:
        print(as_markdown(story), end="")


def _day(text: str) -> date:
    from kd_hpc.errors import UsageError

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day.", remedy="Write it as 2026-11-23.") from None


def _require_order(ordered: bool) -> None:
    from kd_hpc.errors import UsageError

    if not ordered:
        raise UsageError("--since lies after the last day.", remedy="Name an earlier day.")
