"""Somebody ended the job."""

from __future__ import annotations

from kd_hpc.diagnosis.case import Case, Cause, Finding, short
from kd_hpc.schedulers.base import Deleted

DELETED = Cause("deleted", is_outside=True)


def witness(case: Case) -> Finding | None:
    line, official = case.kill_line, case.gone.verdict
    if isinstance(official, Deleted):
        how, ran = case.official, official.ran
    elif line and isinstance(line.verdict, Deleted):
        how, ran = short(line.words), True
    else:
        return None
    detail = f"deleted from the queue {'while it ran' if ran else 'before it started'} ({how})"
    remedy = f"If that was you: kd-hpc cancel {case.run}; otherwise {case.goes_on.lower()}"
    return Finding(DELETED, detail, remedy)
