"""Runs grouped into cells (one method at one alpha for one data set and pair of networks), each compared with pure.

Only usable runs count, only seeds that both sides have are paired, nothing is imputed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from kd_analysis.reading.runs_table import Tree
from kd_analysis.stats.intervals import Interval, t_interval
from kd_analysis.stats.paired import PairedComparison, compare_paired
from kd_hpc.catalogue import DATASETS, METHODS, MODELS, PURE
from kd_hpc.triage.run_directory import Identity, Run
from kd_hpc.variant import format_alpha

AccuracyOf = Callable[[Run], float]


def acc_last(run: Run) -> float:
    """The headline accuracy."""
    return run.acc_last


def acc_best(run: Run) -> float:
    """The accuracy of the epoch that was best on the test set; printed beside the headline."""
    return run.acc_best


@dataclass(frozen=True, order=True)
class Setting:
    """What is compared within: a data set and a pair of networks."""

    dataset: str
    teacher: str
    student: str

    @property
    def pair(self) -> str:
        return f"{self.teacher} to {self.student}"


@dataclass(frozen=True)
class Cell:
    """The usable runs of one method and alpha by seed, with the pure students of the same seeds.

    `expected` counts the seeds the grid has here; `values` and `baseline` are accuracies in percent by seed.
    """

    setting: Setting
    method: str
    alpha: float | None
    expected: int
    values: Mapping[int, float]
    baseline: Mapping[int, float]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def name(self) -> str:
        return f"{self.setting.dataset}, {self.method}, alpha {show_alpha(self.alpha)}"

    @cached_property
    def interval(self) -> Interval:
        return t_interval([self.values[seed] for seed in sorted(self.values)])

    @property
    def paired_seeds(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.values) & set(self.baseline)))

    @property
    def differences(self) -> dict[int, float]:
        """Student minus pure student, points, by seed."""
        return {seed: self.values[seed] - self.baseline[seed] for seed in self.paired_seeds}

    @cached_property
    def comparison(self) -> PairedComparison | None:
        """None where no seed has both sides."""
        seeds = self.paired_seeds
        if not seeds:
            return None
        return compare_paired([self.values[seed] for seed in seeds], [self.baseline[seed] for seed in seeds])


@dataclass(frozen=True)
class Grid:
    """Every cell of a tree under one measure of accuracy, and the pure runs beside them."""

    cells: tuple[Cell, ...]
    pure: Mapping[tuple[str, str], Mapping[int, float]]

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        return tuple(dict.fromkeys(cell.setting for cell in self.cells))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        return tuple(ordered({cell.method for cell in self.cells}, METHODS))

    @cached_property
    def alphas(self) -> tuple[float | None, ...]:
        return tuple(sorted({cell.alpha for cell in self.cells}, key=lambda alpha: -1.0 if alpha is None else alpha))

    def of(self, setting: Setting, method: str | None = None) -> tuple[Cell, ...]:
        """The setting's cells, of one method if named, by method and alpha."""
        return tuple(cell for cell in self.cells if cell.setting == setting and method in (None, cell.method))

    def baseline(self, setting: Setting) -> Mapping[int, float]:
        return self.pure.get((setting.dataset, setting.student), {})

    def teacher(self, setting: Setting) -> Mapping[int, float]:
        return self.pure.get((setting.dataset, setting.teacher), {})


def build_grid(tree: Tree, measure: AccuracyOf = acc_last, *, flagged_too: bool = False) -> Grid:
    """The grid of all runs in `tree` and its campaign. `flagged_too` also counts completed runs under quarantine."""
    identities = dict.fromkeys([*tree.expected, *(item.run.identity for item in tree.runs)])
    values = _values(tree, measure, flagged_too)
    seeds: dict[tuple[Setting, str, float | None], set[int]] = {}
    for identity in identities:
        if identity.teacher is not None:
            setting = Setting(identity.dataset, identity.teacher, identity.student)
            seeds.setdefault((setting, identity.method, identity.alpha), set()).add(identity.seed)
    pure = {
        (identity.dataset, identity.student): _by_seed(values, identity) for identity in identities if identity.is_pure
    }
    cells = [_cell(*key, expected, values, pure) for key, expected in seeds.items()]
    return Grid(tuple(sorted(cells, key=_order)), pure)


def _values(tree: Tree, measure: AccuracyOf, flagged_too: bool) -> dict[Identity, float]:
    chosen = {
        identity: item.run
        for identity, item in tree.by_identity.items()
        if item.usable or (flagged_too and item.run.state == "completed")
    }
    measured = {identity: measure(run) for identity, run in chosen.items()}
    return {identity: value for identity, value in measured.items() if value == value}


def _by_seed(values: Mapping[Identity, float], like: Identity) -> dict[int, float]:
    def key(identity: Identity) -> tuple[object, ...]:
        return (identity.dataset, identity.method, identity.alpha, identity.teacher, identity.student)

    return {identity.seed: value for identity, value in values.items() if key(identity) == key(like)}


def _cell(
    setting: Setting,
    method: str,
    alpha: float | None,
    seeds: set[int],
    values: Mapping[Identity, float],
    pure: Mapping[tuple[str, str], Mapping[int, float]],
) -> Cell:
    found = {
        seed: values[identity]
        for seed in sorted(seeds)
        if (identity := Identity(setting.dataset, method, alpha, setting.teacher, setting.student, seed)) in values
    }
    return Cell(setting, method, alpha, len(seeds), found, pure.get((setting.dataset, setting.student), {}))


def _order(cell: Cell) -> tuple[object, ...]:
    dataset = rank(cell.setting.dataset, DATASETS)
    alpha = -1.0 if cell.alpha is None else cell.alpha
    return (*dataset, cell.setting.teacher, cell.setting.student, *rank(cell.method, METHODS), alpha)


def rank(name: str, known: Iterable[str]) -> tuple[int, str]:
    """Sort key: names of the catalogue in its order, others after them by name."""
    order = list(known)
    return (order.index(name) if name in order else len(order), name)


def ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names in the catalogue's order, unknown ones last."""
    order = list(known)
    return sorted(names, key=lambda name: rank(name, order))


def network_order(name: str) -> tuple[object, ...]:
    """Sort key for rows of networks: methods in the catalogue's order, pure networks before, larger ones first."""
    if name == PURE or name.startswith(f"{PURE} "):
        return (0, *rank(name.removeprefix(f"{PURE} "), MODELS))
    return (1, *rank(name, METHODS))


def ordered_models(names: Iterable[str]) -> list[str]:
    """Networks, largest first."""
    return ordered(names, MODELS)


def show_alpha(alpha: float | None) -> str:
    """For labels: the shortest decimal, or a question mark where nothing records it."""
    return "?" if alpha is None else format_alpha(alpha)


def show_method(method: str) -> str:
    """For labels: the method's name in words."""
    return "pure student" if method == PURE else method.replace("_", " ")
