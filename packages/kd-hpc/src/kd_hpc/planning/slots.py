"""How many jobs of this user may be in the campaign's queue, how many are, and how many more fit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kd_hpc.planning.situation import Situation
from kd_hpc.schedulers.base import ListedJob


@dataclass(frozen=True)
class Slots:
    capacity: int
    in_use: int
    free: int


def count_slots(situation: Situation, recorded: Collection[str], unlisted: int) -> Slots:
    """`recorded`: ids of the campaign's own jobs, in whatever queue; `unlisted`: those that nobody listed.

    The campaign's number and the scheduler's own limit both hold, and the limit over all queues, if there is one.
    """
    listed, limits = situation.snapshot.listed or (), situation.snapshot.limits
    queue = situation.campaign.resources.queue
    here = [job for job in listed if job.job_id in recorded or is_in_queue(job, queue)]
    slots = situation.campaign.scheduler.slots
    capacity = slots if limits.queued is None else min(slots, limits.queued)
    in_use = len(here) + unlisted
    everywhere = len(listed) + unlisted
    free = capacity - in_use if limits.everywhere is None else min(capacity - in_use, limits.everywhere - everywhere)
    return Slots(capacity, in_use, free)


def is_in_queue(job: ListedJob, queue: str | None) -> bool:
    """True also where that is not told; a job may wait for several queues, or have been moved to another server's."""
    names = [name.partition("@")[0] for name in job.queue.split(",")]
    return queue is None or not job.queue or queue in names
