"""The node could not run the job, or lost it."""

from __future__ import annotations

from kd_hpc.diagnosis.case import Case, Cause, Finding, short
from kd_hpc.schedulers.base import NodeFault

NODE = Cause("node", is_charged=False, blames_node=True)


def witness(case: Case) -> Finding | None:
    line = case.kill_line
    if line and isinstance(line.verdict, NodeFault):
        said = short(line.words)
    elif isinstance(case.gone.verdict, NodeFault):
        said = case.official
    else:
        return None
    where = f" {case.gone.host}" if case.gone.host else ""
    return Finding(NODE, f"the node{where} could not run it ({said})", case.goes_on)
