"""One record of `qstat -f`: attributes -> what is known of its job. Pure.

Exit statuses below zero are PBS's own: JOB_EXEC_* in src/include/job.h of OpenPBS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

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
from kd_hpc.schedulers.pbs.text import seconds, whole_number

_GIVEN_UP = "job held, too many failed attempts"
_PHASES = {"Q": Phase.WAITING, "W": Phase.WAITING, "R": Phase.RUNNING, "E": Phase.RUNNING}
_LIMITS = {-24: "ncpus", -25: "ncpus", -26: "vmem", -27: "mem", -28: "cput", -29: "walltime"}
_NODE_LOST = -20
"""JOB_EXEC_RERUN_MS_FAIL: the server lost touch with the node. The job's processes may live on."""
_EXCEEDED = re.compile(r"exceeded resource (\w+)")
_TERMINATED = re.compile(r"terminated(?: by .+)?$")
_HELD_BY = re.compile(r"Job held by (\S+) on ")
_NEVER = "Can Never Run"
_LINES = {"ncpus": "cores", "mpiprocs": "cores", "ngpus": "gpus", "mem": "memory", "walltime": "walltime"}
"""The line under [resources] that asks for a resource of PBS."""
_GRACE = timedelta(minutes=10)
"""A walltime kill comes up to a minute late, and clocks differ."""


@dataclass(frozen=True)
class PbsJob:
    job_id: str
    attributes: dict[str, str]

    @property
    def name(self) -> str:
        return self.attributes.get("Job_Name", "")

    @property
    def owner(self) -> str:
        return self.attributes.get("Job_Owner", "").partition("@")[0]

    @property
    def identity(self) -> Identity:
        return Identity(self.name, self.owner)

    @property
    def queue(self) -> str:
        return self.attributes.get("queue", "")

    @property
    def host(self) -> str:
        return re.split(r"[/+*]", self.attributes.get("exec_host", ""), maxsplit=1)[0]

    def observation(self) -> Observation | None:
        """What the record says of its job; None if it does not hold a state."""
        state = self.attributes.get("job_state", "")
        if not state:
            return None
        if state != "F":
            detail = "; ".join(filter(None, (f"state {state}", self._comment)))
            return Live(self._phase(state), detail, self._obstacle(state))
        gone = self._gone()
        if gone.exit_status == _NODE_LOST:
            where = f"its node {self.host}" if self.host else "its node"
            return Lost(f"the server lost {where} and gave the job up; it may live on there", gone, self._ends_by())
        return gone

    @property
    def _comment(self) -> str:
        return self.attributes.get("comment", "")

    def _gone(self) -> Gone:
        status = whole_number(self.attributes.get("Exit_status"))
        ending = "no Exit_status" if status is None else f"Exit_status = {status}"
        evidence = f"{self.job_id}: job_state = F, {ending}"
        verdict = _verdict(status, self._comment)
        return Gone(evidence, status, self._comment, self.host, _signal(status), verdict)

    def _phase(self, state: str) -> Phase:
        """HELD only by the hold it was submitted with: any other is not ours to release."""
        if state != "H":
            return _PHASES.get(state, Phase.OTHER)
        if self._comment.startswith(_GIVEN_UP):
            return Phase.STUCK
        is_first_hold = self.attributes.get("Hold_Types", "u") == "u" and not _HELD_BY.match(self._comment)
        return Phase.HELD if is_first_hold else Phase.OTHER

    def _obstacle(self, state: str) -> Obstacle | None:
        if state == "H" and self._phase(state) == Phase.OTHER:
            return self._hold()
        if state == "Q" and self._comment.startswith(_NEVER):
            return Obstacle(f"PBS says of job {self.job_id}: {self._comment}", _mend(self._comment), needs_new_job=True)
        return None

    def _hold(self) -> Obstacle:
        holder = _HELD_BY.match(self._comment)
        if holder and holder[1].partition("@")[0] == self.owner:
            return Obstacle(f"job {self.job_id} is held by yourself", f"To let it run: qrls {self.job_id}")
        by = f" by {holder[1]}" if holder else f" (Hold_Types = {self.attributes.get('Hold_Types', '')})"
        return Obstacle(f"job {self.job_id} is held{by}", "Ask the cluster's support why; they release it")

    def _ends_by(self) -> datetime | None:
        limit = seconds(self.attributes.get("Resource_List.walltime", ""))
        try:
            # %c in the C locale, as the server's own clock has it
            start = datetime.strptime(self.attributes.get("stime", ""), "%a %b %d %H:%M:%S %Y").astimezone()
        except ValueError:
            return None
        return None if limit is None else start + timedelta(seconds=limit) + _GRACE


def _verdict(status: int | None, comment: str) -> Verdict | None:
    if status in _LIMITS:
        return Exceeded(_LIMITS[status])
    if exceeded := _EXCEEDED.search(comment):
        return Exceeded(exceeded[1])
    if status is not None and status < 0:
        return NodeFault()
    if status is None or _TERMINATED.search(comment):
        return Deleted(ran=status is not None)
    return None


def _signal(status: int | None) -> int | None:
    """256 + n if signal n ended the shell, 128 + n if the shell tells of a child's."""
    number = (status or 0) - (256 if (status or 0) > 256 else 128)
    return number if 0 < number < 65 else None


def _mend(comment: str) -> str:
    resource = re.search(r"resource: (\w+)", comment)
    line = _LINES.get(resource[1]) if resource else None
    return f"Mend {line or 'what it asks for'} under [resources] of the campaign"
