"""The week on one page of Markdown: its story, numbers against the week before, what finished, three next steps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from statistics import fmean
from typing import Any

from kd_analysis.accuracy.names import method_order, show_alpha, show_method
from kd_analysis.reading.jobs import of_jobs
from kd_analysis.reading.runs_table import Tree
from kd_analysis.report.markdown import escape
from kd_analysis.weekly.activity import Activity, undated
from kd_analysis.weekly.git_history import Commit, Refused, areas, by_theme
from kd_analysis.weekly.story import Story
from kd_hpc.triage.run_directory import Identity
from kd_hpc.triage.verdict import Verdict

THEMES, COMMITS, DEATHS, ROWS, STEPS, WORDS = 3, 2, 4, 12, 3, 30
"""The most of each that fit a page."""


def as_markdown(story: Story) -> str:
    parts = [f"# Week of {story.week.first} to {story.week.last}", ""]
    parts += [*_story(story), "", "## Against the week before", "", *_numbers(story), ""]
    if rows := list(_finished(story)):
        parts += ["## What finished", "", *rows, ""]
    parts += ["## Next", "", *_steps(story)]
    return "\n".join(parts).rstrip() + "\n"


def _story(story: Story) -> Iterator[str]:
    """Paragraphs: the work and why, what ran, what died and what was done about it."""
    yield from _work(story.commits)
    yield ""
    yield " ".join(_ran(story))
    if story.now.deaths or story.now.given_up:
        yield ""
        yield from _failed(story.now)


def _work(commits: Sequence[Commit] | Refused) -> Iterator[str]:
    if isinstance(commits, Refused):
        yield f"Of the work itself nothing can be said: {escape(commits.words)}."
        return
    if not commits:
        yield "There was no commit this week."
        return
    themes = by_theme(commits)
    shares = [f"{escape(theme)} ({_count(len(group), 'commit')})" for theme, group in themes[:THEMES]]
    more = [_count(len(themes) - THEMES, "more theme")] if len(themes) > THEMES else []
    yield f"The work went into {_listed([*shares, *more])}:"
    yield ""
    for theme, group in themes[:THEMES]:
        yield f"- **{escape(theme)}.** {' '.join(_told(group))}"


def _told(group: Sequence[Commit]) -> Iterator[str]:
    """The weightiest commits that say something, in the order they came; then where the others were."""
    telling = [commit for commit in group if commit.says_something]
    chosen = sorted(telling, key=lambda commit: (-commit.weight, commit.digest))[:COMMITS]
    for commit in (commit for commit in group if commit in chosen):
        subject = escape(commit.subject).rstrip(".")
        yield f"{subject}: {escape(_first_sentence(commit.reason))}" if commit.reason else f"{subject}."
    if rest := [commit for commit in group if commit not in chosen]:
        silent = sum(not commit.says_something for commit in rest)
        why = f", {silent} without a word why" if silent else ""
        yield f"And {_count(len(rest), 'other')} in {escape(_listed(areas(rest, 2)))}{why}."


def _first_sentence(text: str) -> str:
    """As far as a page has room for it."""
    words = text.split(". ")[0].rstrip(".").split()
    return " ".join(words[:WORDS]) + (" …" if len(words) > WORDS else ".")


def _ran(story: Story) -> Iterator[str]:
    if story.tree is None:
        yield "There are no runs here."
        return
    now = story.now
    jobs = of_jobs(len(now.started), now.jobs_started)
    once = ", those of a shared job once" if jobs else ""
    yield (
        f"{_count(len(now.started), 'attempt')} of {_count(len(set(now.started)), 'run')} started{jobs}; "
        f"{_count(len(now.completed), 'run')} completed; {now.hours:.1f} hours of work{once}."
    )
    states = Counter(item.run.state.replace("_", " ") for item in story.tree.runs)
    planned = f" of {len(story.tree.expected)} planned" if story.tree.expected else ""
    yield f"The tree now holds {_count(len(story.tree.runs), 'run')}{planned}: {_causes(states) or 'none'}."
    if old := undated([item.run for item in story.tree.runs]):
        yield f"{_count(len(old), 'run')} with results carry no date: no week can claim them."


def _failed(now: Activity) -> Iterator[str]:
    if now.deaths:
        jobs = of_jobs(len(now.deaths), now.jobs_died)
        yield f"{_count(len(now.deaths), 'attempt')}{jobs} ended early: {_causes(now.causes)}."
        yield ""
    for death in now.deaths[:DEATHS]:
        yield f"- {escape(death.run)}: {escape(death.detail)}; {escape(death.answer)}."
    if len(now.deaths) > DEATHS:
        answers = Counter(death.answer.split(",")[0] for death in now.deaths[DEATHS:])
        yield f"- And {len(now.deaths) - DEATHS} more: {_causes(answers)}."


def _numbers(story: Story) -> Iterator[str]:
    yield "| | this week | week before |"
    yield "|---|---|---|"
    of_activity: dict[str, Callable[[Activity], object]] = {
        "attempts started": lambda each: f"{len(each.started)}{of_jobs(len(each.started), each.jobs_started)}",
        "runs completed": lambda each: len(each.completed),
        "attempts that ended early": lambda each: f"{len(each.deaths)}{of_jobs(len(each.deaths), each.jobs_died)}",
        "hours of work": lambda each: f"{each.hours:.1f}",
    }
    for name, of in of_activity.items():
        yield f"| {name} | {of(story.now)} | {of(story.then)} |"
    of_commits: dict[str, Callable[[Sequence[Commit]], int]] = {
        "commits": len,
        "lines changed": lambda group: sum(commit.weight for commit in group),
    }
    for name, count in of_commits.items():
        cells = ("" if isinstance(group, Refused) else count(group) for group in (story.commits, story.commits_before))
        yield f"| {name} | {' | '.join(map(str, cells))} |"


def _finished(story: Story) -> Iterator[str]:
    """Accuracy of the kinds of run that finished this week: never one mean over alphas, or of two networks."""
    if story.tree is None:
        return
    found = _kinds(story.tree, set(story.now.completed))
    if not found:
        return
    yield "Test accuracy after the last epoch, percent, of all sound runs of the kind so far:"
    yield ""
    yield "| data set | run | alpha | this week | n | mean | least to most |"
    yield "|---|---|---|---|---|---|---|"
    yield from islice((_row(*each) for each in found), ROWS)
    if len(found) > ROWS:
        yield ""
        yield f"And {len(found) - ROWS} more kinds of run: kd-analysis report has them all."


Kind = tuple[str, str, str]


def _kinds(tree: Tree, completed: set[str]) -> list[tuple[Kind, int, list[float]]]:
    teachers = {(item.run.identity.dataset, item.run.identity.teacher) for item in tree.runs}
    this_week: Counter[Kind] = Counter()
    accuracies: dict[Kind, list[float]] = defaultdict(list)
    order: dict[Kind, tuple[object, ...]] = {}
    for item in tree.runs:
        identity = item.run.identity
        kind = _kind(identity, teachers)
        order[kind] = (identity.dataset, not identity.is_pure, method_order(identity.method), kind)
        this_week[kind] += item.run.path in completed
        if item.usable:
            accuracies[kind].append(item.run.acc_last)
    return [(kind, this_week[kind], accuracies[kind]) for kind in sorted(order, key=order.get) if this_week[kind]]  # type: ignore[arg-type]


def _kind(identity: Identity, teachers: set[tuple[str, str | None]]) -> Kind:
    if identity.teacher is not None:
        return (identity.dataset, show_method(identity.method), show_alpha(identity.alpha))
    role = "teacher" if (identity.dataset, identity.student) in teachers else show_method(identity.method)
    return (identity.dataset, f"{role} {identity.student}", "")


def _row(kind: Kind, new: int, values: Sequence[float]) -> str:
    numbers = (f"{fmean(values):.2f}", f"{min(values):.2f} to {max(values):.2f}") if values else ("", "")
    return f"| {' | '.join(map(escape, kind))} | {new} | {len(values)} | {' | '.join(numbers)} |"


def _steps(story: Story) -> Iterator[str]:
    """The three things that matter most."""
    for number, step in enumerate(islice(_possible(story), STEPS), start=1):
        yield f"{number}. {step}"


def _possible(story: Story) -> Iterator[str]:
    for run, reason, remedy in story.now.given_up[:1]:
        more = f" (and {_count(len(story.now.given_up) - 1, 'more run')})" if len(story.now.given_up) > 1 else ""
        yield f"**{escape(run)}** needs you{more}: {escape(reason or 'no reason on record')}. {escape(remedy)}".rstrip()
    flagged = [i.run.path for i in story.tree.runs if i.verdict == Verdict.FLAGGED] if story.tree else []
    if flagged:
        yield f"Look at {_count(len(flagged), 'quarantined run')}: kd-analysis triage says why {escape(flagged[0])} is."
    yield _left(story.forecast)
    if story.now.completed:
        new = _count(len(story.now.completed), "new run")
        yield f"Read in the report what {new} changed: kd-analysis report EXPERIMENTS -o report."


def _left(found: dict[str, Any] | str) -> str:
    """What the forecast says is left."""
    if isinstance(found, str):
        return escape(found)
    name, outlook = escape(str(found.get("campaign", "The campaign"))), found.get("outlook")
    if outlook is not None:
        return (
            f"{name}: {_count(outlook['runs_left'], 'run')} left. By what was measured so far it takes "
            f"{_span(outlook['p50'])} more (even odds), {_span(outlook['p90'])} at nine in ten."
        )
    states = found.get("states", {})
    left = sum(count for state, count in states.items() if state not in ("completed", "suspect", "failed"))
    if not left:
        return f"{name}: nothing is left to train."
    return f"{name}: {_count(left, 'run')} left, and no epoch was measured yet."


def _causes(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {escape(name)}" for name, count in sorted(counts.items()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    if len(found) < 2:
        return "".join(found) or "no file"
    return f"{', '.join(found[:-1])} and {found[-1]}"


def _span(seconds: float) -> str:
    if seconds < 5400:
        return _count(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
