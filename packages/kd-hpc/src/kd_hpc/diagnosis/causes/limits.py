"""Killed by the scheduler for going beyond one of its limits."""

from __future__ import annotations

from kd_hpc.diagnosis.case import Case, Cause, Finding, short
from kd_hpc.schedulers.base import Exceeded
from kd_hpc.schedulers.memory_sizes import in_kilobytes, next_size

WALLTIME = Cause("walltime")
MEMORY = Cause("memory")
LIMIT = Cause("limit")
"""Another one: processor time, cores, virtual memory, disk."""


def witness(case: Case) -> Finding | None:
    """The kill line in stderr says more than the exit status, and is right where something trapped the signal."""
    line, official = case.kill_line, case.gone.verdict
    if line and isinstance(line.verdict, Exceeded):
        exceeded, evidence = line.verdict, short(line.words)
    elif isinstance(official, Exceeded):
        exceeded, evidence = official, case.official
    else:
        return None
    if exceeded.limit == "walltime":
        return _walltime(case, evidence)
    if exceeded.limit == "mem":
        return memory_finding(case, evidence, exceeded.used_kilobytes)
    detail = f"killed for exceeding its limit of {exceeded.limit} ({evidence})"
    return Finding(LIMIT, detail, case.after(f"Ask for more {exceeded.limit}, or for cores = what it uses"))


def _walltime(case: Case, evidence: str) -> Finding:
    if case.gained:
        epochs = f"{case.gained} new epoch{'s' if case.gained != 1 else ''}"
        return Finding(WALLTIME, f"killed at its walltime after {epochs} ({evidence})", case.goes_on)
    detail = f"killed at its walltime before it finished one epoch ({evidence})"
    return Finding(WALLTIME, detail, case.after("Raise walltime under [resources] of the campaign"))


def memory_finding(case: Case, evidence: str, used_kilobytes: int | None) -> Finding:
    size = next_size(max(used_kilobytes or 0, in_kilobytes(case.memory) or 0))
    mending = f'Write memory = "{size}"' if size else "Raise memory"
    detail = f"killed for using more memory than it asked for ({evidence})"
    return Finding(MEMORY, detail, case.after(f"{mending} under [resources] of the campaign"), size)
