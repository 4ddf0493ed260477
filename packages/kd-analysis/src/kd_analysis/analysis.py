"""Everything the report says, computed once: the tree, its grids, its tests, its geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kd_analysis.accuracy.cells import Grid, Setting, acc_best, acc_last, build_grid
from kd_analysis.accuracy.inference import BestAlpha, Contrast, Tested, best_alphas, contrasts, ledger
from kd_analysis.reading.runs_table import Tree, judge
from kd_analysis.representations.cache import Cache
from kd_analysis.representations.comparisons import GeometryValue, files_of, inspection_findings, measure_tree
from kd_analysis.representations.compute import File, Progress
from kd_hpc.campaign import Campaign
from kd_hpc.triage.run_directory import read_tree


@dataclass(frozen=True)
class Analysis:
    """`last` is the headline grid; `best` and `flagged_too` are the same with another accuracy and with quarantined
    runs."""

    tree: Tree
    campaign: Campaign | None
    last: Grid
    best: Grid
    flagged_too: Grid
    ledger: tuple[Tested, ...]
    ledger_best: tuple[Tested, ...]
    contrasts: tuple[Contrast, ...]
    best_alphas: tuple[BestAlpha, ...]
    values: tuple[GeometryValue, ...]
    files: Mapping[str, File]
    computed: int

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
    last, best = build_grid(tree, acc_last), build_grid(tree, acc_best)
    return Analysis(
        tree=tree,
        campaign=campaign,
        last=last,
        best=best,
        flagged_too=build_grid(tree, acc_last, flagged_too=True),
        ledger=ledger(last),
        ledger_best=ledger(best),
        contrasts=contrasts(last),
        best_alphas=best_alphas(last),
        values=tuple(values),
        files=files,
        computed=computed,
    )
