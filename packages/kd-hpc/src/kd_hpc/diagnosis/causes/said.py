"""The trainer, or its shell, said in one line why it stops."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Cause, Finding, short

ERROR = Cause("error")

_SAID = re.compile(r"^(?:error|fatal|kd-core):?\s", re.IGNORECASE)
_CHATTER = re.compile(r"^(?:INFO|DEBUG|WARNING)\b|^Terminated$|^Killed$|^==? |^[\d.%\s]*$")


def witness(case: Case) -> Finding | None:
    lines = [line.strip() for line in case.text.splitlines() if line.strip()]
    words = [line for line in lines if not _CHATTER.match(line)]
    said = words[-1] if words and case.has_failed else next((w for w in reversed(words) if _SAID.match(w)), "")
    if not said and not case.has_failed:
        return None
    return Finding(ERROR, f"{short(said) or 'it said nothing'} ({case.official})", case.after("Mend that"))
