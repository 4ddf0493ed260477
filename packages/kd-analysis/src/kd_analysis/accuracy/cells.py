"""Runs grouped into cells (one method at one alpha for one data set and pair of networks), beside what they are
compared with.

Only usable runs count, only seeds that both sides have are paired, nothing is imputed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from kd_analysis.accuracy.names import HARD, is_variant, method_order, rank, show_alpha, show_method
from kd_analysis.accuracy.references import BySeed, Reference, reference_of
from kd_analysis.reading.runs_table import Tree
from kd_analysis.stats.intervals import Interval, t_interval
from kd_analysis.stats.paired import PairedComparison, compare_paired
from kd_hpc.catalogue import DATASETS, PURE
from kd_hpc.triage.run_directory import Identity, Run

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

    @property
    def name(self) -> str:
        return f"{self.dataset}, {self.pair}"


@dataclass(frozen=True)
class Cell:
    """The usable runs of one method and alpha by seed. `expected` counts the seeds the grid has here."""

    setting: Setting
    method: str
    alpha: float | None
    expected: int
    values: BySeed
    reference: Reference

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def name(self) -> str:
        return f"{self.setting.dataset}, {show_method(self.method)}, alpha {show_alpha(self.alpha)}"

    @property
    def is_variant(self) -> bool:
        """True for a control arm, other settings or a fork: no part of the comparison of methods."""
        return is_variant(self.method)

    @property
    def distils(self) -> bool:
        """False at alpha 0, where every method is the student on hard labels."""
        return self.alpha != 0

    @cached_property
    def interval(self) -> Interval:
        return t_interval([self.values[seed] for seed in sorted(self.values)])

    @property
    def paired_seeds(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.values) & set(self.reference.values)))

    @property
    def differences(self) -> dict[int, float]:
        """Student minus reference, points, by seed."""
        return {seed: self.values[seed] - self.reference.values[seed] for seed in self.paired_seeds}

    @cached_property
    def comparison(self) -> PairedComparison | None:
        """None where no seed has both sides."""
        seeds = self.paired_seeds
        if not seeds:
            return None
        return compare_paired([self.values[seed] for seed in seeds], [self.reference.values[seed] for seed in seeds])


@dataclass(frozen=True)
class Grid:
    """Every cell of a tree under one choice of accuracy. By data set and network: `pure` and `hard`, and by name in
    `swept` the students without a teacher that have settings of their own."""

    cells: tuple[Cell, ...]
    pure: Mapping[tuple[str, str], BySeed]
    hard: Mapping[tuple[str, str], BySeed]
    swept: Mapping[tuple[str, str], Mapping[str, BySeed]] = field(default_factory=dict)

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        return tuple(dict.fromkeys(cell.setting for cell in self.cells))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods of ordinary runs."""
        return tuple(sorted({cell.method for cell in self.cells if not cell.is_variant}, key=method_order))

    @cached_property
    def alphas(self) -> tuple[float | None, ...]:
        """The strengths of ordinary runs that distil."""
        found = {cell.alpha for cell in self.cells if cell.distils and not cell.is_variant}
        return tuple(sorted(found, key=lambda alpha: -1.0 if alpha is None else alpha))

    def of(self, setting: Setting, method: str | None = None) -> tuple[Cell, ...]:
        """The setting's cells that distil, of one method if named, by method and alpha; no variants unless named."""
        return tuple(
            cell
            for cell in self.cells
            if cell.setting == setting
            and cell.distils
            and (cell.method == method if method is not None else not cell.is_variant)
        )

    def variants(self, setting: Setting) -> tuple[Cell, ...]:
        """Control arms, other settings and forks of the setting."""
        return tuple(cell for cell in self.cells if cell.setting == setting and cell.is_variant)

    def reference(self, setting: Setting, method: str = "") -> Reference:
        """What the setting's cells are compared with; those of `method`, where it has settings of its own."""
        return reference_of(method, self.plain(setting))

    def plain(self, setting: Setting) -> dict[str, BySeed]:
        """The setting's students without a teacher, by name."""
        key = (setting.dataset, setting.student)
        return {PURE: self.pure.get(key, {}), HARD: self.hard.get(key, {}), **self.swept.get(key, {})}

    def baseline(self, setting: Setting) -> BySeed:
        """The pure student, whatever cells are compared with."""
        return self.pure.get((setting.dataset, setting.student), {})

    def teacher(self, setting: Setting) -> BySeed:
        return self.pure.get((setting.dataset, setting.teacher), {})


def build_grid(tree: Tree, measure: AccuracyOf = acc_last, *, flagged_too: bool = False) -> Grid:
    """The grid of all runs in `tree` and its campaign. `flagged_too` also counts completed runs under quarantine."""
    identities = dict.fromkeys([*tree.expected, *(item.run.identity for item in tree.runs)])
    values = _values(tree, measure, flagged_too)
    seeds: dict[tuple[Setting, str, float | None], set[int]] = defaultdict(set)
    for identity in identities:
        if identity.teacher is not None:
            setting = Setting(identity.dataset, identity.teacher, identity.student)
            seeds[setting, identity.method, identity.alpha].add(identity.seed)
    pure = {
        (identity.dataset, identity.student): _by_seed(values, identity) for identity in identities if identity.is_pure
    }
    bare = Grid((), pure, _hard(values), _swept(identities, values))
    cells = [_cell(*key, expected, values, bare.reference(*key[:2])) for key, expected in seeds.items()]
    return replace(bare, cells=tuple(sorted(cells, key=_order)))


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


def _hard(values: Mapping[Identity, float]) -> dict[tuple[str, str], BySeed]:
    """Students on hard labels by data set and network: the control arm, and every method at alpha 0, which is the same
    training; of several for one seed the mean."""
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for identity, value in values.items():
        if is_hard(identity):
            found[identity.dataset, identity.student][identity.seed].append(value)
    return {key: {seed: sum(v) / len(v) for seed, v in sorted(seeds.items())} for key, seeds in found.items()}


def _swept(
    identities: Iterable[Identity], values: Mapping[Identity, float]
) -> dict[tuple[str, str], dict[str, dict[int, float]]]:
    found: dict[tuple[str, str], dict[str, dict[int, float]]] = defaultdict(dict)
    for identity in identities:
        if identity.teacher is None and identity.method not in (PURE, HARD):
            found[identity.dataset, identity.student][identity.method] = _by_seed(values, identity)
    return found


def is_hard(identity: Identity) -> bool:
    """True for a student trained on hard labels alone, whichever way it was named."""
    return identity.method == HARD or (identity.alpha == 0 and not is_variant(identity.method))


def _cell(
    setting: Setting,
    method: str,
    alpha: float | None,
    seeds: Iterable[int],
    values: Mapping[Identity, float],
    reference: Reference,
) -> Cell:
    expected = sorted(seeds)
    found = {
        seed: values[identity]
        for seed in expected
        if (identity := Identity(setting.dataset, method, alpha, setting.teacher, setting.student, seed)) in values
    }
    return Cell(setting, method, alpha, len(expected), found, reference)


def _order(cell: Cell) -> tuple[object, ...]:
    dataset = rank(cell.setting.dataset, DATASETS)
    alpha = -1.0 if cell.alpha is None else cell.alpha
    return (*dataset, cell.setting.teacher, cell.setting.student, method_order(cell.method), alpha)
