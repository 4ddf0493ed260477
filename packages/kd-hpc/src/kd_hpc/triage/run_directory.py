"""Reading run directories, whatever round wrote them: path, record, curves and log evidence, nothing judged yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from kd_hpc.catalogue import DATASETS, PURE, DatasetFacts
from kd_hpc.disk.files import MOST_BYTES, read_regular
from kd_hpc.disk.sealed import read_object
from kd_hpc.errors import Damaged, IdentityError, UsageError
from kd_hpc.experiment import Experiment, parse_path
from kd_hpc.recipe import teachers_variant
from kd_hpc.records import FileDigest, StatusRecord
from kd_hpc.screen.escapes import printable
from kd_hpc.store import METRICS, REPRESENTATIONS, Unreadable, read_record
from kd_hpc.triage.find_runs import Stray, find_runs
from kd_hpc.triage.logs import LogEvidence, read_logs
from kd_hpc.variant import Control, Variant, arm, parse_variant, split_arm

UNRECORDED = "unrecorded"
CROSS_ENTROPY = "ce"


class Curves(BaseModel):
    """metrics.json: one value a finished epoch; accuracies in percent. Gaps are NaN.

    `seconds` are of the clock, for all `students` that the epoch trained side by side; older files do not count these.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    train_loss: tuple[float, ...] = ()
    train_acc: tuple[float, ...] = ()
    test_loss: tuple[float, ...] = ()
    test_acc: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    validation_acc: tuple[float, ...] = ()
    lr: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    students: tuple[float, ...] = ()
    skipped_steps: tuple[float, ...] = ()
    terms: dict[str, tuple[float, ...]] = {}
    gradient_norms: dict[str, tuple[float, ...]] = {}
    config: dict[str, Any] = {}

    @property
    def distillation_terms(self) -> tuple[str, ...]:
        """Names of the loss terms beside cross-entropy that have values; none in pure runs and in earlier rounds."""
        return tuple(name for name, values in self.terms.items() if name != CROSS_ENTROPY and values)

    @property
    def side_by_side(self) -> tuple[int, ...]:
        """For each of `seconds`, how many students it is of; 1 where the file does not say."""
        stated = [int(number) if 1 <= number < math.inf else 1 for number in self.students]
        silent = len(self.seconds) - len(stated)  # epochs of an earlier version come first
        return (*(1 for _ in range(silent)), *stated[max(0, -silent) :])

    def relative_gradient(self, term: str) -> tuple[float, ...]:
        """The term's gradient norm over that of cross-entropy by epoch, both unweighted; NaN where that is unknown."""
        own, reference = self.gradient_norms.get(term, ()), self.gradient_norms.get(CROSS_ENTROPY, ())
        return tuple(a / b if b > 0 else math.nan for a, b in zip(own, reference, strict=False))

    @field_validator("*", mode="before")
    @classmethod
    def _gaps(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [math.nan if item is None else item for item in value]
        if isinstance(value, dict):
            return {key: cls._gaps(item) if isinstance(item, list) else item for key, item in value.items()}
        return value


@dataclass(frozen=True)
class Identity:
    """What run this is. A distilled run of unknown strength has alpha None; pure runs have neither alpha nor
    teacher. `method` names the variant too, as in "logit+random_teacher": its runs are no runs of logit."""

    dataset: str
    method: str
    alpha: float | None
    teacher: str | None
    student: str
    seed: int

    @property
    def is_pure(self) -> bool:
        return self.method == PURE

    @property
    def teacher_run(self) -> Identity | None:
        """The pure run this student should have learnt from; None where it has no teacher, or an untrained one."""
        if self.teacher is None or self.variant.control == Control.RANDOM_TEACHER:
            return None
        other = self.variant.teacher_seed
        method = arm(PURE, teachers_variant(self.variant))
        return Identity(self.dataset, method, None, None, self.teacher, self.seed if other is None else other)

    @property
    def variant(self) -> Variant:
        """How it differs from the ordinary run of its method; not at all where the name tells nothing known."""
        return variant_of(self.method)


def variant_of(method: str) -> Variant:
    """What the name of a method with its variant says; nothing where that is nothing known."""
    try:
        return parse_variant(split_arm(method)[1])
    except IdentityError:
        return Variant()


def identity_of(experiment: Experiment) -> Identity:
    """The identity of a run of today's layout."""
    fields = experiment.model_dump(exclude={"variant"})
    return Identity(**{**fields, "method": experiment.arm})


@dataclass(frozen=True)
class Run:
    """One run directory as found; `path` is relative to the experiments folder, as `printable` spells it."""

    path: str
    directory: Path
    identity: Identity
    record: StatusRecord | None
    record_problem: str
    curves: Curves
    curves_source: str
    curves_problem: str
    first_epoch: int
    log: LogEvidence
    has_representations: bool
    metrics_sha256: str = ""
    """Of metrics.json as it is, where the record of a finished run says what it was."""

    @property
    def state(self) -> str:
        return str(self.record.state) if self.record else "unreadable" if self.record_problem else UNRECORDED

    @property
    def epochs(self) -> int:
        """Finished epochs: the record's count, or the curves' where nothing is recorded."""
        return self.record.epoch if self.record else self.first_epoch + len(self.curves.test_acc)

    @property
    def acc_last(self) -> float:
        """Test accuracy after the last finished epoch, percent; NaN where nothing says it."""
        if self.record and self.record.acc_last is not None:
            return self.record.acc_last
        return self.curves.test_acc[-1] if self.curves.test_acc else math.nan

    @property
    def acc_best(self) -> float:
        """Test accuracy of the best epoch, percent; optimistic where that was chosen on the test set."""
        if self.record and self.record.acc_best is not None:
            return self.record.acc_best
        return max((value for value in self.curves.test_acc if math.isfinite(value)), default=math.nan)

    @property
    def imported_from(self) -> str:
        """The file that a network trained elsewhere came in; empty for a run that was trained here."""
        told = self.record.provenance.get("imported") if self.record else None
        return str(told.get("file", "a file")) if isinstance(told, dict) else ""

    @property
    def dataset_facts(self) -> DatasetFacts | None:
        """Classes and size of its data set; None where neither its record nor the catalogue says them."""
        recorded = self.record.dataset_facts if self.record else None
        return recorded or DATASETS.get(self.identity.dataset)

    @property
    def config(self) -> dict[str, Any]:
        """What an earlier round recorded of the run's settings; empty in today's records."""
        return (self.record.config if self.record else {}) or self.curves.config


def read_tree(root: Path) -> tuple[list[Run], list[Stray]]:
    """All runs under `root`, sorted by path, and every other place where a run might be meant.

    Raises UsageError if `root` is no folder.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise UsageError(f"The experiments folder {root} {what}.", remedy="Name the folder that holds the runs.")
    paths, strays = find_runs(root)
    return [read_run(root, path) for path in paths], strays


def read_run(root: Path, relative: PurePosixPath) -> Run:
    """The run in `root`/`relative`, which must be a run's path. Never raises for what the directory holds."""
    directory = root / relative
    found = read_record(directory)
    record = found if isinstance(found, StatusRecord) else None
    curves, problem = read_curves(directory / METRICS)
    log = _read_logs(root, relative, record)
    source, first = (METRICS, 0) if curves.test_acc else ("", 0)
    if not curves.test_acc and log.epochs and log.curves:
        curves, source, first = Curves(**log.curves), "logs", log.epochs[0]
    path = printable(relative)
    return Run(
        path=path,
        directory=directory,
        identity=_identity(PurePosixPath(path), record, curves, log),
        record=record,
        record_problem=found.reason if isinstance(found, Unreadable) else "",
        curves=curves,
        curves_source=source,
        curves_problem=problem,
        first_epoch=first,
        log=log,
        has_representations=_is_there(directory / REPRESENTATIONS),
        metrics_sha256=file_hash(directory / METRICS) if METRICS in left_behind(record) else "",
    )


def left_behind(record: StatusRecord | None) -> Mapping[str, FileDigest]:
    """What the record of a finished run says of each file that it left; nothing in earlier rounds."""
    return record.files if record and record.is_done else {}


def _read_logs(root: Path, relative: PurePosixPath, record: StatusRecord | None) -> LogEvidence:
    """What the run's latest attempt printed, where the run that leads its job has it if several share one."""
    attempt = record.attempt if record else None
    leader = attempt.leader if attempt else None
    return read_logs(root / (leader or relative), attempt.token if attempt else "")


def read_curves(path: Path) -> tuple[Curves, str]:
    """The curves in `path` and what is wrong with it; no curves and no problem where the file is missing."""
    try:
        return Curves.model_validate(read_object(path)), ""
    except FileNotFoundError:
        return Curves(), ""
    except Damaged as error:
        return Curves(), error.what
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        return Curves(), f"{where}: {first['msg']}"
    except OSError as error:
        return Curves(), error.strerror or str(error)


def file_hash(path: Path) -> str:
    """SHA-256 of the file's content in hexadecimal; empty where it cannot be read."""
    try:
        return sha256(read_regular(path, MOST_BYTES)).hexdigest()
    except OSError:
        return ""


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # before Python 3.14 a locked folder raises
        return False


def _identity(relative: PurePosixPath, record: StatusRecord | None, curves: Curves, log: LogEvidence) -> Identity:
    fields = parse_path(relative)
    assert fields is not None, f"{relative} is a run's path"
    fields["method"] = arm(fields["method"], fields.pop("variant"))
    if fields["teacher"] is not None and (fields["alpha"] is None or not math.isfinite(fields["alpha"])):
        fields["alpha"] = _recorded_alpha(record, curves, log)
    return Identity(**fields)


def _recorded_alpha(record: StatusRecord | None, curves: Curves, log: LogEvidence) -> float | None:
    """The alpha of a run in a layout without an alpha level, or with one that is no number."""
    if record and record.experiment:
        return record.experiment.alpha
    alpha = ((record.config if record else {}) or curves.config).get("alpha", log.alpha)
    return float(alpha) if isinstance(alpha, int | float) and math.isfinite(alpha) else None
