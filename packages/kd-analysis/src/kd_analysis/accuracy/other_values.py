"""The same comparisons of cells for other numbers of runs than accuracy: how students answer, how sure they are."""

from __future__ import annotations

from collections.abc import Mapping

from kd_analysis.accuracy.cells import Cell, Grid
from kd_analysis.accuracy.names import HARD
from kd_analysis.accuracy.references import BySeed, Reference
from kd_hpc.catalogue import PURE
from kd_hpc.triage.run_directory import Identity


def grid_of_values(like: Grid, values: Mapping[Identity, float], plain: Mapping[Identity, float]) -> Grid:
    """The grid `like` with other numbers: of distilled runs in `values`, of plain students in `plain`, by run.

    The reference of each cell is that of accuracies.
    """
    pure, hard = ({key: _plain(key, method, plain) for key in like.pure} for method in (PURE, HARD))
    swept = {key: {method: _plain(key, method, plain) for method in found} for key, found in like.swept.items()}
    bare = Grid((), pure, {key: found for key, found in hard.items() if found}, swept)
    return Grid(tuple(_cell(cell, values, bare) for cell in like.cells), bare.pure, bare.hard, swept)


def _cell(cell: Cell, values: Mapping[Identity, float], bare: Grid) -> Cell:
    found = {seed: values[identity] for seed in sorted(cell.values) if (identity := _identity(cell, seed)) in values}
    base = bare.plain(cell.setting).get(cell.reference.method, {})
    return Cell(cell.setting, cell.method, cell.alpha, cell.expected, found, Reference(cell.reference.method, base))


def _identity(cell: Cell, seed: int) -> Identity:
    at = cell.setting
    return Identity(at.dataset, cell.method, cell.alpha, at.teacher, at.student, seed)


def _plain(key: tuple[str, str], method: str, values: Mapping[Identity, float]) -> BySeed:
    dataset, student = key
    found = {
        i.seed: value
        for i, value in values.items()
        if i.dataset == dataset and i.student == student and _arm(i) == method
    }
    return dict(sorted(found.items()))


def _arm(identity: Identity) -> str:
    return HARD if identity.alpha == 0 else identity.method
