"""What Slurm prints, read strictly: text -> what is known of jobs. Pure. Forms as Slurm 22.05 prints them."""

from __future__ import annotations

import re
from typing import NamedTuple

from kd_hpc.schedulers.base import Gone, Live, Observation, Phase

JOB_ID = re.compile(r"[1-9][0-9]*(?:_[0-9]+)?")
LISTING_FORMAT = "%i|%T|%r|%j"
HISTORY_FORMAT = "JobID,State,ExitCode,NodeList"
NO_SUCH_JOB = "slurm_load_jobs error: Invalid job id specified"

_ENDED = frozenset(("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"))
_ENDED |= {"OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
_ON_A_NODE = ("RUNNING", "COMPLETING", "CONFIGURING")
_PHASES = {"PENDING": Phase.WAITING, **dict.fromkeys(_ON_A_NODE, Phase.RUNNING)}
_SUBMITTED = re.compile(r"([1-9][0-9]*)(?:;\S+)?")
_NO_ANSWER = re.compile(
    r"unable to contact|timed? ?out|zero bytes|connection|connect failure|communication|transport endpoint|protocol"
    r"|unexpected message|temporarily unable|try again|i/o error",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"Batch job submission failed: (.+)")
_MISUSED = re.compile(r"sbatch: (?:error: [Ii]nvalid |unrecognized option|invalid option|option requires)")


class ListedLine(NamedTuple):
    job_id: str
    state: str
    reason: str
    name: str

    @property
    def is_alive(self) -> bool:
        return self.state not in _ENDED

    def observation(self) -> Live:
        return _alive(self.state, self.reason)


def parse_listing(stdout: str) -> list[ListedLine] | None:
    """The lines of `squeue -o LISTING_FORMAT`; None if one of them is not of that form."""
    rows = [line.split("|", 3) for line in stdout.splitlines() if line]
    if not all(len(row) == 4 and re.fullmatch(r"[0-9][0-9_\[\]%,-]*", row[0]) for row in rows):
        return None
    return [ListedLine(*row) for row in rows]


def parse_job(stdout: str, job_id: str) -> tuple[Observation, str] | None:
    """What `scontrol -o show job` says of `job_id`, and its owner; None if the answer is about no or another job."""
    fields = dict(re.findall(r"(?:^|\s)([A-Za-z]+)=(\S*)", stdout))
    state = fields.get("JobState")
    if not state or job_id not in (fields.get("JobId"), f"{fields.get('ArrayJobId')}_{fields.get('ArrayTaskId')}"):
        return None
    owner = fields.get("UserId", "").partition("(")[0]
    reason = fields.get("Reason", "")
    if state not in _ENDED:
        return _alive(state, reason), owner
    host = fields.get("BatchHost") or fields.get("NodeList", "")
    return _ended(job_id, state, reason, fields.get("ExitCode", ""), "" if host == "(null)" else host), owner


def parse_history(stdout: str, job_id: str) -> Gone | None:
    """What `sacct -X -P -n -o HISTORY_FORMAT` says of an ended `job_id`; None if nothing of the kind."""
    for line in stdout.splitlines():
        identity, _, rest = line.partition("|")
        state, _, places = rest.partition("|")
        word = state.split(" ")[0]
        if identity == job_id and word in _ENDED:
            exit_code, _, host = places.partition("|")
            return _ended(job_id, word, state.partition(" ")[2], exit_code, host)
    return None


def parse_submitted(stdout: str) -> str | None:
    """The job id of `sbatch --parsable`; None if that is not all there is."""
    match = _SUBMITTED.fullmatch(stdout.strip())
    return match[1] if match else None


def is_refusal(stderr: str) -> bool:
    """True if sbatch's words mean that surely no job was made: a controller's own no, or options it does not take."""
    if refusal := _REFUSED.search(stderr):
        return not _NO_ANSWER.search(refusal[1])
    return bool(_MISUSED.search(stderr)) and not _NO_ANSWER.search(stderr)


def _alive(state: str, reason: str) -> Live:
    detail = f"{state} ({reason})" if reason else state
    if re.search(r"launch.failed", reason):
        return Live(Phase.STUCK, detail)
    if state == "PENDING" and reason.startswith("JobHeld"):
        return Live(Phase.HELD if reason == "JobHeldUser" else Phase.OTHER, detail)
    return Live(_PHASES.get(state, Phase.OTHER), detail)


def _ended(job_id: str, state: str, reason: str, exit_code: str, host: str) -> Gone:
    """`exit_code` is Slurm's "status:signal"; a signal becomes 128 + its number, as in a shell."""
    match = re.fullmatch(r"(\d+):(\d+)", exit_code)
    status, number = (int(match[1]), int(match[2])) if match else (None, 0)
    comment = f"JobState={state}" + (f" Reason={reason}" if reason and reason != "None" else "")
    return Gone(f"{job_id}: {comment}", 128 + number if number else status, comment, host)
