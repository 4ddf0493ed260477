"""Nodes that fail jobs again and again, from records alone.

A node that fails jobs at once is always free, so it would take the next ones, too. What ends together is one incident:
a node that goes down takes all its jobs along, and that is no sign of a bad one. Only a job that never began to train
is an incident by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kd_hpc.diagnosis.witnesses import CAUSES
from kd_hpc.records import Attempt, StatusRecord

MEMORY = timedelta(hours=1)
"""How long a node's faults are held against it."""


@dataclass(frozen=True)
class BadNode:
    """`since`: its latest fault."""

    host: str
    incidents: int
    since: datetime

    @property
    def until(self) -> datetime:
        return self.since + MEMORY

    @property
    def says(self) -> str:
        since, until = (when.astimezone().strftime("%H:%M") for when in (self.since, self.until))
        return f"node {self.host} failed jobs {self.incidents} times, the last at {since}; until {until}"


def bad_nodes(records: Iterable[StatusRecord], allowed: int, now: datetime) -> tuple[BadNode, ...]:
    """Those with `allowed` incidents within the hour, or more."""
    faults: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in _node_faults(records):
        if attempt.host and attempt.ended_at and timedelta() <= now - attempt.ended_at < MEMORY:
            faults[attempt.host].append(attempt)
    found = (BadNode(host, len(list(_incidents(those))), _latest(those)) for host, those in sorted(faults.items()))
    return tuple(node for node in found if node.incidents >= allowed)


def on_probation(records: Iterable[StatusRecord], nodes: Iterable[BadNode]) -> bool:
    """True while a job submitted after the latest fault has not shown yet that it landed well, by an epoch."""
    since = max(node.since for node in nodes)
    return any(
        attempt.submitted_at and attempt.submitted_at >= since and not _has_gained(attempt)
        for attempt in (record.attempt for record in records)
        if attempt and attempt.ended_at is None
    )


def _node_faults(records: Iterable[StatusRecord]) -> Iterator[Attempt]:
    """One attempt a job, where runs share it."""
    seen: set[str] = set()
    for number, record in enumerate(records):
        for attempt in record.attempts:
            cause = CAUSES.get(attempt.cause or "")
            job = attempt.token or f"{number} {attempt.number}"
            if cause and cause.blames_node and not attempt.forgiven and job not in seen:
                seen.add(job)
                yield attempt


def _incidents(faults: Iterable[Attempt]) -> Iterator[Attempt]:
    """The first job of each incident: those at work at the same moment are of one."""
    end: datetime | None = None
    for attempt in sorted(faults, key=lambda attempt: (attempt.started_at or _ended(attempt), _ended(attempt))):
        is_alone = attempt.started_at is None
        if is_alone or end is None or (attempt.started_at and attempt.started_at > end):
            yield attempt
        if not is_alone:
            end = max(end, _ended(attempt)) if end else _ended(attempt)


def _latest(faults: Iterable[Attempt]) -> datetime:
    return max(map(_ended, faults))


def _ended(attempt: Attempt) -> datetime:
    assert attempt.ended_at is not None, "only ended attempts have a cause"
    return attempt.ended_at


def _has_gained(attempt: Attempt) -> bool:
    return attempt.start_epoch is not None and (attempt.end_epoch or 0) > attempt.start_epoch
