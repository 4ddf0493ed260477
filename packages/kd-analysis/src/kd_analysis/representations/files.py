"""Which representation files a tree has, what each is, and what they say against their runs."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kd_analysis.representations.cache import Cache
from kd_analysis.representations.compute import File, inspect_all
from kd_hpc.store import REPRESENTATIONS
from kd_hpc.triage.checks import Finding, Severity
from kd_hpc.triage.run_directory import Run, file_hash, left_behind

BEST = "representations_best.npz"
"""Of the weights that were best on the test set: a teacher's are those its students saw."""
_EPOCH = re.compile(r"representations_epoch_([1-9][0-9]*)\.npz")
ITEMS_TOLERANCE, POINTS_TOLERANCE = 1.5, 0.25
REPLACED = "is not the file that the run left behind"


@dataclass(frozen=True)
class RunFiles:
    """A run's representations after its last epoch, of its best weights if they are kept apart, and by epoch."""

    last: File
    best: File | None = None
    epochs: Mapping[int, File] = field(default_factory=dict)

    @property
    def every(self) -> tuple[File, ...]:
        return (self.last, *((self.best,) if self.best else ()), *self.epochs.values())


def files_of(runs: Iterable[Run]) -> dict[str, RunFiles]:
    """The files of every run that has representations, by run path, each named by its content."""
    found = {}
    for run in runs:
        if run.has_representations and (last := _file(run.directory / REPRESENTATIONS, run)):
            found[run.path] = RunFiles(last, _file(run.directory / BEST, run), dict(_by_epoch(run)))
    return found


def _by_epoch(run: Run) -> Iterator[tuple[int, File]]:
    try:
        names = sorted(path.name for path in run.directory.iterdir())
    except OSError:
        return
    epochs = {int(match[1]): name for name in names if (match := _EPOCH.fullmatch(name))}
    for epoch, name in sorted(epochs.items()):
        if file := _file(run.directory / name, run):
            yield epoch, file


def _file(path: Path, run: Run) -> File | None:
    digest = file_hash(path)
    return File(path, digest, run.identity.dataset) if digest else None


def sound_files(
    runs: Iterable[Run], files: Mapping[str, RunFiles], cache: Cache, workers: int
) -> tuple[dict[str, RunFiles], dict[str, list[Finding]]]:
    """The files without those beside the last epoch's that cannot be used, and what all of them say against their runs:
    unreadable, other items than most, another accuracy than recorded."""
    present = {run.path: run for run in runs if run.path in files}
    found = inspect_all([file for each in files.values() for file in each.every], cache, workers)
    usual: dict[str, Counter[str]] = defaultdict(Counter)
    for path, run in present.items():
        report = found[files[path].last.digest]
        if not report["problem"]:
            usual[run.identity.dataset][report["items"]] += 1
    majorities = {dataset: counter.most_common(1)[0][0] for dataset, counter in usual.items()}
    kept, findings = {}, {}
    for path, run in present.items():
        items = majorities.get(run.identity.dataset, "")
        findings[path] = list(_findings(run, files[path].last, found[files[path].last.digest], items))
        kept[path], problems = _without_unusable(run, files[path], found, items)
        findings[path] += [Finding("representations_beside_unusable", Severity.NOTE, text) for text in problems]
    return kept, findings


def _findings(run: Run, file: File, report: Mapping[str, object], majority: str) -> Iterator[Finding]:
    if report["problem"]:
        yield Finding("representations_unusable", Severity.GEOMETRY, f"{REPRESENTATIONS} {report['problem']}")
        return
    if _is_replaced(file, run):
        yield Finding("representations_replaced", Severity.GEOMETRY, f"{REPRESENTATIONS} {REPLACED}")
    if report["items"] != majority:
        evidence = (
            f"its {report['count']} test items differ in number or order from those of most runs of this data set"
        )
        yield Finding("other_items", Severity.GEOMETRY, f"{REPRESENTATIONS}: {evidence}")
    computed, count = float(str(report["accuracy"])), int(str(report["count"]))
    slack = max(POINTS_TOLERANCE, 100 * ITEMS_TOLERANCE / count)
    if math.isfinite(run.acc_last) and abs(computed - run.acc_last) > slack:
        evidence = f"its logits give {computed:.2f} %, the record says {run.acc_last:.2f} %"
        yield Finding("logits_contradict_record", Severity.QUARANTINE, evidence)


def _is_replaced(file: File, run: Run) -> bool:
    """True if the run's record says that it left another file of this name."""
    expected = left_behind(run.record).get(file.path.name)
    return expected is not None and expected.sha256 != file.digest


def _without_unusable(
    run: Run, files: RunFiles, found: Mapping[str, Mapping[str, object]], items: str
) -> tuple[RunFiles, list[str]]:
    """The run's files without those that cannot be compared, and why not."""
    problems = {}
    for file in files.every[1:]:
        report = found[file.digest]
        if reason := report["problem"] or (REPLACED if _is_replaced(file, run) else ""):
            problems[file] = f"{file.path.name} {reason}: left out"
        elif report["items"] != items:
            problems[file] = f"{file.path.name} holds other items: left out"
    best = None if files.best in problems else files.best
    epochs = {epoch: file for epoch, file in files.epochs.items() if file not in problems}
    return RunFiles(files.last, best, epochs), list(problems.values())
