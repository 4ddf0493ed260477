"""Run directories -> one tree of triaged runs, and ONE tidy table of it: a row a run, nothing dropped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_analysis.reading.durations import device_seconds, students_a_job, wall_seconds
from kd_hpc.campaign import Campaign
from kd_hpc.triage.checks import Finding
from kd_hpc.triage.find_runs import Stray
from kd_hpc.triage.run_directory import Identity, Run, identity_of, read_tree
from kd_hpc.triage.verdict import Triaged, triage_runs

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    "path",
    "dataset",
    "method",
    "alpha",
    "teacher",
    "student",
    "seed",
    "state",
    "verdict",
    "findings",
    "evidence",
    "epochs",
    "epochs_planned",
    "acc_last",
    "acc_best",
    "acc_mean_of_last_5",
    "best_epoch",
    "teacher_acc_last",
    "attempts",
    "seconds",
    "seconds_per_epoch",
    "device_seconds",
    "students_at_most",
    "curves_from",
    "has_representations",
    "device",
    "torch",
    "code_version",
]


@dataclass(frozen=True)
class Tree:
    """An experiments folder as read and judged. `expected` are the runs a campaign plans, if one was named."""

    root: Path
    runs: tuple[Triaged, ...]
    strays: tuple[Stray, ...]
    expected: tuple[Identity, ...] = ()

    @cached_property
    def by_identity(self) -> dict[Identity, Triaged]:
        """Runs by what they are; of duplicates the first, which is flagged anyway."""
        return {item.run.identity: item for item in reversed(self.runs)}

    @cached_property
    def usable(self) -> dict[Identity, Triaged]:
        """The runs whose accuracy may enter statistics."""
        return {identity: item for identity, item in self.by_identity.items() if item.usable}

    @property
    def counted(self) -> int:
        """Usable runs, of those planned if a campaign was named."""
        return len(self.usable.keys() & set(self.expected)) if self.expected else len(self.usable)

    @property
    def unplanned(self) -> int:
        """Runs that are here although the campaign does not plan them; they are shown and counted all the same."""
        return len(self.by_identity.keys() - set(self.expected)) if self.expected else 0

    @property
    def planned(self) -> int:
        """How many runs there should be: the campaign's, or else those that are here."""
        return len(self.expected) or len(self.runs)


def collect(root: Path, campaign: Campaign | None = None, more: Mapping[str, list[Finding]] | None = None) -> Tree:
    """Read and judge everything under `root`. Raises UsageError if it is no folder."""
    runs, strays = read_tree(root)
    return judge(root, runs, strays, campaign, more)


def judge(
    root: Path,
    runs: list[Run],
    strays: list[Stray],
    campaign: Campaign | None = None,
    more: Mapping[str, list[Finding]] | None = None,
) -> Tree:
    """`collect` for runs already read, with findings by path that needed heavier reading."""
    expected = tuple(map(identity_of, campaign.experiments())) if campaign else ()
    return Tree(root, tuple(triage_runs(runs, more)), tuple(strays), expected)


def frame(tree: Tree) -> pd.DataFrame:
    """The tidy table; accuracies in percent, times in seconds, missing values empty.

    `seconds` are of the clock; where students share a job they are of all of them, and `device_seconds` is one's share.
    """
    import pandas as pd

    table = pd.DataFrame([_row(tree, item) for item in tree.runs], columns=COLUMNS)
    return table.astype({"seed": "int64", "epochs": "int64"}) if len(table) else table


def _row(tree: Tree, item: Triaged) -> dict[str, Any]:
    run, identity, record = item.run, item.run.identity, item.run.record
    provenance = record.provenance if record else {}
    teacher = tree.by_identity.get(identity.teacher_run) if identity.teacher_run else None
    seconds, students = wall_seconds(run), students_a_job(run)
    return {
        **vars(identity),
        "path": run.path,
        "state": run.state,
        "verdict": str(item.verdict),
        "findings": " ".join(finding.code for finding in item.findings),
        "evidence": item.evidence,
        "epochs": run.epochs,
        "epochs_planned": record.epochs if record else None,
        "acc_last": run.acc_last,
        "acc_best": run.acc_best,
        "acc_mean_of_last_5": mean_of_last(run, 5),
        "best_epoch": best_epoch(run),
        "teacher_acc_last": teacher.run.acc_last if teacher else math.nan,
        "attempts": len(record.attempts) if record and record.attempts else None,
        "seconds": seconds,
        "seconds_per_epoch": seconds / run.epochs if run.epochs else math.nan,
        "device_seconds": device_seconds(run),
        "students_at_most": students[1] if students else None,
        "curves_from": run.curves_source,
        "has_representations": run.has_representations,
        "device": provenance.get("gpu") or provenance.get("device"),
        "torch": provenance.get("torch"),
        "code_version": provenance.get("code_version"),
    }


def mean_of_last(run: Run, epochs: int) -> float:
    """Mean test accuracy in percent over the last epochs; NaN where there are fewer."""
    values = run.curves.test_acc[-epochs:]
    return sum(values) / epochs if len(values) == epochs else math.nan


def best_epoch(run: Run) -> int | None:
    """The epoch, counted from 1, of the best test accuracy; None where no curve says it."""
    values = [value if math.isfinite(value) else -math.inf for value in run.curves.test_acc]
    if not values:
        return run.record.best_epoch if run.record else None
    return run.first_epoch + values.index(max(values)) + 1
