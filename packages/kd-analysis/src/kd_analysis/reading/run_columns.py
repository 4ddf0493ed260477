"""The columns of the table of runs: what each is called, what it means, and how it is read off a run.

Adding a column is adding its line to RUN_COLUMNS: tables/runs.csv, `kd_analysis.load` and its schema follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kd_analysis.reading.durations import device_seconds, students_a_job, wall_seconds
from kd_hpc.triage.run_directory import Run
from kd_hpc.triage.verdict import Triaged

if TYPE_CHECKING:
    from kd_analysis.reading.runs_table import Tree

Kind = Literal["string", "integer", "number", "boolean"]


@dataclass(frozen=True)
class RunColumn:
    """`of` reads the value off a run in its tree, None or NaN where nothing says it; `digits` and `short` are for the
    report: how many decimals, and what the short table of runs calls it if it has it."""

    name: str
    kind: Kind
    meaning: str
    of: Callable[[Tree, Triaged], Any]
    digits: int | None = None
    short: str = ""


def mean_of_last(run: Run, epochs: int) -> float:
    """Mean test accuracy in percent over the last epochs; NaN where there are fewer."""
    values = run.curves.test_acc[-epochs:]
    return sum(values) / epochs if len(values) == epochs else math.nan


def best_epoch(run: Run) -> int | None:
    """The epoch, counted from 1, that was chosen as the best; None where no curve says it."""
    chosen_on = run.curves.validation_acc or run.curves.test_acc
    values = [value if math.isfinite(value) else -math.inf for value in chosen_on]
    if not values:
        return run.record.best_epoch if run.record else None
    return run.first_epoch + values.index(max(values)) + 1


def _teacher_accuracy(tree: Tree, item: Triaged) -> float:
    teacher = item.run.identity.teacher_run
    found = tree.by_identity.get(teacher) if teacher else None
    return found.run.acc_last if found else math.nan


def _seconds_per_epoch(tree: Tree, item: Triaged) -> float:
    fork = item.run.identity.variant.fork
    own = item.run.epochs - (fork.epoch if fork else 0)
    return wall_seconds(item.run) / own if own > 0 else math.nan


def _students_at_most(tree: Tree, item: Triaged) -> int | None:
    students = students_a_job(item.run)
    return students[1] if students else None


def _forked_from(tree: Tree, item: Triaged) -> str | None:
    facts = item.run.record.provenance.get("parent") if item.run.record else None
    return str(facts["run"]) if isinstance(facts, dict) and "run" in facts else None


def _attempts(tree: Tree, item: Triaged) -> int | None:
    return len(item.run.record.attempts) or None if item.run.record else None


def _provenance(*names: str) -> Callable[[Tree, Triaged], Any]:
    """The first of the recorded facts that says something."""

    def read(tree: Tree, item: Triaged) -> Any:
        facts = item.run.record.provenance if item.run.record else {}
        return next((facts[name] for name in names if facts.get(name)), None)

    return read


RUN_COLUMNS: tuple[RunColumn, ...] = (
    RunColumn(
        "path", "string", "run directory below the experiments folder", lambda tree, at: at.run.path, short="run"
    ),
    RunColumn("dataset", "string", "data set", lambda tree, at: at.run.identity.dataset),
    RunColumn("method", "string", "distillation method, or pure", lambda tree, at: at.run.identity.method),
    RunColumn("alpha", "number", "share of distillation in the loss", lambda tree, at: at.run.identity.alpha),
    RunColumn("teacher", "string", "the teacher's network", lambda tree, at: at.run.identity.teacher),
    RunColumn("student", "string", "the trained network", lambda tree, at: at.run.identity.student),
    RunColumn("seed", "integer", "seed of weights, order and augmentation", lambda tree, at: at.run.identity.seed),
    RunColumn("state", "string", "state on record", lambda tree, at: at.run.state, short="state"),
    RunColumn("verdict", "string", "what triage says of it", lambda tree, at: str(at.verdict), short="verdict"),
    RunColumn("counted", "boolean", "it enters the statistics", lambda tree, at: at.usable),
    RunColumn(
        "findings",
        "string",
        "codes of what speaks against it",
        lambda tree, at: " ".join(finding.code for finding in at.findings),
    ),
    RunColumn("evidence", "string", "the same in sentences", lambda tree, at: at.evidence),
    RunColumn("epochs", "integer", "finished epochs", lambda tree, at: at.run.epochs, short="epochs"),
    RunColumn(
        "epochs_planned", "integer", "epochs of its recipe", lambda tree, at: at.run.record and at.run.record.epochs
    ),
    RunColumn(
        "acc_last", "number", "test accuracy after the last epoch, %", lambda tree, at: at.run.acc_last, 2, "last (%)"
    ),
    RunColumn(
        "acc_best",
        "number",
        "test accuracy of the best epoch, %; chosen on the test set unless validation images were held out",
        lambda tree, at: at.run.acc_best,
        2,
        "best (%)",
    ),
    RunColumn(
        "acc_mean_of_last_5",
        "number",
        "mean test accuracy over the last five epochs, %",
        lambda tree, at: mean_of_last(at.run, 5),
        2,
    ),
    RunColumn(
        "best_epoch", "integer", "epoch of acc_best, from 1", lambda tree, at: best_epoch(at.run), short="best epoch"
    ),
    RunColumn(
        "validation_acc_best",
        "number",
        "best accuracy on held-out images, %",
        lambda tree, at: max(at.run.curves.validation_acc, default=math.nan),
        2,
    ),
    RunColumn("forked_from", "string", "the run whose first epochs it shares", _forked_from),
    RunColumn(
        "recipe",
        "string",
        "digest of the settings that can change its numbers; equal for runs of one recipe",
        lambda tree, at: (at.run.record and (at.run.record.recipe_sha256 or "")[:12]) or None,
    ),
    RunColumn("teacher_acc_last", "number", "acc_last of its teacher, %", _teacher_accuracy, 2),
    RunColumn("attempts", "integer", "jobs and starts on record", _attempts),
    RunColumn(
        "seconds",
        "number",
        "training time by the clock, of all students side by side",
        lambda tree, at: wall_seconds(at.run),
        0,
        "seconds",
    ),
    RunColumn("seconds_per_epoch", "number", "the same of an epoch, on average", _seconds_per_epoch, 1),
    RunColumn("device_seconds", "number", "the run's share of its device", lambda tree, at: device_seconds(at.run), 0),
    RunColumn("students_at_most", "integer", "the most students that shared an epoch with it", _students_at_most),
    RunColumn("curves_from", "string", "where its curves were read", lambda tree, at: at.run.curves_source),
    RunColumn(
        "has_representations", "boolean", "representations.npz is there", lambda tree, at: at.run.has_representations
    ),
    RunColumn("device", "string", "GPU or device of its latest start", _provenance("gpu", "device")),
    RunColumn("torch", "string", "torch of its latest start", _provenance("torch")),
    RunColumn("code_version", "string", "kd-core of its latest start", _provenance("code_version")),
)
