"""From single numbers to statements: sweeps, references, and what distillation itself transferred.

Alignment with the own teacher is high for any network trained on the same data. What distillation transferred is the
excess over the other seeds' teachers, minus the same excess of the plain student of that seed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kd_analysis.accuracy.names import is_variant, method_order
from kd_analysis.representations.pairs import FLOOR, FLOOR_OTHER, OTHER, OWN, SINGLE_RUN, TEACHERS
from kd_analysis.representations.values import GeometryValue
from kd_analysis.stats.exact import holm
from kd_analysis.stats.intervals import Interval, mean_p, t_interval
from kd_analysis.stats.paired import Conclusion, conclude
from kd_hpc.triage.run_directory import Identity

Sweeps = dict[str, dict[str, dict[float | None, list[float]]]]
"""Values by layer, method and alpha, one a seed."""


def sweeps(values: Iterable[GeometryValue], name: str, relation: str = OWN) -> Sweeps:
    """The distilled students' values of one quantity; no variants."""
    found: Sweeps = {}
    for value in values:
        identity = value.identity
        distilled = identity.teacher is not None and not is_variant(identity.method) and identity.alpha != 0
        if value.name == name and value.relation == relation and distilled and known(value):
            _at(found, value.layer, identity).append(value.value)
    return _ordered(found)


def references(values: Iterable[GeometryValue], name: str) -> dict[str, tuple[list[float], list[float]]]:
    """By layer: the plain students with their seed's teacher, and each two teachers with each other."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for value in values:
        if value.name == name and value.relation in (FLOOR, TEACHERS) and known(value):
            found.setdefault(value.layer, ([], []))[value.relation == TEACHERS].append(value.value)
    return found


def transferred(values: Iterable[GeometryValue], name: str) -> Sweeps:
    """Own minus other teachers, minus the same for the plain student of the seed; needs two seeds of teachers."""
    found: Sweeps = {}
    for (identity, layer), excess in _net(values, name).items():
        if not is_variant(identity.method):
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
    """Mean over alphas for each seed, by (layer, method); plain networks under their own names."""
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        if value.name == name and value.relation == relation and known(value):
            identity = value.identity
            method = f"{identity.method} {identity.student}" if identity.teacher is None else identity.method
            found[value.layer, method][identity.seed].append(value.value)
    return {key: [sum(each) / len(each) for _, each in sorted(seeds.items())] for key, seeds in found.items()}


def single(values: Iterable[GeometryValue], name: str) -> dict[tuple[str, str], list[float]]:
    """`per_seed` of a quantity that needs no second network."""
    return per_seed(values, name, SINGLE_RUN)


def _net(values: Iterable[GeometryValue], name: str) -> dict[tuple[Identity, str], float]:
    """Of each distilled student's layer: its excess minus that of the plain student of its seed."""
    excess = _excess([value for value in values if value.name == name and known(value)])
    plain = {(at[0].student, at[0].seed, at[1]): own for at, own in excess.items() if at[2] == FLOOR}
    found = {}
    for (identity, layer, relation), own in excess.items():
        base = plain.get((identity.student, identity.seed, layer))
        if relation == OWN and base is not None:
            found[identity, layer] = own - base
    return found


def _excess(values: Iterable[GeometryValue]) -> Mapping[tuple[Identity, str, str], float]:
    """Own minus mean of the others, by run, layer and OWN or FLOOR."""
    own: dict[tuple[Identity, str, str], float] = {}
    others: dict[tuple[Identity, str, str], list[float]] = defaultdict(list)
    for value in values:
        if value.relation in (OWN, FLOOR):
            own[value.identity, value.layer, value.relation] = value.value
        elif value.relation in (OTHER, FLOOR_OTHER):
            relation = OWN if value.relation == OTHER else FLOOR
            others[value.identity, value.layer, relation].append(value.value)
    return {key: own[key] - sum(others[key]) / len(others[key]) for key in own if others.get(key)}


def _ordered(found: Sweeps) -> Sweeps:
    return {layer: {m: found[layer][m] for m in sorted(found[layer], key=method_order)} for layer in sorted(found)}


def _at(found: Sweeps, layer: str, identity: Identity) -> list[float]:
    return found.setdefault(layer, {}).setdefault(identity.method, {}).setdefault(identity.alpha, [])


def known(value: GeometryValue) -> bool:
    return math.isfinite(value.value)
