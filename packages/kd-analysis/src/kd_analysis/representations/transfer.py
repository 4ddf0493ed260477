"""From single alignments to statements: sweeps, bands, and what distillation itself transferred.

Alignment with the own teacher is high for any network trained on the same data. What distillation transferred is the
excess over the other seeds' teachers, minus the same excess of the pure student of that seed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kd_analysis.accuracy.names import is_variant, method_order
from kd_analysis.representations.comparisons import CEILING, FLOOR, FLOOR_OTHER, OTHER, OWN, SINGLE_RUN, GeometryValue
from kd_analysis.stats.exact import holm
from kd_analysis.stats.intervals import Interval, mean_p, t_interval
from kd_analysis.stats.paired import Conclusion, conclude
from kd_hpc.triage.run_directory import Identity

Sweeps = dict[str, dict[str, dict[float | None, list[float]]]]
"""Values by layer, method and alpha, one a seed."""


def sweeps(values: Iterable[GeometryValue], name: str, relation: str = OWN) -> Sweeps:
    """The students' values of one quantity."""
    found: Sweeps = {}
    for value in values:
        if value.name == name and value.relation == relation and not value.identity.is_pure and _known(value):
            _at(found, value.layer, value.identity).append(value.value)
    return _ordered(found)


def references(values: Iterable[GeometryValue], name: str) -> dict[str, tuple[list[float], list[float]]]:
    """Floor and ceiling by layer."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for value in values:
        if value.name == name and value.relation in (FLOOR, CEILING) and _known(value):
            found.setdefault(value.layer, ([], []))[value.relation == CEILING].append(value.value)
    return found


def transferred(values: Iterable[GeometryValue], name: str) -> Sweeps:
    """Own minus other teachers, minus the same for the pure student of the seed; needs two seeds of teachers."""
    found: Sweeps = {}
    for (identity, layer), excess in _net(values, name).items():
        _at(found, layer, identity).append(excess)
    return _ordered(found)


@dataclass(frozen=True)
class Excess:
    """What one method transferred to one layer: the mean over alphas of each seed, tested over seeds."""

    method: str
    layer: str
    interval: Interval
    p: float
    p_adjusted: float

    @property
    def conclusion(self) -> Conclusion:
        return conclude(
            self.interval.estimate, self.interval.low, self.interval.high, p=self.p, adjusted_p=self.p_adjusted
        )


def excesses(values: Iterable[GeometryValue], name: str) -> tuple[Excess, ...]:
    """One statistic a method and layer, p by t over seeds, Holm over all of them."""
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (identity, layer), excess in _net(values, name).items():
        if not is_variant(identity.method):
            found[identity.method, layer][identity.seed].append(excess)
    means = {at: [sum(each) / len(each) for _, each in sorted(seeds.items())] for at, seeds in found.items()}
    p_values = {"|".join(at): mean_p(seeds) for at, seeds in means.items()}
    adjusted = holm(p_values)
    return tuple(
        Excess(*at, t_interval(means[at]), p_values["|".join(at)], adjusted["|".join(at)])
        for at in sorted(means, key=lambda at: (at[1], method_order(at[0])))
    )


def per_seed(values: Iterable[GeometryValue], name: str, relation: str = OWN) -> dict[tuple[str, str], list[float]]:
    """Mean over alphas for each seed, by (layer, method); pure networks under their own names."""
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        if value.name == name and value.relation == relation and _known(value):
            identity = value.identity
            method = f"pure {identity.student}" if identity.is_pure else identity.method
            found[value.layer, method][identity.seed].append(value.value)
    return {key: [sum(each) / len(each) for each in seeds.values()] for key, seeds in found.items()}


def single(values: Iterable[GeometryValue], name: str) -> dict[tuple[str, str], list[float]]:
    """`per_seed` of a quantity that needs no second network."""
    return per_seed(values, name, SINGLE_RUN)


def _net(values: Iterable[GeometryValue], name: str) -> dict[tuple[Identity, str], float]:
    """Of each distilled student's layer: its excess minus that of the plain student of its seed."""
    excess = _excess([value for value in values if value.name == name and _known(value)])
    plain = {at: own for at, own in excess.items() if at[0].teacher is None}
    found = {}
    for (identity, layer), own in excess.items():
        pure = plain.get((identity.baseline_run, layer))
        if identity.teacher is not None and pure is not None:
            found[identity, layer] = own - pure
    return found


def _excess(values: Iterable[GeometryValue]) -> Mapping[tuple[Identity, str], float]:
    own: dict[tuple[Identity, str], float] = {}
    others: dict[tuple[Identity, str], list[float]] = defaultdict(list)
    for value in values:
        key = (value.identity, value.layer)
        if value.relation in (OWN, FLOOR):
            own[key] = value.value
        elif value.relation in (OTHER, FLOOR_OTHER):
            others[key].append(value.value)
    return {key: own[key] - sum(others[key]) / len(others[key]) for key in own if others.get(key)}


def _ordered(found: Sweeps) -> Sweeps:
    return {layer: {m: found[layer][m] for m in sorted(found[layer], key=method_order)} for layer in sorted(found)}


def _at(found: Sweeps, layer: str, identity: Identity) -> list[float]:
    return found.setdefault(layer, {}).setdefault(identity.method, {}).setdefault(identity.alpha, [])


def _known(value: GeometryValue) -> bool:
    return math.isfinite(value.value)
