"""Random campaigns in random worlds, the same for the same seed: the material of the promise tests."""

from __future__ import annotations

from random import Random
from typing import Any

from kd_hpc.campaign import Campaign
from kd_hpc.experiment import Experiment
from kd_hpc.simulation.faults import ROUGH, Faults
from kd_hpc.simulation.trainer import Nature
from kd_hpc.simulation.world import World


def random_world(seed: int, *, lock_holds: bool = True) -> World:
    """A small campaign of any shape, on a cluster of any size, with any mixture of faults."""
    rng = Random(seed)
    campaign = _campaign(rng, Random(f"further runs {seed}"))
    natures = {experiment: _nature(rng) for experiment in campaign.experiments()}
    return World(
        campaign,
        seed,
        _faults(rng),
        natures,
        running_limit=rng.randint(1, 4),
        queued_limit=rng.choice((None, rng.randint(2, 6))),
        lock_holds=lock_holds,
    )


def _campaign(rng: Random, further: Random) -> Campaign:
    methods = rng.sample(("logit", "rkd", "nst"), rng.randint(0, 2))
    seeds = rng.randint(1, 2)
    sensible = ["hard", "random_teacher", *(["other_teacher"] if seeds > 1 else [])] if methods else ["hard"]
    fields: dict[str, Any] = {
        "name": "random",
        "datasets": rng.sample(("Cifar10", "SVHN"), rng.randint(1, 2)),
        "teacher": "ResNet112",
        "student": rng.choice(("ResNet56", "ResNet112")),
        "methods": methods,
        "alphas": [0.25, 0.5][: rng.randint(1, 2)] if methods else [],
        "seeds": list(range(seeds)),
        "controls": rng.sample(sensible, rng.choice((0, 0, 1, len(sensible)))),
        "students_per_job": rng.choice((1, 2, 3, 6)),
        "recipe": {"epochs": rng.randint(1, 8)},
        "resources": {
            "walltime": rng.choice(("00:30:00", "01:00:00", "02:00:00")),
            "memory": "4gb",
            "max_memory": rng.choice((None, "8gb", "16gb")),
        },
        "scheduler": {"kind": "pbs", "slots": rng.randint(1, 6)},
        "budgets": {"deaths_without_progress": rng.randint(1, 4), "node_faults": rng.randint(1, 3)},
    }
    return Campaign.model_validate(fields | _further_runs(fields, further))


def _further_runs(fields: dict[str, Any], rng: Random) -> dict[str, Any]:
    """Now and then forks, or another axis, for the campaign with these fields."""
    epochs = fields["recipe"]["epochs"]
    more: dict[str, Any] = {"grid": {"lr": [0.1, 0.05]} if rng.random() < 0.1 else {}}
    if fields["methods"] and epochs > 1 and rng.random() < 0.3:
        at = rng.randint(1, epochs - 1)
        kept = {"recipe": {"epochs": epochs, "checkpoint_epochs": [at]}}
        more |= {"forks": [{"at": [at], "alpha": 0.0}], **kept}
    return more


def _nature(rng: Random) -> Nature:
    kind = rng.random()
    if kind < 0.05:
        return Nature(epoch_seconds=600, is_broken=True)
    if kind < 0.1:
        return Nature(epoch_seconds=rng.choice((3600, 5400)))
    if kind < 0.2:
        return Nature(epoch_seconds=600, memory=rng.choice(("5gb", "7gb", "12gb", "40gb")))
    if kind < 0.25:
        return Nature(epoch_seconds=600, stops_at=rng.randint(1, 4))
    return Nature(epoch_seconds=rng.choice((60, 600, 1500)))


def _faults(rng: Random) -> Faults:
    """Each kind of fault absent, rare or at its roughest."""
    return Faults(**{name: rate * rng.choice((0, 0.3, 1, 2)) for name, rate in vars(ROUGH).items()})


def live_through(world: World, hours: int = 20) -> dict[Experiment, str]:
    """`hours` of faults, then calm until the end; returns each run's last action. Raises Violation."""
    for _ in range(hours):
        world.random_hour()
    return {decision.experiment: decision.action.value for decision in world.settle().decisions}
