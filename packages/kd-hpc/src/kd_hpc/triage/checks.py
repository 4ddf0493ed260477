"""What one run's own files say against it: each check looks at one thing and gives its evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from kd_hpc.records import CONFIG_KEYS, State
from kd_hpc.store import METRICS
from kd_hpc.triage.run_directory import Run, identity_of, left_behind
from kd_hpc.variant import format_alpha

FLAT_LOSS = 1e-3
EARLY_BEST = 0.1


class Severity(IntEnum):
    """NOTE changes nothing; GEOMETRY keeps a run out of the geometry; QUARANTINE out of every statistic."""

    NOTE = 1
    GEOMETRY = 2
    QUARANTINE = 3


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing, with its evidence as a sentence."""

    code: str
    severity: Severity
    evidence: str


def check_run(run: Run) -> list[Finding]:
    """Everything `run`'s own files say against it, gravest first."""
    findings = [finding for check in CHECKS for finding in check(run)]
    return sorted(findings, key=lambda finding: (-finding.severity, finding.code))


def _record(run: Run) -> Iterator[Finding]:
    if run.record_problem:
        yield Finding("record_unreadable", Severity.QUARANTINE, f"status.json is unreadable: {run.record_problem}")
    elif run.record is None:
        yield Finding("no_record", Severity.NOTE, "there is no status.json")
    if run.record and run.record.state == State.SUSPECT:
        yield Finding("suspect", Severity.QUARANTINE, f"the record calls the run suspect: {run.record.reason}")
    if run.record and run.record.state == State.QUEUED and not run.record.config and not run.record.experiment:
        yield Finding("id_only", Severity.NOTE, f"the record holds nothing but the job id {run.record.job_id}")


def _metrics(run: Run) -> Iterator[Finding]:
    completed = bool(run.record and run.record.state == State.COMPLETED)
    if run.curves_problem:
        yield Finding("metrics_unreadable", Severity.QUARANTINE, f"metrics.json is unreadable: {run.curves_problem}")
    elif run.imported_from:
        yield Finding("imported", Severity.NOTE, f"trained elsewhere: imported from {run.imported_from}")
    elif completed and run.curves_source != "metrics.json":
        yield Finding("completed_without_metrics", Severity.QUARANTINE, "completed, but there is no metrics.json")
    elif run.curves_source == "logs":
        read = f"epochs {run.first_epoch + 1} to {run.first_epoch + len(run.curves.test_acc)} were read from its log"
        yield Finding("curves_from_log", Severity.NOTE, f"no metrics.json; {read}")


def _replaced(run: Run) -> Iterator[Finding]:
    """Whole by its own checksum, and yet another run's, or edited: only the record can tell."""
    expected = left_behind(run.record).get(METRICS)
    if expected and run.metrics_sha256 not in ("", expected.sha256) and not run.curves_problem:
        yield Finding("metrics_replaced", Severity.QUARANTINE, f"{METRICS} is not the file that the run left behind")


def _chance(run: Run) -> Iterator[Finding]:
    facts = run.dataset_facts
    if facts is None:
        unknown = "neither the catalogue nor its record says how many classes its data set has"
        yield Finding("unknown_dataset", Severity.NOTE, f"{unknown}: chance level not checked")
        return
    bound = facts.chance_accuracy
    if run.epochs > 0 and run.acc_last < bound and (run.state == State.COMPLETED or run.epochs >= 10):
        best = f", best {run.acc_best:.2f} %" if math.isfinite(run.acc_best) else ""
        evidence = f"last accuracy {run.acc_last:.2f} %{best}; guessing among {facts.classes} classes reaches up to "
        yield Finding("chance_level", Severity.QUARANTINE, f"{evidence}{bound:.2f} %")


