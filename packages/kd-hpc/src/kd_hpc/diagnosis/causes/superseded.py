"""Another job is the one on record, so this one left without touching anything."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Cause, Finding, short

SUPERSEDED = Cause("superseded", is_charged=False)

_LINE = re.compile(r"^superseded: .*$", re.MULTILINE)


def witness(case: Case) -> Finding | None:
    if not (line := case.last(_LINE)):
        return None
    return Finding(SUPERSEDED, short(line[0]), "Nothing to do: another job is the one on record.")
