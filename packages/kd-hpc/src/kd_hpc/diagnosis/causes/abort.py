"""C or C++ code ended the process: an uncaught C++ exception, a failed assertion, a fatal error of the interpreter."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Finding, short
from kd_hpc.diagnosis.causes.exception import EXCEPTION

_TERMINATED = re.compile(
    r"^terminate called (?:after throwing an instance of '(?P<type>[^']+)'|without an active exception|recursively)"
    r"(?:\s+what\(\):\s+(?P<what>.*))?$",
    re.MULTILINE,
)
_FATAL = re.compile(
    r"^.*(?:Fatal Python error: .*|Assertion `.*' failed\.?|\*\*\* Error in `.*|double free or corruption.*"
    r"|free\(\): invalid .*|malloc\(\): .*|.*undefined symbol: .*|.*version `GLIBC\w*_[\d.]+' not found.*)$",
    re.MULTILINE,
)


def witness(case: Case) -> Finding | None:
    if thrown := case.last(_TERMINATED):
        said = ": ".join(filter(None, (thrown["type"], thrown["what"]))) or thrown[0]
    elif fatal := case.last(_FATAL):
        said = fatal[0]
    else:
        return None
    return Finding(EXCEPTION, short(said), case.after("Mend that"))
