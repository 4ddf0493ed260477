"""The node's own memory was not enough, by the word of Python, C++, numpy, torch or the kernel."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Finding, short
from kd_hpc.diagnosis.causes.limits import memory_finding

_FULL = re.compile(
    r"^.*(?:\bMemoryError\b|std::bad_alloc|DataLoader worker .* killed by signal: (?:Killed|Bus)"
    r"|DefaultCPUAllocator: (?:can't allocate memory|not enough memory)|\bCannot allocate memory\b"
    r"|Unable to allocate [\d.]+ [KMGT]iB for an array|insufficient shared memory \(shm\)"
    r"|out of memory: Killed process|Out of memory: Kill|oom-kill:).*$",
    re.MULTILINE | re.IGNORECASE,
)


def witness(case: Case) -> Finding | None:
    line = case.last(_FULL)
    return memory_finding(case, short(line[0]), None) if line else None
