"""A whole campaign rehearsed: the real planner and runner against a simulated cluster with faults."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from kd_hpc.campaign import Campaign
from kd_hpc.simulation.faults import CALM, ROUGH, Faults
from kd_hpc.simulation.trainer import Nature, Violation
from kd_hpc.simulation.world import World

FAULTS = {"none": CALM, "rough": ROUGH}
_MOST_DAYS = 365


@dataclass(frozen=True)
class Rehearsal:
    """How one simulated campaign went. `broken` is the promise that was broken: always empty, or there is a bug."""

    seed: int
    hours: float
    ticks: int
    jobs: int
    starts: int
    actions: dict[str, int]
    broken: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def rehearse(campaign: Campaign, seed: int, faults: Faults, *, epoch_seconds: float, running: int) -> Rehearsal:
    """Play `campaign` to its end in the world that `seed` gives: the same every time."""
    natures = {experiment: Nature(epoch_seconds) for experiment in campaign.experiments()}
    world = World(campaign, seed, faults, natures, running_limit=running)
    broken = ""
    try:
        while not world.look().is_settled and world.seconds < 86400 * _MOST_DAYS:
            world.random_hour()
        world.settle()
    except Violation as violation:
        broken = str(violation)
    actions = Counter(decision.action.value for decision in world.look().decisions)
    jobs = len(world.cluster.jobs)
    return Rehearsal(seed, world.seconds / 3600, world.ticks, jobs, world.witness.starts, dict(actions), broken)
