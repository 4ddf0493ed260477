"""What git knows of a stretch of time: commits with what they say and where they changed something, by theme."""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

GIT_SECONDS = 120
_RECORD, _FIELD = "\x1e", "\x1f"
_FORMAT = f"{_RECORD}%H{_FIELD}%cI{_FIELD}%an{_FIELD}%s{_FIELD}%b{_FIELD}"
_THEMES = {
    "packages/kd-core": "Training and methods",
    "packages/kd-hpc": "Getting runs onto the cluster",
    "packages/kd-analysis": "Analysis and report",
    "campaigns": "Campaigns",
    "toolbox": "Set-up and daily tools",
    "constraints": "Set-up and daily tools",
    "benchmarks": "Measurements",
}
_BESIDE = {"tests": "Tests", "docs": "Documentation", ".": "Project files"}
"""Themes of a commit only if it changes nothing else: tests and pages go with what they test and describe."""
_TESTS = {f"tests/{name}": _THEMES[f"packages/kd-{name}"] for name in ("core", "hpc", "analysis")}
_EMPTY_WORDS = re.compile(
    r"(?:wip|fix(?:e[sd])?|bug|updates?|updated|changes?|misc|minor|stuff|typos?|tmp|temp|save|work|progress|more|code"
    r"|clean(?:up|ed)?|refactor(?:ing)?|tests?|files?|final|again|the|some|and|up|a|of|in)\b[\s.,!:-]*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Refused:
    """Git's own words when it would not tell its history."""

    words: str


@dataclass(frozen=True)
class Commit:
    """`lines` are those added or removed, by path; binary files count none."""

    digest: str
    moment: datetime
    author: str
    subject: str
    body: str
    lines: dict[str, int]

    @property
    def weight(self) -> int:
        return sum(self.lines.values())

    @property
    def says_something(self) -> bool:
        """False for a subject such as "wip" or "fix bug", without a body: nobody can learn from it why."""
        return bool(self.body) or len(_EMPTY_WORDS.sub("", self.subject).split()) >= 2

    @property
    def theme(self) -> str:
        """Where most of it happened."""
        weights: Counter[str] = Counter()
        beside: Counter[str] = Counter()
        for path, lines in self.lines.items():
            theme, is_beside = _theme(path)
            (beside if is_beside else weights)[theme] += lines + 1
        ranked = sorted((weights or beside).items(), key=lambda item: (-item[1], item[0]))
        return ranked[0][0] if ranked else "Project files"

    @property
    def reason(self) -> str:
        """The first paragraph of the body; empty where there is none."""
        return " ".join(self.body.split("\n\n")[0].split())


def read_history(repository: Path, start: datetime, end: datetime) -> list[Commit] | Refused:
    """Commits of the current branch from `start` until before `end`, oldest first; or why git gave none.

    Merges are left out: what they bring is told by its own commits.
    """
    words = ["git", "-C", str(repository), "-c", "core.quotepath=off", "-c", "log.showSignature=false", "log"]
    words += ["--no-merges", "--no-renames", "--no-color", "--numstat", f"--format={_FORMAT}"]
    words += [f"--since={start.isoformat()}", f"--until={end.isoformat()}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=GIT_SECONDS)
    except OSError as error:
        return Refused(f"git cannot be started: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Refused(f"git did not answer within {GIT_SECONDS} seconds")
    if done.returncode:
        return Refused(" ".join(done.stderr.split()) or f"git ended with {done.returncode}")
    commits = [_commit(text) for text in done.stdout.split(_RECORD)[1:]]
    return sorted((c for c in commits if start <= c.moment < end), key=lambda c: (c.moment, c.digest))


def by_theme(commits: Iterable[Commit]) -> list[tuple[str, list[Commit]]]:
    """Themes, the largest first."""
    groups: dict[str, list[Commit]] = defaultdict(list)
    for commit in commits:
        groups[commit.theme].append(commit)
    return sorted(groups.items(), key=lambda item: (-sum(c.weight for c in item[1]), item[0]))


def areas(commits: Iterable[Commit], most: int = 4) -> list[str]:
    """The modules and folders where most lines changed; tests and pages only where nothing else did."""
    inside: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    for commit in commits:
        for path, lines in commit.lines.items():
            (beside if _theme(path)[1] else inside)[_area(PurePosixPath(path))] += lines
    ranked = sorted((inside or beside).items(), key=lambda item: (-item[1], item[0]))
    return [name for name, _ in ranked[:most]]


def _commit(text: str) -> Commit:
    digest, moment, author, subject, body, numbers = text.split(_FIELD, 5)
    lines = {}
    for row in filter(None, numbers.splitlines()):
        added, removed, path = row.split("\t", 2)
        lines[path] = sum(int(count) for count in (added, removed) if count.isdigit())
    return Commit(digest, datetime.fromisoformat(moment), author, subject, body.strip(), lines)


def _theme(path: str) -> tuple[str, bool]:
    """The theme of a path, and whether it only goes along with others."""
    top = path.split("/")[0] if "/" in path else "."
    if top in _BESIDE or top.startswith("."):
        tested = next((theme for prefix, theme in _TESTS.items() if path.startswith(prefix + "/")), None)
        return tested or _BESIDE.get(top, "Project files"), True
    return next((theme for prefix, theme in _THEMES.items() if path.startswith(prefix + "/")), top), False


def _area(path: PurePosixPath) -> str:
    """A module's name or its folder's, without the levels every module has in common."""
    parts = path.parts[4:] if path.parts[:1] == ("packages",) and len(path.parts) > 4 else path.parts
    if len(parts) > 2:
        return "/".join(parts[:2])
    return "/".join((*parts[:-1], PurePosixPath(parts[-1]).stem))
