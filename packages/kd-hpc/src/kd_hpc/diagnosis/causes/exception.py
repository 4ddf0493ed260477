"""A Python traceback."""

from __future__ import annotations

from kd_hpc.diagnosis.case import Case, Cause, Finding, short
from kd_hpc.diagnosis.tracebacks import last_error

EXCEPTION = Cause("exception")


def witness(case: Case) -> Finding | None:
    if not (error := last_error(case.text)):
        return None
    missing = error.missing_module
    mending = f"Install {missing} into the environment of the jobs" if missing else "Mend that"
    return Finding(EXCEPTION, short(str(error), 1200), case.after(mending))
