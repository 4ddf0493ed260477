"""A verdict with evidence for every run: its own files (`checks`), then what only several runs together show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from kd_hpc.records import State
from kd_hpc.triage.checks import Finding, Severity, check_run
from kd_hpc.triage.recipes import recipe_findings, smoothing
from kd_hpc.triage.run_directory import Identity, Run

SAME_FOR = 5


class Verdict(StrEnum):
    """OK and NOTED runs enter the statistics, the others never do."""

    OK = "ok"
    NOTED = "noted"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    FLAGGED = "flagged"


@dataclass(frozen=True)
class Triaged:
    """A run with its verdict and the findings behind it, gravest first."""

    run: Run
    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """True if the run's accuracy may enter statistics."""
        return self.verdict in (Verdict.OK, Verdict.NOTED)

    @property
    def usable_geometry(self) -> bool:
        """True if its representations may enter the geometry too."""
        return self.usable and all(finding.severity < Severity.GEOMETRY for finding in self.findings)

    @property
    def evidence(self) -> str:
        return "; ".join(finding.evidence for finding in self.findings)


def triage_runs(
    runs: Iterable[Run],
    more: Mapping[str, list[Finding]] | None = None,
    planned: Mapping[Identity, Mapping[str, Any]] | None = None,
) -> list[Triaged]:
    """Every run with its verdict, in the order given. `more` holds findings by path that need heavier reading,
    `planned` the recipe that a campaign plans for a run."""
    runs = list(runs)
    findings = {run.path: check_run(run) + list((more or {}).get(run.path, ())) for run in runs}
    of_several = (_duplicates(runs), _same_trajectories(runs), _other_teacher_weights(runs))
    for path, finding in chain(*of_several, recipe_findings(runs, planned)):
        findings[path].append(finding)
    for path, finding in list(_teachers(runs, findings)):
        findings[path].append(finding)
    return [_judge(run, findings[run.path]) for run in runs]


def _judge(run: Run, findings: list[Finding]) -> Triaged:
    ordered = tuple(sorted(findings, key=lambda finding: (-finding.severity, finding.code)))
    return Triaged(run, _verdict(run, ordered), ordered)


def _verdict(run: Run, findings: tuple[Finding, ...]) -> Verdict:
    if any(finding.severity == Severity.QUARANTINE for finding in findings):
        return Verdict.FLAGGED
    if run.state == State.FAILED or any(finding.code == "crashed" for finding in findings):
        return Verdict.FAILED
    if run.state != State.COMPLETED:
        return Verdict.UNFINISHED
    return Verdict.NOTED if findings else Verdict.OK


def _duplicates(runs: list[Run]) -> Iterator[tuple[str, Finding]]:
    """Several directories that claim to be one run: no rule can say which of them is."""
    claims: dict[Identity, list[Run]] = defaultdict(list)
    for run in runs:
        if run.identity.is_pure or run.identity.alpha is not None:
            claims[run.identity].append(run)
    for same in claims.values():
        for run in same if len(same) > 1 else ():
            others = ", ".join(other.path for other in same if other is not run)
            yield run.path, Finding("duplicate", Severity.QUARANTINE, f"the same run also lies in {others}")


def _same_trajectories(runs: list[Run]) -> Iterator[tuple[str, Finding]]:
    """Students whose every test accuracy equals another run's: they never moved, or one is a copy."""
    by_curve: dict[tuple[float, ...], list[Run]] = defaultdict(list)
    for run in runs:
        if len(run.curves.test_acc) >= SAME_FOR:
            by_curve[run.curves.test_acc].append(run)
    for curve, same in by_curve.items():
        for run in same if len(same) > 1 else ():
            others = ", ".join(other.path for other in same if other is not run and not _must_equal(run, other))
            if others:
                evidence = f"all {len(curve)} test accuracies equal those of {others}"
                yield run.path, Finding("same_trajectory", Severity.QUARANTINE, evidence)


def _must_equal(run: Run, other: Run) -> bool:
    """True for one training under two names: hard labels alone, as an arm, at alpha 0, or pure without smoothing."""
    a, b = run.identity, other.identity
    same = (a.dataset, a.student, a.seed) == (b.dataset, b.student, b.seed)
    return same and a != b and all(_is_hard(each) for each in (run, other))


def _is_hard(run: Run) -> bool:
    identity = run.identity
    return identity.alpha == 0 or (not identity.teacher and smoothing(run) == 0)


def _teachers(runs: list[Run], findings: Mapping[str, list[Finding]]) -> Iterator[tuple[str, Finding]]:
    """Students that learnt from a teacher that was not finished, not sound, or is not here."""
    by_identity = {run.identity: run for run in runs}
    for run in runs:
        if run.identity.teacher_run is None or not run.epochs:
            continue
        teacher = by_identity.get(run.identity.teacher_run)
        if teacher is None:
            yield run.path, Finding("teacher_missing", Severity.NOTE, "its teacher's run is not in this tree")
        elif any(finding.severity == Severity.QUARANTINE for finding in findings[teacher.path]):
            evidence = f"its teacher {teacher.path} is flagged itself"
            yield run.path, Finding("teacher_flagged", Severity.QUARANTINE, evidence)
        elif teacher.state != State.COMPLETED:
            evidence = f"it trained although its teacher {teacher.path} is {teacher.state} at epoch {teacher.epochs}"
            yield run.path, Finding("teacher_unfinished", Severity.QUARANTINE, evidence)


def _other_teacher_weights(runs: list[Run]) -> Iterator[tuple[str, Finding]]:
    """Students of one teacher whose records name different weights of it."""
    students: dict[Identity, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.identity.teacher_run and (digest := teacher_hash(run)):
            students[run.identity.teacher_run][digest].append(run)
    for by_hash in students.values():
        for digest, same in by_hash.items() if len(by_hash) > 1 else ():
            evidence = f"its teacher's weights were {digest[:12]}; siblings used {len(by_hash) - 1} other version(s)"
            for run in same:
                yield run.path, Finding("teacher_weights_differ", Severity.QUARANTINE, evidence)


def teacher_hash(run: Run) -> str:
    """SHA-256 of the teacher's weights as the run recorded it; empty if it did not."""
    if run.record is None:
        return ""
    teacher = run.record.provenance.get("teacher")
    stated = teacher.get("sha256") if isinstance(teacher, dict) else None
    return str(stated or run.record.teacher_sha256 or "")
