"""The story of a week for a supervisor: what was worked on and why, what ran, what failed, what is next. Markdown."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

from kd_analysis.reading.jobs import of_jobs
from kd_analysis.reading.runs_table import Tree
from kd_analysis.report.markdown import escape
from kd_analysis.weekly.activity import Activity, activity, undated
from kd_analysis.weekly.git_history import Commit, areas, by_theme, read_history

MOST_COMMITS, MOST_RUNS = 6, 8


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
    """Everything the text is made of. Commits are None where there is no git history; `tree` where there are no runs.

    `forecast` is what kd-hpc forecast printed, or a sentence why there is none.
    """

    week: Week
    commits: list[Commit] | None
    commits_before: list[Commit] | None
    tree: Tree | None
    now: Activity
    then: Activity
    forecast: dict[str, Any] | str

    def as_json(self) -> dict[str, Any]:
        found = {"first": str(self.week.first), "last": str(self.week.last), "forecast": self.forecast}
        themes = {theme: [commit.subject for commit in group] for theme, group in by_theme(self.commits or [])}
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
        return "No campaign file was named (--campaign), so nothing is known of what is planned."
    program = Path(sys.executable).with_name("kd-hpc")
    words = [str(program) if program.exists() else "kd-hpc", "forecast", str(campaign), "--json"]
    try:
        done = subprocess.run([*words, "--experiments", str(experiments)], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"There is no forecast: {error}."
    if done.returncode:
        return f"There is no forecast: {done.stderr.strip() or f'kd-hpc forecast ended with {done.returncode}'}"
    return dict(json.loads(done.stdout))


def as_markdown(story: Story) -> str:
    parts = [f"# Week of {story.week.first} to {story.week.last}", ""]
    for title, lines in (
        ("In short", _short(story)),
        ("What was worked on, and why", _work(story.commits)),
        ("What ran", _ran(story)),
        ("What failed, and what was done about it", _failed(story.now)),
        ("Against the week before", _numbers(story)),
        ("What is next", _next(story)),
    ):
        parts += [f"## {title}", "", *lines, ""]
    return "\n".join(parts).rstrip() + "\n"


def _short(story: Story) -> Iterator[str]:
    themes = [f'"{theme}"' for theme, _ in by_theme(story.commits or [])]
    work = f"The work went into {_listed(themes[:3])}." if themes else ""
    now = story.now
    died = f"{_count(len(now.deaths), 'attempt')}{of_jobs(len(now.deaths), now.jobs_died)}"
    ran = f"{_count(len(now.completed), 'run')} completed, {died} ended early"
    given_up = f", {_count(len(now.given_up), 'run')} given up" if now.given_up else ""
    yield f"{work} {ran}{given_up}.".strip()


def _work(commits: Sequence[Commit] | None) -> Iterator[str]:
    if commits is None:
        yield "No git history was found here: nothing can be said of the work itself."
        return
    if not commits:
        yield "No commit this week."
    for place, (theme, group) in enumerate(by_theme(commits)):
        if place:
            yield ""
        yield f"**{escape(theme)}.** {_count(len(group), 'commit')}, mostly in {escape(_listed(areas(group)))}:"
        yield ""
        yield from _told(group)


def _told(group: Sequence[Commit]) -> Iterator[str]:
    """The weightiest commits that say something, in the order they came; then what is left, and what says nothing."""
    telling = [commit for commit in group if commit.says_something]
    chosen = sorted(telling, key=lambda commit: (-commit.weight, commit.digest))[:MOST_COMMITS]
    for commit in (commit for commit in group if commit in chosen):
        yield f"- {escape(commit.subject)}" + (f". Why: {escape(commit.reason)}" if commit.reason else "")
    if len(telling) > len(chosen):
        yield f"- and {_count(len(telling) - len(chosen), 'smaller commit')}"
    silent = [commit for commit in group if not commit.says_something]
    if silent:
        quoted = ", ".join(sorted({f'"{escape(commit.subject)}"' for commit in silent})[:4])
        yield f"- {_count(len(silent), 'commit')} without a word why ({quoted}), in {escape(_listed(areas(silent)))}"


def _ran(story: Story) -> Iterator[str]:
    if story.tree is None:
        yield "There are no runs here."
        return
    now = story.now
    attempts, jobs = _count(len(now.started), "attempt"), of_jobs(len(now.started), now.jobs_started)
    once = ", those of a shared job once" if jobs else ""
    yield (
        f"{attempts} of {_count(len(set(now.started)), 'run')} started{jobs}; "
        f"{_count(len(now.completed), 'run')} completed; "
        f"{now.hours:.1f} hours of work on record{once}."
    )
    if old := undated([item.run for item in story.tree.runs]):
        yield f"{_count(len(old), 'run')} with results carry no date: no week can claim them."
    rows = list(_cells(story.tree, set(now.completed)))
    if rows:
        yield ""
        yield "Test accuracy after the last epoch, in percent, of completed runs with nothing grave against them:"
        yield ""
        yield "| data set | method | completed this week | counted so far | mean of those |"
        yield "|---|---|---|---|---|"
        yield from rows


def _cells(tree: Tree, completed: set[str]) -> Iterator[str]:
    this_week: Counter[tuple[str, str]] = Counter()
    accuracies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for item in tree.runs:
        kind = (item.run.identity.dataset, f"{item.run.identity.method}")
        this_week[kind] += item.run.path in completed
        if item.usable:
            accuracies[kind].append(item.run.acc_last)
    for kind, new in sorted(this_week.items()):
        found = accuracies[kind]
        if new:
            mean = f"{fmean(found):.2f}" if found else "none"
            yield f"| {escape(kind[0])} | {escape(kind[1])} | {new} | {len(found)} | {mean} |"


def _failed(now: Activity) -> Iterator[str]:
    if not now.deaths and not now.given_up:
        yield "Nothing on record."
    if now.deaths:
        jobs = of_jobs(len(now.deaths), now.jobs_died)
        yield f"{_count(len(now.deaths), 'attempt')}{jobs} ended early: {_causes(now.causes)}."
        yield ""
    for death in now.deaths[:MOST_RUNS]:
        yield f"- {escape(death.run)}: {escape(death.detail)}; {escape(death.answer)}"
    if len(now.deaths) > MOST_RUNS:
        answers = Counter(death.answer.split(",")[0] for death in now.deaths[MOST_RUNS:])
        yield f"- and {len(now.deaths) - MOST_RUNS} more: {_causes(answers)}"
    for run, reason, remedy in now.given_up:
        yield f"- **{escape(run)}** needs you: {escape(reason or 'no reason on record')}. {escape(remedy)}".rstrip()


def _numbers(story: Story) -> Iterator[str]:
    yield "| | this week | week before |"
    yield "|---|---|---|"
    for name, of in (
        ("attempts started", lambda found: f"{len(found.started)}{of_jobs(len(found.started), found.jobs_started)}"),
        ("runs completed", lambda found: len(found.completed)),
        (
            "attempts that ended early",
            lambda found: f"{len(found.deaths)}{of_jobs(len(found.deaths), found.jobs_died)}",
        ),
        ("hours of work on record", lambda found: f"{found.hours:.1f}"),
    ):
        yield f"| {name} | {of(story.now)} | {of(story.then)} |"
    for name, commits_of in (("commits", len), ("lines changed", lambda group: sum(c.weight for c in group))):
        cells = ("" if group is None else commits_of(group) for group in (story.commits, story.commits_before))
        yield f"| {name} | {' | '.join(map(str, cells))} |"
    if story.tree:
        yield ""
        states = Counter(item.run.state.replace("_", " ") for item in story.tree.runs)
        planned = f"; {len(story.tree.expected)} runs are planned" if story.tree.expected else ""
        yield f"As the records stand now: {_causes(states) or 'no run'}{planned}."


def _next(story: Story) -> Iterator[str]:
    found = story.forecast
    if isinstance(found, str):
        yield escape(found)
    elif (outlook := found.get("outlook")) is None:
        states = found.get("states", {})
        left = sum(count for state, count in states.items() if state not in ("completed", "suspect", "failed"))
        nothing = (
            "nothing is left to train" if not left else f"{_count(left, 'run')} left, and no epoch was measured yet"
        )
        yield f"{escape(str(found.get('campaign', 'The campaign')))}: {nothing}."
    else:
        yield (
            f"{escape(found['campaign'])}: {_count(outlook['runs_left'], 'run')} left. By what was measured so "
            f"far it takes {_span(outlook['p50'])} more (even odds), {_span(outlook['p90'])} at nine in ten."
        )
    waiting = [run for run, _, _ in story.now.given_up]
    if waiting:
        yield ""
        yield f"First: {_count(len(waiting), 'run')} above that cannot go on without you."


def _causes(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {escape(name)}" for name, count in sorted(counts.items()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names) or "no file"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _span(seconds: float) -> str:
    if seconds < 5400:
        return _count(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
