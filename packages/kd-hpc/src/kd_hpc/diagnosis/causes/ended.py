"""Exit status 0 before the run was complete."""

from __future__ import annotations

from kd_hpc.diagnosis.case import Case, Cause, Finding

ENDED = Cause("ended")


def witness(case: Case) -> Finding | None:
    if case.gone.exit_status != 0:
        return None
    return Finding(ENDED, f"it ended by itself ({case.official})", case.goes_on)
