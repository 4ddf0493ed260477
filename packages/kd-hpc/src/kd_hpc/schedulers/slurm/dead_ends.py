"""Reasons for which Slurm keeps a job waiting that will never start, and the line that asks for too much."""

from __future__ import annotations

import re

from kd_hpc.schedulers.base import Obstacle

_NEVER = re.compile(
    r"BadConstraints|Partition(?:Time|Node)Limit|Invalid(?:Account|QOS)|(?:Account|QOS)NotAllowed"
    r"|(?:Assoc|QOS)\w*PerJob(?:Limit)?|DependencyNeverSatisfied"
)
_LINES = (
    (r"Time|Wall", "walltime"),
    (r"C[Pp][Uu]|Node", "cores"),
    (r"G[Rr][Ee][Ss]", "gpus"),
    (r"Mem", "memory"),
    (r"Account", "project, which is the account,"),
    (r"QOS", "directives (--qos)"),
    (r"BadConstraints", "memory, cores, gpus, gpu_type or queue"),
)


def dead_end(job_id: str, reason: str) -> Obstacle | None:
    """Why the waiting job will never start, if that is so; a per-job limit never gives way."""
    if not _NEVER.fullmatch(reason):
        return None
    line = next(line for pattern, line in (*_LINES, ("", "what it asks for")) if re.search(pattern, reason))
    mend = f"Mend {line} under [resources] of the campaign"
    return Obstacle(f"Slurm will never start job {job_id} ({reason})", mend, needs_new_job=True)
