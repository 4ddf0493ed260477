"""What PBS prints, read strictly: text -> jobs, ids and limits. Pure; a line that is not understood is said so.

Source of every form: recorded answers of OpenPBS 23.06 (tests/hpc/fixtures/pbs).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from kd_hpc.schedulers.base import Gone, Limits, Live, Observation, Phase

JOB_ID = re.compile(r"[0-9]+(?:\[[0-9]*\])?\.[A-Za-z0-9][A-Za-z0-9.-]*")

_HEADER = re.compile(r"^Job Id: (\S+)$")
_ATTRIBUTE = re.compile(r"^    ([A-Za-z_][A-Za-z0-9_.]*) = (.*)$")
_GIVEN_UP = "job held, too many failed attempts"
_PHASES = {"Q": Phase.WAITING, "W": Phase.WAITING, "R": Phase.RUNNING, "E": Phase.RUNNING}
_UNKNOWN_ID = re.compile(r"qstat: Unknown Job Id (\S+)")
_FINISHED = re.compile(r"qstat: (\S+) Job has finished\b.*")
_NO_HISTORY = re.compile(r"qstat: PBS is not configured to maintain job history\b ?(\S*)")
_NOT_HERE = re.compile(r"qstat: (?:illegally formed job identifier:|Unknown queue destination) (\S+)")
_SUBMITTED = re.compile(r"^(\S+)\s*$")
_PER_USER = re.compile(r"\[?\s*([ugpo]):([^=\]]+?)\s*=\s*(\d+)\s*\]?")


@dataclass(frozen=True)
class PbsJob:
    """One record of `qstat -f`: its id and its attributes as printed, continuation lines joined."""

    job_id: str
    attributes: dict[str, str]

    @property
    def name(self) -> str:
        return self.attributes.get("Job_Name", "")

    @property
    def owner(self) -> str:
        return self.attributes.get("Job_Owner", "").partition("@")[0]

    def observation(self) -> Observation | None:
        """What the record says of its job; None if it does not hold a state."""
        state = self.attributes.get("job_state", "")
        comment = self.attributes.get("comment", "")
        if not state:
            return None
        if state != "F":
            phase = self._held_phase(comment) if state == "H" else _PHASES.get(state, Phase.OTHER)
            return Live(phase, "; ".join(filter(None, (f"state {state}", comment))))
        status = _whole_number(self.attributes.get("Exit_status"))
        ending = "no Exit_status" if status is None else f"Exit_status = {status}"
        return Gone(f"{self.job_id}: job_state = F, {ending}", status, comment, self._host)

    def _held_phase(self, comment: str) -> Phase:
        """HELD only by its user's own hold: one of the server or an operator is not ours to release."""
        if comment.startswith(_GIVEN_UP):
            return Phase.STUCK
        return Phase.HELD if self.attributes.get("Hold_Types", "u") == "u" else Phase.OTHER

    @property
    def _host(self) -> str:
        return re.split(r"[/+*]", self.attributes.get("exec_host", ""), maxsplit=1)[0]


@dataclass
class Complaints:
    """stderr of a qstat, sorted: every line is one of these kinds, or `unexplained`."""

    gone: dict[str, str] = field(default_factory=dict)
    not_here: dict[str, str] = field(default_factory=dict)
    without_history: bool = False
    unexplained: list[str] = field(default_factory=list)


def parse_jobs(stdout: str) -> dict[str, PbsJob]:
    """The records of `qstat -f` by job id. A last record that was cut off in the middle of a line is left out."""
    whole = stdout if stdout.endswith("\n") else f"\n{stdout}".rpartition("\nJob Id: ")[0]
    jobs: dict[str, PbsJob] = {}
    for block in re.split(r"(?:\A|\n\n+)(?=Job Id: )", whole):
        if header := _HEADER.match(block.partition("\n")[0]):
            jobs.setdefault(header[1], PbsJob(header[1], _attributes(block)))
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


def parse_ids(stdout: str) -> list[str] | None:
    """The ids `qselect` printed, one a line; None if anything else stands there."""
    ids = [line.strip() for line in stdout.splitlines() if line.strip()]
    return ids if all(JOB_ID.fullmatch(job_id) for job_id in ids) else None


def parse_submitted(stdout: str) -> str | None:
    """The id of a new job as qsub prints it, on a line of its own; None if there is none, or more than one."""
    ids = [match[1] for line in stdout.splitlines() if (match := _SUBMITTED.match(line)) and JOB_ID.fullmatch(match[1])]
    return ids[0] if len(ids) == 1 else None


def parse_limits(stdout: str, user: str) -> Limits:
    """The limits of `qstat -Qf QUEUE` that bind `user`: the smallest of those named, generic and old-style."""
    queue = _attributes(stdout)
    return Limits(
        running=_tightest(queue, user, ("max_run",), ("max_user_run",)),
        queued=_tightest(queue, user, ("max_queued",), ("max_user_queuable",)),
    )


def _attributes(block: str) -> dict[str, str]:
    """`    key = value` lines, continuation lines joined. The first of a key counts: a line inside a multi-line
    variable cannot change the state printed before it."""
    found: dict[str, str] = {}
    for line in block.replace("\n\t", "").split("\n"):
        if match := _ATTRIBUTE.match(line):
            found.setdefault(match[1], match[2].strip())
    return found


def _tightest(queue: dict[str, str], user: str, modern: Iterable[str], old: Iterable[str]) -> int | None:
    """`[u:PBS_GENERIC=4], [u:ann=2]`: a user's own entry replaces the generic one; `[o:PBS_ALL=9]` binds everybody."""
    limits: list[int] = []
    for name in modern:
        entries = {(kind, who): int(count) for kind, who, count in _PER_USER.findall(queue.get(name, ""))}
        personal = entries.get(("u", user), entries.get(("u", "PBS_GENERIC")))
        limits += [limit for limit in (personal, entries.get(("o", "PBS_ALL"))) if limit is not None]
    limits += [number for name in old if (number := _whole_number(queue.get(name))) is not None]
    return min(limits, default=None)


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text.strip()) else None
