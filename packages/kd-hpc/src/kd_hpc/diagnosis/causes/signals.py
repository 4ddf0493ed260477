"""A signal ended the job, and nobody said why."""

from __future__ import annotations

import re
import signal

from kd_hpc.diagnosis.case import Case, Cause, Finding

SIGNAL = Cause("signal", is_outside=True)

_HINTS = {9: "SIGKILL: often a node out of memory", 15: "SIGTERM: a deletion, or a walltime on old servers"}
_SHELLS = {
    "Segmentation fault": 11,
    "Bus error": 7,
    "Illegal instruction": 4,
    "Floating point exception": 8,
    "Aborted": 6,
    "Killed": 9,
}
_SAID = re.compile(rf"(?:^|[\s:])({'|'.join(_SHELLS)})(?: +\(core dumped\)|  .*)?$", re.MULTILINE)


def witness(case: Case) -> Finding | None:
    """By the scheduler's word, or by that of the shell."""
    said = case.last(_SAID)
    number = case.gone.signal or (_SHELLS[said[1]] if said and case.gone.exit_status != 0 else None)
    if number is None:
        return None
    name = _HINTS.get(number) or _name(number)
    return Finding(SIGNAL, f"ended by signal {number}{f' ({name})' if name else ''}, without a word why", case.goes_on)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
