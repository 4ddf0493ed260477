"""The disk, or one's share of it, was full."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Cause, Finding, short

DISK = Cause("disk")

_FULL = re.compile(
    r"^.*(?:No space left on device|Disk quota exceeded|File too large).*$", re.MULTILINE | re.IGNORECASE
)


def witness(case: Case) -> Finding | None:
    if not (line := case.last(_FULL)):
        return None
    mending = "Free space (du -sh experiments/* | sort -h; your quota on a Lustre disk: lfs quota -hu $USER DISK)"
    return Finding(DISK, f"the disk is full: {short(line[0])}", case.after(mending))
