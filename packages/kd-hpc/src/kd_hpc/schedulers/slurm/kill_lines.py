"""What Slurm writes into a job's stderr when it ends it. Source: src/slurmd/slurmstepd and src/srun of Slurm."""

from __future__ import annotations

import re

from kd_hpc.schedulers.base import Deleted, Exceeded, KillLine, NodeFault, Verdict

_LINES: tuple[tuple[re.Pattern[str], Verdict], ...] = tuple(
    (re.compile(rf"^.*(?:{pattern}).*$", re.MULTILINE), verdict)
    for pattern, verdict in (
        (r"CANCELLED AT \S+ DUE TO TIME LIMIT", Exceeded("walltime")),
        (r"oom[-_]kill event|xceeded (?:job|step) memory limit|exceeded memory limit \(", Exceeded("mem")),
        (r"^srun: error: .*: Out Of Memory$", Exceeded("mem")),
        (r"xceeded virtual memory limit", Exceeded("vmem")),
        (r"CANCELLED AT \S+ DUE TO NODE FAILURE|^srun: error: Node failure on ", NodeFault()),
        (r"^(?:slurmstepd|srun|slurmd\[\S+\]): error: \*\*\* (?:JOB|STEP) \S+ (?:ON \S+ )?CANCELLED AT ", Deleted()),
    )
)


def kill_line(stderr: str) -> KillLine | None:
    """The most telling of them: a step that ended for its memory is often cancelled as well."""
    for pattern, verdict in _LINES:
        if found := pattern.findall(stderr):
            return KillLine(verdict, found[-1].strip())
    return None
