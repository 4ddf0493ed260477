"""It left nothing behind that tells."""

from __future__ import annotations

from kd_hpc.diagnosis.case import Case, Cause, Finding

UNKNOWN = Cause("unknown", is_outside=True)


def witness(case: Case) -> Finding:
    return Finding(UNKNOWN, f"it left no cause behind ({case.official})", f"Read its files: kd-hpc why {case.run}")
