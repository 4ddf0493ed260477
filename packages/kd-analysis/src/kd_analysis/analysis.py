"""Everything the report says, computed once: the tree, its statistics, its geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kd_analysis.accuracy.cells import Grid, Setting, acc_best, acc_last, build_grid
from kd_analysis.accuracy.statistics import Statistics, statistics_of
from kd_analysis.reading.runs_table import Tree, judge
from kd_analysis.representations.cache import Cache
from kd_analysis.representations.comparisons import GeometryValue, files_of, inspection_findings, measure_tree
from kd_analysis.representations.compute import File, Progress
from kd_hpc.campaign import AnalysisSettings, Campaign
from kd_hpc.triage.run_directory import read_tree


@dataclass(frozen=True)
class Analysis:
    """`statistics` are of the accuracy after the last epoch, the headline; `statistics_best` of the best epoch's, which
    is chosen on the test set; `flagged_too` is the grid with the quarantined runs that are complete."""

    tree: Tree
    campaign: Campaign | None
    statistics: Statistics
    statistics_best: Statistics
    flagged_too: Grid
    values: tuple[GeometryValue, ...]
    files: Mapping[str, File]
    computed: int

    @property
    def last(self) -> Grid:
        """The headline grid."""
        return self.statistics.grid

    @property
    def best(self) -> Grid:
        return self.statistics_best.grid

    @property
    def smallest_effect(self) -> float:
        """Points below which a difference is of no interest."""
        return self.statistics.smallest_effect

    @cached_property
    def by_setting(self) -> Mapping[Setting, tuple[GeometryValue, ...]]:
        """Geometry by setting: of its students, its pure students and its teachers."""
        return {setting: tuple(v for v in self.values if _belongs(v, setting)) for setting in self.last.settings}


def _belongs(value: GeometryValue, setting: Setting) -> bool:
    return (
        value.identity.dataset == setting.dataset
        and value.identity.student in (setting.student, setting.teacher)
        and value.identity.teacher in (None, setting.teacher)
        and (value.reference is None or value.reference.student == setting.teacher)
    )


def read_and_judge(root: Path, campaign: Campaign | None, cache: Cache, workers: int) -> tuple[Tree, dict[str, File]]:
    """The tree with every finding, those from representations included, and its representation files."""
    runs, strays = read_tree(root)
    files = files_of(runs)
    findings = inspection_findings(runs, files, cache, workers)
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
    last, best = (statistics_of(build_grid(tree, of), settings.smallest_effect) for of in (acc_last, acc_best))
    return Analysis(
        tree=tree,
        campaign=campaign,
        statistics=last,
        statistics_best=best,
        flagged_too=build_grid(tree, acc_last, flagged_too=True),
        values=tuple(values),
        files=files,
        computed=computed,
    )
