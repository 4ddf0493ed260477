"""The model of one setting: accuracy = cell + seed + error, and every cell against the reference at once.

One error for all cells is what makes three seeds enough to say anything: 19 cells of three seeds leave 36 degrees of
freedom where a cell alone has two. Whether one error may stand for all is tested and shown; where it may not, each
cell is judged by its own differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from kd_analysis.accuracy.cells import Cell, Grid, Setting
from kd_analysis.accuracy.effects import Effect, point_effects, pooled_effects, unpooled_effects
from kd_analysis.accuracy.references import BySeed, Reference
from kd_analysis.stats.intervals import NAN
from kd_analysis.stats.linear import Floats, FTest, LinearFit, block_test, cells_and_blocks, least_squares
from kd_analysis.stats.paired import LEVEL
from kd_analysis.stats.permutation import permuted_p
from kd_analysis.stats.variances import SpreadTest, brown_forsythe

THREADS = 2
Key = tuple[str, float | None]
"""An arm by method and alpha; plain students have none."""


@dataclass(frozen=True)
class Observation:
    """One run in the model; `value`, `fitted` and `residual` in points of accuracy."""

    method: str
    alpha: float | None
    seed: int
    value: float
    fitted: float
    residual: float


@dataclass(frozen=True, eq=False)
class Data:
    """The counted runs of a setting's student as the model takes them: arms by key, and a line a run."""

    arms: tuple[Key, ...]
    cells: tuple[int, ...]
    seeds: tuple[int, ...]
    values: Floats

    @property
    def blocks(self) -> list[int]:
        """Seeds, counted from 0."""
        order = sorted(set(self.seeds))
        return [order.index(seed) for seed in self.seeds]


@dataclass(frozen=True, eq=False)
class CellModel:
    """`effects` are those of ordinary cells, `variants` those of control arms, settings and forks, a family apart.

    `fit` is None where no seed is left to judge the error by; `pooled` says whether one error stands for all cells.
    """

    setting: Setting
    reference: Reference
    smallest_effect: float
    data: Data
    fit: LinearFit | None
    effects: tuple[Effect, ...]
    variants: tuple[Effect, ...]
    spread_of_cells: SpreadTest
    spread_of_methods: SpreadTest
    pooled: bool
    seeds: FTest | None
    p_permuted_min: float

    @property
    def sd(self) -> float:
        """The error of one run, points."""
        return self.fit.sd if self.fit else NAN

    @property
    def degrees(self) -> int:
        return self.fit.degrees if self.fit else 0

    @property
    def observations(self) -> tuple[Observation, ...]:
        fitted = self.fit.fitted if self.fit else self.data.values
        return tuple(
            Observation(*self.data.arms[cell], seed, float(value), float(expected), float(value - expected))
            for cell, seed, value, expected in zip(
                self.data.cells, self.data.seeds, self.data.values, fitted, strict=True
            )
        )

    def contrast(self, weights: dict[Key, float]) -> Floats:
        """A row of the model's design for weights by arm. Raises ValueError for an arm that it does not have."""
        return contrast(self.data, weights)


def cell_models(grid: Grid, smallest_effect: float, *, permuted: bool = True) -> tuple[CellModel, ...]:
    """The model of every setting in which something can be compared; in threads, since arrays take most of the time."""
    of = partial(cell_model, grid, smallest_effect=smallest_effect, permuted=permuted)
    with ThreadPoolExecutor(THREADS) as pool:
        return tuple(model for model in pool.map(of, grid.settings) if model is not None)


def cell_model(grid: Grid, setting: Setting, smallest_effect: float, *, permuted: bool = True) -> CellModel | None:
    """None where no cell shares a seed with the reference. Without `permuted` labels are not exchanged as a check."""
    cells, variants = ([c for c in found if c.paired_seeds] for found in (grid.of(setting), grid.variants(setting)))
    if not cells and not variants:
        return None
    data = gather(grid, setting)
    fit = least_squares(data.values, cells_and_blocks(data.cells, data.blocks))
    sound = fit is not None and fit.sd > 0
    spreads = _spreads(data, fit) if fit and sound else (SpreadTest(), SpreadTest())
    pooled = sound and not any(test.p_design < LEVEL / len(spreads) for test in spreads)
    judged = _Judged(data, fit, pooled, smallest_effect, permuted)
    effects, smallest_p = judged.family(cells)
    return CellModel(
        setting=setting,
        reference=grid.reference(setting),
        smallest_effect=smallest_effect,
        data=data,
        fit=fit,
        effects=effects,
        variants=judged.family(variants)[0],
        spread_of_cells=spreads[0],
        spread_of_methods=spreads[1],
        pooled=pooled,
        seeds=block_test(data.values, data.cells, data.blocks) if sound else None,
        p_permuted_min=smallest_p,
    )


def gather(grid: Grid, setting: Setting) -> Data:
    """Every counted run of the setting's student: plain ones first, then cells and variants."""
    arms: dict[Key, BySeed] = {(method, None): values for method, values in grid.plain(setting).items()}
    arms |= {(c.method, c.alpha): c.values for c in (*grid.of(setting), *grid.variants(setting))}
    arms = {arm: values for arm, values in arms.items() if values}
    lines = [(place, seed, v[seed]) for place, v in enumerate(arms.values()) for seed in sorted(v)]
    cells, seeds, values = zip(*lines, strict=True)
    return Data(tuple(arms), cells, seeds, np.array(values))


def contrast(data: Data, weights: dict[Key, float]) -> Floats:
    """`CellModel.contrast` of the data alone."""
    if unknown := weights.keys() - set(data.arms):
        raise ValueError(f"no such arm: {unknown}")
    row = np.zeros(len(data.arms) + len(set(data.seeds)) - 1)
    row[: len(data.arms)] = [weights.get(arm, 0.0) for arm in data.arms]
    return row


@dataclass(frozen=True, eq=False)
class _Judged:
    """A fitted model, and how families of cells are judged by it."""

    data: Data
    fit: LinearFit | None
    pooled: bool
    smallest_effect: float
    permuted: bool

    def family(self, cells: Sequence[Cell]) -> tuple[tuple[Effect, ...], float]:
        """Each cell against its reference, and the smallest p that permutation could give."""
        fit = self.fit
        if fit is None or fit.sd == 0 or not cells:
            return point_effects(cells), NAN
        rows = np.array(
            [contrast(self.data, {(c.method, c.alpha): 1.0, (c.reference.method, None): -1.0}) for c in cells]
        )
        told = fit.estimable(rows)
        known, rows = [cell for cell, is_told in zip(cells, told, strict=True) if is_told], rows[told]
        if not known:
            return (), NAN
        p_values, smallest = self._exchanged(fit, rows)
        if self.pooled:
            return pooled_effects(fit, known, rows, p_values, self.smallest_effect), smallest
        return unpooled_effects(known, p_values, self.smallest_effect), smallest

    def _exchanged(self, fit: LinearFit, rows: Floats) -> tuple[list[float], float]:
        if not self.permuted:
            return [NAN] * len(rows), NAN
        found, smallest = permuted_p(fit, self.data.values, self.data.blocks, rows)
        return [float(p) for p in found], smallest


def _spreads(data: Data, fit: LinearFit) -> tuple[SpreadTest, SpreadTest]:
    """Do cells, and do methods, scatter alike around the model?"""
    keys = [data.arms[cell] for cell in data.cells]
    return brown_forsythe(fit, keys), brown_forsythe(fit, [method for method, _ in keys])
