"""What Slurm prints, read strictly: text -> what is known of jobs. Pure. Forms as Slurm 22.05 prints them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from kd_hpc.schedulers.base import (
    Deleted,
    Exceeded,
    Gone,
    Identity,
    Live,
    Lost,
    NodeFault,
    Observation,
    Obstacle,
    Phase,
    Verdict,
)
from kd_hpc.schedulers.slurm.dead_ends import dead_end

JOB_ID = re.compile(r"[1-9][0-9]*(?:_[0-9]+)?")
LISTING_FORMAT = "%i|%T|%r|%j|%P"
HISTORY_FORMAT = "JobID,State,ExitCode,NodeList,User,JobName"
NO_SUCH_JOB = "slurm_load_jobs error: Invalid job id specified"

_ENDINGS: dict[str, Verdict | None] = {
    **dict.fromkeys(("COMPLETED", "FAILED")),
    **dict.fromkeys(("TIMEOUT", "DEADLINE"), Exceeded("walltime")),
    "OUT_OF_MEMORY": Exceeded("mem"),
    **dict.fromkeys(("NODE_FAIL", "BOOT_FAIL"), NodeFault()),
    **dict.fromkeys(("CANCELLED", "PREEMPTED", "REVOKED"), Deleted()),
}
_NODE_LOST = "NODE_FAIL"
"""The controller lost touch with the node. The job's processes may live on."""
_ON_A_NODE = ("RUNNING", "COMPLETING", "CONFIGURING")
_PHASES = {"PENDING": Phase.WAITING, **dict.fromkeys(_ON_A_NODE, Phase.RUNNING)}
_SUBMITTED = re.compile(r"([1-9][0-9]*)(?:;\S+)?")
_NO_ANSWER = re.compile(
    r"unable to contact|timed? ?out|zero bytes|connection|connect failure|communication|transport endpoint|protocol"
    r"|unexpected message|temporarily unable|try again|i/o error",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"Batch job submission failed: (.+)")
_MISUSED = re.compile(r"sbatch: (?:error: |unrecognized option|invalid option|option requires)")
_AWAY = re.compile(r"DOWN|FAIL|UNKNOWN|NOT_RESPONDING|POWER|\*")
_GRACE = timedelta(minutes=10)


class ListedLine(NamedTuple):
    job_id: str
    state: str
    reason: str
    name: str
    queue: str

    @property
    def is_alive(self) -> bool:
        return self.state not in _ENDINGS

    def observation(self) -> Live:
        return _alive(self.job_id, self.state, self.reason)


def parse_listing(stdout: str) -> list[ListedLine] | None:
    """The lines of `squeue -o LISTING_FORMAT`; None if what stands there is no such listing.

    Ids may have any form (4711+0, 12_[1-9]): they are others'. A line without one goes on a name with a line break.
    """
    found: list[ListedLine] = []
    for line in filter(None, stdout.splitlines()):
        job_id, state, reason, rest = (*line.split("|", 3), "", "", "")[:4]
        if not re.fullmatch(r"[0-9]\S*", job_id) or not re.fullmatch(r"[A-Z_]+", state):
            if not found:
                return None
            continue
        name, _, queue = rest.rpartition("|") if "|" in rest else (rest, "", "")
        found.append(ListedLine(job_id, state, reason, name, queue))
    return found


def parse_job(stdout: str, job_id: str) -> tuple[Observation, Identity] | None:
    """What `scontrol -o show job` says of `job_id`, and whose it is; None if the answer is about no or another job."""
    fields = dict(re.findall(r"(?:^|\s)([A-Za-z]+)=(\S*)", stdout))
    state = fields.get("JobState")
    if not state or job_id not in (fields.get("JobId"), f"{fields.get('ArrayJobId')}_{fields.get('ArrayTaskId')}"):
        return None
    identity = Identity(fields.get("JobName", ""), fields.get("UserId", "").partition("(")[0])
    reason = fields.get("Reason", "")
    if state not in _ENDINGS:
        return _alive(job_id, state, reason), identity
    host = fields.get("BatchHost") or fields.get("NodeList", "")
    host = "" if host == "(null)" else host
    ends_by = _ends_by(fields.get("StartTime", ""), fields.get("TimeLimit", ""))
    return _ended(job_id, state, reason, fields.get("ExitCode", ""), host, ends_by), identity


def parse_history(stdout: str, job_id: str) -> tuple[Observation, Identity] | None:
    """What `sacct -X -P -n -o HISTORY_FORMAT` says of an ended `job_id`, and whose it is; None if nothing of it."""
    for line in stdout.splitlines():
        identity, state, exit_code, host, user, name = (*line.split("|", 5), "", "", "", "", "")[:6]
        word, _, rest = state.partition(" ")
        if identity == job_id and word in _ENDINGS:
            return _ended(job_id, word, rest, exit_code, host), Identity(name, user)
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


def answers(scontrol_node: str) -> bool:
    """True if the node that `scontrol show node` printed is in touch with its controller."""
    state = re.search(r"\bState=(\S+)", scontrol_node)
    return state is not None and not _AWAY.search(state[1])


def _alive(job_id: str, state: str, reason: str) -> Live:
    detail = f"{state} ({reason})" if reason else state
    if re.search(r"launch.failed", reason):
        return Live(Phase.STUCK, detail)
    if state != "PENDING":
        return Live(_PHASES.get(state, Phase.OTHER), detail)
    if reason == "JobHeldUser":
        return Live(Phase.HELD, detail)
    if reason.startswith("JobHeld"):
        held = Obstacle(f"job {job_id} is held by an administrator", "Ask the cluster's support why; they release it")
        return Live(Phase.OTHER, detail, held)
    return Live(Phase.WAITING, detail, dead_end(job_id, reason))


def _ended(
    job_id: str, state: str, reason: str, exit_code: str, host: str, ends_by: datetime | None = None
) -> Observation:
    """`exit_code` is Slurm's "status:signal"; a signal becomes 128 + its number, as in a shell."""
    match = re.fullmatch(r"(\d+):(\d+)", exit_code)
    status, number = (int(match[1]), int(match[2])) if match else (None, 0)
    number = number or max(0, (status or 0) - 128)
    comment = f"JobState={state}" + (f" Reason={reason}" if reason and reason != "None" else "")
    told = 128 + number if number else status
    gone = Gone(f"{job_id}: {comment}", told, comment, host, number if 0 < number < 65 else None, _ENDINGS[state])
    if state != _NODE_LOST:
        return gone
    where = f"its node {host}" if host else "its node"
    return Lost(f"the controller lost {where} and gave the job up; it may live on there", gone, ends_by)


def _ends_by(start: str, limit: str) -> datetime | None:
    """`limit` is [DAYS-]HH:MM:SS."""
    days, _, clock = limit.rpartition("-")
    if not re.fullmatch(r"\d+:\d\d:\d\d", clock):
        return None
    hours, minutes, seconds = map(int, clock.split(":"))
    try:
        began = datetime.fromisoformat(start).astimezone()
    except ValueError:
        return None
    return began + timedelta(days=int(days or 0), hours=hours, minutes=minutes, seconds=seconds) + _GRACE
