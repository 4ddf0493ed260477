"""What PBS prints, read strictly: text -> jobs, ids, limits, nodes. Pure; a line that is not understood is said so.

Source of every form: recorded answers of OpenPBS 23.06 (tests/hpc/fixtures/pbs).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from kd_hpc.schedulers.base import Limits

JOB_ID = re.compile(r"[0-9]+(?:\[[0-9]*\])?\.[A-Za-z0-9][A-Za-z0-9.-]*")

_FOREIGN_ID = re.compile(r"[A-Za-z]?[0-9]\S*")
_HEADER = re.compile(r"^Job Id: (\S+)$")
_ATTRIBUTE = re.compile(r"^ {4,5}([A-Za-z_][A-Za-z0-9_.]*) = (.*)$")
_UNKNOWN_ID = re.compile(r"qstat: Unknown Job Id (\S+)")
_FINISHED = re.compile(r"qstat: (\S+) Job has finished\b.*")
_NO_HISTORY = re.compile(r"qstat: PBS is not configured to maintain job history\b ?(\S*)")
_NOT_HERE = re.compile(r"qstat: (?:illegally formed job identifier:|Unknown queue destination) (\S+)")
_UNKNOWN_QUEUE = re.compile(r"qstat: Unknown queue(?: destination)?\b.*")
_SUBMITTED = re.compile(r"^(\S+)\s*$")
_PER_USER = re.compile(r"\[?\s*([ugpo]):([^=\]]+?)\s*=\s*(\d+)\s*\]?")
_AWAY = ("down", "unknown", "stale", "unresolvable", "initializing")


@dataclass(frozen=True)
class Listing:
    """What `qselect` printed: ids of a form that ours have, and those of any other form."""

    ids: tuple[str, ...]
    foreign: tuple[str, ...]


@dataclass
class Complaints:
    """stderr of a qstat, sorted: every line is one of these kinds, or `unexplained`."""

    gone: dict[str, str] = field(default_factory=dict)
    not_here: dict[str, str] = field(default_factory=dict)
    without_history: bool = False
    unexplained: list[str] = field(default_factory=list)


def parse_jobs(stdout: str) -> dict[str, dict[str, str]]:
    """The records of `qstat -f`: by job id, its attributes as printed, continuation lines joined.

    A last record that was cut off in the middle of a line is left out.
    """
    whole = stdout if stdout.endswith("\n") else f"\n{stdout}".rpartition("\nJob Id: ")[0]
    jobs: dict[str, dict[str, str]] = {}
    for block in re.split(r"(?:\A|\n\n+)(?=Job Id: )", whole):
        if header := _HEADER.match(block.partition("\n")[0]):
            jobs.setdefault(header[1], attributes(block))
    return jobs


def parse_complaints(lines: Iterable[str], asked: Collection[str]) -> Complaints:
    """Sort the stderr lines of a qstat that was asked for `asked`; a line naming another id explains nothing."""
    sorted_lines = Complaints()
    for line in lines:
        if (match := _UNKNOWN_ID.fullmatch(line) or _FINISHED.fullmatch(line)) and match[1] in asked:
            sorted_lines.gone[match[1]] = line
        elif (match := _NOT_HERE.fullmatch(line)) and match[1] in asked:
            sorted_lines.not_here[match[1]] = line
        elif (match := _NO_HISTORY.fullmatch(line)) and (not match[1] or match[1] in asked):
            sorted_lines.without_history = True
        else:
            sorted_lines.unexplained.append(line)
    return sorted_lines


def parse_listing(stdout: str) -> Listing | None:
    """The ids `qselect` printed, one a line; None if a line stands there that is no id of any kind."""
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    if not all(_FOREIGN_ID.fullmatch(line) for line in lines):
        return None
    ids = tuple(line for line in lines if JOB_ID.fullmatch(line))
    return Listing(ids, tuple(line for line in lines if line not in ids))


def parse_submitted(stdout: str) -> str | None:
    """The id of a new job as qsub prints it, on a line of its own; None if there is none, or more than one."""
    ids = [match[1] for line in stdout.splitlines() if (match := _SUBMITTED.match(line)) and JOB_ID.fullmatch(match[1])]
    return ids[0] if len(ids) == 1 else None


def parse_limits(queue: str, server: str, user: str) -> Limits:
    """The limits of `qstat -Qf QUEUE` and `qstat -Bf` that bind `user`: the smallest of those named, new and old."""
    of_queue, of_all = attributes(queue), attributes(server)
    return Limits(
        running=_tightest(of_queue, user, ("max_run",), ("max_user_run",)),
        queued=_tightest(of_queue, user, ("max_queued",), ("max_user_queuable", "max_queuable")),
        everywhere=_tightest(of_all, user, ("max_queued",), ()),
    )


def is_unknown_queue(complaints: Iterable[str]) -> bool:
    return any(_UNKNOWN_QUEUE.fullmatch(line) for line in complaints)


def answers(pbsnodes: str) -> bool:
    """True if the node that `pbsnodes` printed is in touch with its server."""
    state = attributes(pbsnodes).get("state", "")
    return bool(state) and not any(word in state for word in _AWAY)


def attributes(block: str) -> dict[str, str]:
    """`    key = value` lines, continuation lines joined. The first of a key counts: a line inside a multi-line
    variable cannot change the state printed before it."""
    found: dict[str, str] = {}
    for line in block.replace("\n\t", "").split("\n"):
        if match := _ATTRIBUTE.match(line):
            found.setdefault(match[1], match[2].strip())
    return found


def whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text.strip()) else None


def seconds(walltime: str) -> int | None:
    """HH:MM:SS, also with more than two digits of hours; None for anything else."""
    if not re.fullmatch(r"\d+:\d\d:\d\d", walltime):
        return None
    hours, minutes, rest = map(int, walltime.split(":"))
    return 3600 * hours + 60 * minutes + rest


def _tightest(found: dict[str, str], user: str, modern: Iterable[str], old: Iterable[str]) -> int | None:
    """`[u:PBS_GENERIC=4], [u:ann=2]`: a user's own entry replaces the generic one; `[o:PBS_ALL=9]` binds everybody."""
    limits: list[int] = []
    for name in modern:
        entries = {(kind, who): int(count) for kind, who, count in _PER_USER.findall(found.get(name, ""))}
        personal = entries.get(("u", user), entries.get(("u", "PBS_GENERIC")))
        limits += [limit for limit in (personal, entries.get(("o", "PBS_ALL"))) if limit is not None]
    limits += [number for name in old if (number := whole_number(found.get(name))) is not None]
    return min(limits, default=None)
