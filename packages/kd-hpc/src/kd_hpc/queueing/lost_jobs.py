"""Jobs whose node was lost: dead only when the node is back, when their process is proven dead, or their time is over.

The scheduler itself says when the node is back. This is the rest. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from kd_hpc.records import Attempt
from kd_hpc.schedulers.base import Lost, Observation, Snapshot

_GRACE = timedelta(minutes=10)
"""A walltime kill comes up to a minute late, and clocks differ."""


def resolved(
    snapshot: Snapshot, attempts: Mapping[str, Attempt], owners: Mapping[str, bool | None], now: datetime
) -> Snapshot:
    """`snapshot` with those lost jobs gone that cannot live any more.

    `attempts` and `owners` are by job id: the record of each, and whether the process that owns its run lives.
    """
    lost = {job_id: seen for job_id, seen in snapshot.observations.items() if isinstance(seen, Lost)}
    found = {job_id: _resolved(seen, attempts.get(job_id), owners.get(job_id), now) for job_id, seen in lost.items()}
    return replace(snapshot, observations={**snapshot.observations, **found}) if lost else snapshot


def _resolved(seen: Lost, attempt: Attempt | None, owner_alive: bool | None, now: datetime) -> Observation:
    ends_by = seen.ends_by or _ends_by(attempt)
    if owner_alive is False or (ends_by is not None and now > ends_by):
        return seen.gone
    return replace(seen, ends_by=ends_by)


def _ends_by(attempt: Attempt | None) -> datetime | None:
    """By the trainer's own clock, where the scheduler does not say when it started."""
    limit = re.fullmatch(r"(\d+):(\d\d):(\d\d)", attempt.walltime or "") if attempt else None
    if not attempt or not attempt.started_at or not limit:
        return None
    hours, minutes, seconds = map(int, limit.groups())
    return attempt.started_at + timedelta(hours=hours, minutes=minutes, seconds=seconds) + _GRACE
