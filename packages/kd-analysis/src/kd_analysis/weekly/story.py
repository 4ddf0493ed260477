"""What a week's page is made of: git history, what runs did, and the forecast."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from kd_analysis.reading.runs_table import Tree
from kd_analysis.weekly.activity import Activity, activity
from kd_analysis.weekly.git_history import Commit, Refused, by_theme, read_history


@dataclass(frozen=True)
class Week:
    """Days from `first` to `last`, both included, in UTC; the week before is as long."""

    first: date
    last: date

    @property
    def span(self) -> tuple[datetime, datetime]:
        return _midnight(self.first), _midnight(self.last + timedelta(days=1))

    @property
    def before(self) -> Week:
        days = (self.last - self.first).days + 1
        return Week(self.first - timedelta(days=days), self.first - timedelta(days=1))


@dataclass(frozen=True)
class Story:
    """Everything the text is made of. Commits are git's own words where it refuses; `tree` is None without runs.

    `forecast` is what kd-hpc forecast printed, or a sentence why there is none.
    """

    week: Week
    commits: list[Commit] | Refused
    commits_before: list[Commit] | Refused
    tree: Tree | None
    now: Activity
    then: Activity
    forecast: dict[str, Any] | str

    def as_json(self) -> dict[str, Any]:
        found = {"first": str(self.week.first), "last": str(self.week.last), "forecast": self.forecast}
        commits = [] if isinstance(self.commits, Refused) else self.commits
        themes = {theme: [commit.subject for commit in group] for theme, group in by_theme(commits)}
        return {**found, "themes": themes, "this_week": asdict(self.now), "last_week": asdict(self.then)}


def tell(week: Week, repository: Path, tree: Tree | None, forecast: dict[str, Any] | str) -> Story:
    """Read the history of `repository` and the records of `tree`."""
    runs = [item.run for item in tree.runs] if tree else []
    return Story(
        week,
        read_history(repository, *week.span),
        read_history(repository, *week.before.span),
        tree,
        activity(runs, *week.span),
        activity(runs, *week.before.span),
        forecast,
    )


def ask_forecast(campaign: Path | None, experiments: Path) -> dict[str, Any] | str:
    """What `kd-hpc forecast` says of the campaign, or a sentence why nothing can be said."""
    if campaign is None:
        return "Name the campaign file (--campaign): without it nothing is known of what is planned."
    program = Path(sys.executable).with_name("kd-hpc")
    words = [str(program) if program.exists() else "kd-hpc", "forecast", str(campaign), "--json"]
    try:
        done = subprocess.run([*words, "--experiments", str(experiments)], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"There is no forecast: {error}."
    if done.returncode:
        return f"There is no forecast: {done.stderr.strip() or f'kd-hpc forecast ended with {done.returncode}'}"
    return dict(json.loads(done.stdout))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
