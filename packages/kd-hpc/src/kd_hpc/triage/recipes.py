"""The settings a run was trained with, as far as they act on it; a run of another recipe is another run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kd_hpc.catalogue import PURE
from kd_hpc.recipe import acts_on
from kd_hpc.records import NOT_SETTINGS
from kd_hpc.triage.checks import Finding, Severity
from kd_hpc.triage.run_directory import Identity, Run
from kd_hpc.variant import Control, split_arm

EPOCHS, SMOOTHING, WEIGHTS, MIX = "epochs", "label_smoothing", "weights", "mix"
NO_DIFFERENCE = frozenset(["loader", "step", "watchdog_skips", "representation_epochs", "checkpoint_epochs", "convex"])
"""How a run is computed, what it keeps, and the mix of other methods: none of them changes what is trained."""


def acting(run: Run) -> dict[str, Any]:
    """The recorded settings that act on the run, by name; what a variant says of itself is left out.

    Label smoothing acts on pure runs alone, a temperature on methods that soften logits, a weight on its own method.
    """
    record = run.record
    recorded = {**run.config, **(record.recipe if record else {})}
    if record and record.epochs is not None:
        recorded.setdefault(EPOCHS, record.epochs)
    return applied(recorded, run.identity)


def applied(settings: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    """Those of the settings that act on the run `identity`."""
    own = {name for name, _ in identity.variant.settings}
    found = {name: value for name, value in settings.items() if name not in NOT_SETTINGS | NO_DIFFERENCE | own}
    if WEIGHTS in found:
        found[WEIGHTS] = _own_weights(found[WEIGHTS], identity)
    return {name: value for name, value in found.items() if _acts(name, identity)}


def smoothing(run: Run) -> float | None:
    """The share of label smoothing the run was trained with; None where nothing says it."""
    if not is_pure(run.identity):
        return 0.0
    value = acting(run).get(SMOOTHING)
    return float(value) if isinstance(value, int | float) else None


def is_pure(identity: Identity) -> bool:
    """Trained without a teacher, with the recipe's smoothing; not so the hard control arm."""
    return split_arm(identity.method)[0] == PURE and identity.variant.control != Control.HARD


def recipe_findings(
    runs: Sequence[Run], planned: Mapping[Identity, Mapping[str, Any]] | None = None
) -> Iterator[tuple[str, Finding]]:
    """Runs of another recipe than `planned` for them; of those not planned, another than most of their data set.

    Where no majority can tell which recipe is meant, none of them is trusted.
    """
    usual = _majorities(runs)
    for run in runs:
        plan = (planned or {}).get(run.identity)
        if not run.epochs:
            continue
        if plan is not None:
            differs = list(_from_plan(acting(run), applied(plan, run.identity)))
        else:
            recorded = {_vote(name, run.identity): value for name, value in acting(run).items()}
            differs = list(_from_usual(recorded, usual[run.identity.dataset]))
        if differs:
            yield run.path, Finding("other_recipe", Severity.QUARANTINE, f"another recipe: {'; '.join(differs)}")


def _acts(name: str, identity: Identity) -> bool:
    method = split_arm(identity.method)[0]
    if name == SMOOTHING:
        return is_pure(identity)
    return acts_on(name, method) and (name != WEIGHTS or method != PURE)


def _own_weights(weights: Any, identity: Identity) -> Any:
    if not isinstance(weights, dict):
        return weights
    method = split_arm(identity.method)[0]
    return {name: value for name, value in weights.items() if name.partition(".")[0] == method}


def _from_plan(recorded: Mapping[str, Any], plan: Mapping[str, Any]) -> Iterator[str]:
    for name, value in recorded.items():
        if name in plan and _plain(plan[name]) != _plain(value):
            yield f"{name} {_plain(value)}, the campaign's is {_plain(plan[name])}"


Votes = dict[str, Counter[str]]


def _majorities(runs: Sequence[Run]) -> dict[str, Votes]:
    """How often each value of each setting is recorded in a data set; weights and mix are a method's own affair."""
    votes: dict[str, Votes] = defaultdict(lambda: defaultdict(Counter))
    for run in runs:
        for name, value in acting(run).items() if run.epochs else ():
            votes[run.identity.dataset][_vote(name, run.identity)][_plain(value)] += 1
    return votes


def _from_usual(recorded: Mapping[str, Any], votes: Votes) -> Iterator[str]:
    for name, value in recorded.items():
        counted = votes.get(name)
        if counted is None or len(counted) < 2:
            continue
        (usual, most), (_, second), *_ = counted.most_common()
        if most == second:
            yield f"{name} {_plain(value)}, and as many runs of the data set have another: name the campaign"
        elif _plain(value) != usual:
            yield f"{name} {_plain(value)}, {most} of {counted.total()} runs of the data set have {usual}"


def _vote(name: str, identity: Identity) -> str:
    return f"{name} of {split_arm(identity.method)[0]}" if name in (WEIGHTS, MIX) else name


def _plain(value: Any) -> str:
    """A value as text: numbers alike, whole or not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return f"{value:g}"