def _loss(run: Run) -> Iterator[Finding]:
    for name in ("train_loss", "test_loss", "train_acc", "test_acc"):
        values = getattr(run.curves, name)
        bad = [run.first_epoch + index + 1 for index, value in enumerate(values) if not math.isfinite(value)]
        if bad:
            evidence = f"{name} is not a number in {len(bad)} of {len(values)} epochs, first in epoch {bad[0]}"
            yield Finding("not_finite", Severity.QUARANTINE, evidence)
    tail = run.curves.test_loss[len(run.curves.test_loss) // 2 :]
    if len(tail) >= 5 and all(map(math.isfinite, tail)) and max(tail) - min(tail) < FLAT_LOSS * abs(max(tail)):
        evidence = f"test loss stays between {min(tail):.6g} and {max(tail):.6g} over the last {len(tail)} epochs"
        yield Finding("flat_loss", Severity.QUARANTINE, evidence)
    if skipped := sum(value for value in run.curves.skipped_steps if math.isfinite(value)):
        yield Finding(
            "skipped_steps", Severity.NOTE, f"{skipped:g} optimizer steps were skipped for non-finite gradients"
        )


def _accuracies(run: Run) -> Iterator[Finding]:
    wrong = [value for value in (run.acc_last, run.acc_best) if math.isfinite(value) and not 0 <= value <= 100]
    if wrong:
        yield Finding("impossible_accuracy", Severity.QUARANTINE, f"an accuracy of {wrong[0]:g} is no percentage")
    recorded, traced = run.record.acc_last if run.record else None, run.curves.test_acc
    if recorded is not None and traced and run.state == State.COMPLETED and abs(recorded - traced[-1]) > 1e-6:
        evidence = f"the record says {recorded:.2f} % after the last epoch, metrics.json {traced[-1]:.2f} %"
        yield Finding("accuracies_differ", Severity.QUARANTINE, evidence)


def _early_best(run: Run) -> Iterator[Finding]:
    accuracy = run.curves.test_acc
    if run.first_epoch or len(accuracy) < 10 or not all(map(math.isfinite, accuracy)):
        return
    best = accuracy.index(max(accuracy)) + 1
    if best <= EARLY_BEST * len(accuracy):
        evidence = f"best accuracy {max(accuracy):.2f} % already in epoch {best} of {len(accuracy)}"
        yield Finding("early_best", Severity.QUARANTINE, evidence)


def _trace(run: Run) -> Iterator[Finding]:
    length = run.first_epoch + len(run.curves.test_acc)
    if run.curves_source == "metrics.json" and run.record and length != run.record.epoch:
        severity = Severity.QUARANTINE if run.state == State.COMPLETED else Severity.NOTE
        yield Finding("short_trace", severity, f"{length} epochs in metrics.json, {run.record.epoch} in the record")
    if run.state == State.COMPLETED and run.record and run.record.epochs and run.record.epoch < run.record.epochs:
        evidence = f"completed after {run.record.epoch} of {run.record.epochs} epochs"
        yield Finding("too_few_epochs", Severity.QUARANTINE, evidence)
    if run.log.resumed_at is not None:
        yield Finding("resumed", Severity.NOTE, f"the log shows a resumption at epoch {run.log.resumed_at + 1}")
    elif run.record and len(run.record.attempts) > 1:
        yield Finding("resumed", Severity.NOTE, f"{len(run.record.attempts)} attempts are on record")


def _config(run: Run) -> Iterator[Finding]:
    """Settings against path; a pure run's alpha and teacher mean nothing and are not compared."""
    if run.record is None:
        return
    stated = _stated(run)
    if not stated:
        if run.state != State.QUEUED and run.epochs:
            yield Finding("config_missing", Severity.NOTE, "neither record nor metrics.json holds a configuration")
        return
    for field, said in stated.items():
        expected = getattr(run.identity, field)
        if said is None and expected is not None:
            yield Finding("config_incomplete", Severity.NOTE, f"the configuration does not record its {field}")
        elif said != expected:
            evidence = f"the path says {field} {_show(expected)}, the configuration {_show(said)}"
            yield Finding("config_contradicts_path", Severity.QUARANTINE, evidence)


def _stated(run: Run) -> dict[str, object]:
    """Identity fields as the configuration states them."""
    fields = ("dataset", "method", "student", "seed") + (() if run.identity.is_pure else ("alpha", "teacher"))
    if run.record and run.record.experiment:
        recorded = identity_of(run.record.experiment)
        return {field: getattr(recorded, field) for field in fields}
    if not run.config:
        return {}
    stated = {field: run.config.get(CONFIG_KEYS[field]) for field in fields}
    return stated | {"method": "pure" if stated["method"] == "none" else stated["method"]}


def _show(value: object) -> str:
    return format_alpha(value) if isinstance(value, float) else str(value)


def _streams(run: Run) -> Iterator[Finding]:
    if run.log.crash and run.state != State.COMPLETED:
        yield Finding("crashed", Severity.NOTE, f"its last attempt ended with {run.log.crash}")
        if run.epochs and not run.log.epochs:
            evidence = f"the record's {run.epochs} epochs come from an earlier attempt; the last one trained none"
            yield Finding("record_of_earlier_attempt", Severity.NOTE, evidence)
    if run.log.killed and run.state != State.COMPLETED:
        yield Finding("killed", Severity.NOTE, run.log.killed.removeprefix("=>> "))
    if run.record and run.record.reason and run.state in (State.FAILED, State.SUSPECT):
        yield Finding("stopped", Severity.NOTE, run.record.reason)


CHECKS: tuple[Callable[[Run], Iterator[Finding]], ...] = (
    _record,
    _metrics,
    _replaced,
    _chance,
    _loss,
    _accuracies,
    _early_best,
    _trace,
    _config,
    _streams,
)
