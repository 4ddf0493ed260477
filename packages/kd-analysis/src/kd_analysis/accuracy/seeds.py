"""What more seeds would show, and what they would cost.

From the pooled error and the plan alone. The number of seeds that the effect seen in one cell "needs" is noise: where
ten are right, three seeds say anything from three to 244.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kd_analysis.accuracy.cell_model import CellModel
from kd_analysis.accuracy.cells import Cell, Setting
from kd_analysis.accuracy.effects import Effect
from kd_analysis.reading.durations import device_seconds
from kd_analysis.reading.runs_table import Tree
from kd_analysis.stats.design import cell_detectable, detectable_effect, simultaneous_critical, slope_detectable
from kd_analysis.stats.paired import Conclusion
from kd_hpc.triage.run_directory import Identity

SEEDS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
MORE = (1, 2, 3, 6, 9, 12)
NEAREST = 2
OPEN = (Conclusion.SUGGESTIVE, Conclusion.INCONCLUSIVE)


@dataclass(frozen=True)
class CurvePoint:
    """What so many seeds detect with 80 % power: a cell's difference (points) and a slope (points per unit alpha)."""

    setting: Setting
    seeds: int
    cell: float
    slope: float


@dataclass(frozen=True)
class Advice:
    """So many more seeds in these cells: device hours, NaN where none was measured, and what they would detect."""

    setting: Setting
    cells: tuple[Cell, ...]
    everything: bool
    more: int
    hours: float
    detectable: float


def design_curve(model: CellModel) -> tuple[CurvePoint, ...]:
    """The curve of one setting with the cells it has; empty without a pooled error."""
    if not (model.sd > 0 and model.pooled and model.effects):
        return ()
    family, arms = len(model.effects), len(model.data.arms)
    alphas = sorted({effect.cell.alpha for effect in model.effects if effect.cell.alpha is not None})
    spread = float(np.sum((np.array(alphas) - np.mean(alphas)) ** 2)) if alphas else 0.0
    methods = len({effect.cell.method for effect in model.effects})
    return tuple(
        CurvePoint(
            model.setting,
            seeds,
            cell_detectable(model.sd, seeds, family, arms),
            slope_detectable(model.sd, seeds, spread, methods, arms),
        )
        for seeds in SEEDS
    )


def advise(model: CellModel, tree: Tree) -> tuple[Advice, ...]:
    """More seeds for all cells, and for the two open ones that are nearest to a conclusion."""
    if not (model.sd > 0 and model.pooled and model.effects):
        return ()
    hours = _hours(tree, model.setting)
    return tuple(advice for more in MORE for advice in _choices(model, hours, more))


def _choices(model: CellModel, hours: Mapping[str, float], more: int) -> Iterator[Advice]:
    still_open = sorted((e for e in model.effects if e.conclusion in OPEN), key=lambda effect: effect.p_adjusted)
    if len(still_open) > 0 and len(still_open[:NEAREST]) < len(model.effects):
        yield _advice(model, still_open[:NEAREST], hours, more, everything=False)
    yield _advice(model, model.effects, hours, more, everything=True)


def _advice(
    model: CellModel, effects: Sequence[Effect], hours: Mapping[str, float], more: int, *, everything: bool
) -> Advice:
    """A new seed is a new block: its teacher and its reference are trained, too."""
    seeds = min(effect.n for effect in effects) + more
    degrees = model.degrees + more * len(effects)
    critical = simultaneous_critical(len(model.effects), degrees)
    detectable = detectable_effect(model.sd * math.sqrt(2 / seeds), critical, degrees)
    names = [_arm(effect.cell.method, effect.cell.alpha) for effect in effects]
    names += [_arm(model.reference.method, None), _arm("teacher", None)]
    cost = more * sum(hours.get(name, math.nan) for name in names)
    return Advice(model.setting, tuple(effect.cell for effect in effects), everything, more, cost, detectable)


def _hours(tree: Tree, setting: Setting) -> dict[str, float]:
    """Mean device hours of a run of each arm of the setting, its teacher included."""
    found: dict[str, list[float]] = defaultdict(list)
    for identity, item in tree.usable.items():
        name = _name(identity, setting)
        seconds = device_seconds(item.run)
        if name and math.isfinite(seconds):
            found[name].append(seconds / 3600)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _name(identity: Identity, setting: Setting) -> str:
    if identity.dataset != setting.dataset:
        return ""
    if identity.teacher is not None:
        ours = (identity.teacher, identity.student) == (setting.teacher, setting.student)
        return _arm(identity.method, identity.alpha) if ours else ""
    if identity.is_pure and identity.student == setting.teacher:
        return _arm("teacher", None)
    return _arm(identity.method, None) if identity.student == setting.student else ""


def _arm(method: str, alpha: float | None) -> str:
    return f"{method} {alpha}"
