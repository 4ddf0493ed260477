"""Everything the report says, computed once: the tree, its statistics, its geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kd_analysis.accuracy.cell_model import CellModel, cell_models
from kd_analysis.accuracy.cells import Grid, Setting, acc_best, acc_last, build_grid, is_hard
from kd_analysis.accuracy.statistics import Statistics, statistics_of
from kd_analysis.reading.runs_table import Tree, judge
from kd_analysis.representations.cache import Cache
from kd_analysis.representations.compute import Progress
from kd_analysis.representations.files import RunFiles, files_of, sound_files
from kd_analysis.representations.pairs import FLOOR, FLOOR_OTHER
from kd_analysis.representations.values import GeometryValue, measure_tree
from kd_hpc.campaign import AnalysisSettings, Campaign
from kd_hpc.triage.run_directory import read_tree


@dataclass(frozen=True)
class Analysis:
    """`statistics` are of the accuracy after the last epoch, the headline; `best` and `models_best` of the best
    epoch's; `flagged_too` is the grid with the quarantined runs that are complete."""

    tree: Tree
    campaign: Campaign | None
    statistics: Statistics
    best: Grid
    models_best: tuple[CellModel, ...]
    flagged_too: Grid
    values: tuple[GeometryValue, ...]
    files: Mapping[str, RunFiles]
    computed: int

    @property
    def last(self) -> Grid:
        """The headline grid."""
        return self.statistics.grid

    @property
    def smallest_effect(self) -> float:
        """Points below which a difference is of no interest."""
        return self.statistics.smallest_effect

    @cached_property
    def by_setting(self) -> Mapping[Setting, tuple[GeometryValue, ...]]:
        """Geometry by setting: of its students, its teachers, and the plain student its cells are compared with."""
        return {setting: tuple(v for v in self.values if self._belongs(v, setting)) for setting in self.last.settings}

    def _belongs(self, value: GeometryValue, setting: Setting) -> bool:
        identity = value.identity
        if value.relation in (FLOOR, FLOOR_OTHER) and is_hard(identity) != self.last.reference(setting).is_hard:
            return False
        return (
            identity.dataset == setting.dataset
            and identity.student in (setting.student, setting.teacher)
            and identity.teacher in (None, setting.teacher)
            and (value.reference is None or value.reference.student in (setting.teacher, setting.student))
        )


def read_and_judge(
    root: Path, campaign: Campaign | None, cache: Cache, workers: int
) -> tuple[Tree, dict[str, RunFiles]]:
    """The tree with every finding, those from representations included, and its representation files."""
    runs, strays = read_tree(root)
    files, findings = sound_files(runs, files_of(runs), cache, workers)
    return judge(root, runs, strays, campaign, findings), files


def analyse(
    root: Path,
    campaign: Campaign | None,
    cache: Cache,
    workers: int,
    progress: Progress = lambda done, of: None,
) -> Analysis:
    """Read, judge and compute. Raises UsageError if `root` is no folder; nothing in it can raise."""
    tree, files = read_and_judge(root, campaign, cache, workers)
    values, computed = measure_tree(tree, files, cache, workers, progress)
    settings = campaign.analysis if campaign else AnalysisSettings()
    best = build_grid(tree, acc_best)
    return Analysis(
        tree=tree,
        campaign=campaign,
        statistics=statistics_of(build_grid(tree, acc_last), settings.smallest_effect),
        best=best,
        models_best=cell_models(best, settings.smallest_effect, permuted=False),
        flagged_too=build_grid(tree, acc_last, flagged_too=True),
        values=tuple(values),
        files=files,
        computed=computed,
    )
