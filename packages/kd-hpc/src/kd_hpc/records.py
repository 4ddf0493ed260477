"""What is known of a run: StatusRecord and its Attempts. Data only; `store` reads and writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from kd_hpc.catalogue import DATASETS, DatasetFacts
from kd_hpc.disk.sealed import CHECKSUM, require_object, seal_object
from kd_hpc.errors import Damaged, IdentityError, LaterRecord, RecordError
from kd_hpc.experiment import Experiment

SCHEMA_VERSION = 2
_SINCE_2 = ("revision", CHECKSUM, "state", "epoch", "attempts", "updated_at", "experiment")
"""Keys that every record has since version 2; version 1 had neither revision nor checksum."""
CONFIG_KEYS = {
    "dataset": "dataset",
    "method": "distillation",
    "alpha": "alpha",
    "teacher": "teacher_model",
    "student": "model",
    "seed": "seed",
}
"""Under which keys the `config` of earlier rounds has Experiment's fields."""
NOT_SETTINGS = frozenset((*CONFIG_KEYS.values(), "experiment_name", "teacher_weights", "resume", "force_restart"))
"""Keys of such a `config` that say which run it was or how it was started: not how it was trained."""


class State(StrEnum):
    NOT_STARTED = "not_started"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    SUSPECT = "suspect"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True if no job will change this run any more."""
        return self in (State.COMPLETED, State.SUSPECT, State.FAILED)

    @property
    def has_job(self) -> bool:
        """True if a job of this run may be alive."""
        return self in (State.SUBMITTING, State.QUEUED, State.IN_PROGRESS)


class FileDigest(BaseModel):
    """What a file held when it was written: SHA-256 in hexadecimal, and its length in bytes."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> Self:
        return cls(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


class Attempt(BaseModel):
    """One job, or one start by hand, of a run. Epochs count finished ones of all stages; times are UTC."""

    model_config = ConfigDict(frozen=True, extra="allow")

    number: int = 1
    token: str = ""
    scheduler: str = "hand"
    job_id: str | None = None
    runs: tuple[str, ...] | None = None
    """Labels of all runs of the job where several share it, the one that leads it first; None for a job of one run."""
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    host: str | None = None
    start_epoch: int | None = None
    end_epoch: int | None = None
    memory: str | None = None
    walltime: str | None = None
    exit_status: int | None = None
    cause: str | None = None
    detail: str | None = None
    charged: bool = False
    next_memory: str | None = None
    """After a memory kill: the least the next attempt must ask for."""
    forgiven: bool = False
    """A person asked for another try: this attempt no longer counts against the run."""
    assumed_gone: str = ""
    """Whose end was assumed without proof when the run was taken over, for this attempt or after it."""

    def is_same(self, later: Attempt) -> bool:
        """True if `later` can be this attempt, known better."""
        job = self.job_id in (None, later.job_id)
        return job and (self.number, self.token, self.scheduler) == (later.number, later.token, later.scheduler)

    @property
    def may_have_run(self) -> bool:
        """False for an intent that never had a job: it may be taken back."""
        return bool(self.job_id or self.started_at)

    @property
    def job(self) -> tuple[str, str] | None:
        """What attempts of one job have in common; None before there is a job, and for a start by hand."""
        return (self.scheduler, self.job_id) if self.job_id else None

    @property
    def leader(self) -> str | None:
        """The run whose directory has the job's logs and errors, where several share the job."""
        return self.runs[0] if self.runs else None


class StatusRecord(BaseModel):
    """The whole status.json. Accuracies are test-set percentages; `epoch` counts finished epochs."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = SCHEMA_VERSION
    revision: int = 0
    """How often the record was written."""
    checksum: str | None = None
    """Of the record as it was last read or written: what a new one is made from."""
    state: State = State.NOT_STARTED
    epoch: int = 0
    epochs: int | None = None
    warmup_epochs: int = 0
    """Finished epochs of a stage before the student's own, such as the paraphraser's."""
    acc_last: float | None = None
    acc_best: float | None = None
    best_epoch: int | None = None
    experiment: Experiment | None = None
    recipe: dict[str, Any] = {}
    recipe_sha256: str | None = None
    """A digest of those of its fields that can change the run's numbers; see `Recipe.identity`."""
    provenance: dict[str, Any] = {}
    teacher_sha256: str | None = None
    attempts: tuple[Attempt, ...] = ()
    files: dict[str, FileDigest] = {}
    """Of a finished run: every file that it left in its directory, by name."""
    reason: str = ""
    remedy: str = ""
    updated_at: datetime | None = None
    config: dict[str, Any] = {}
    """What earlier rounds recorded instead of `experiment` and `recipe`."""

    @property
    def is_done(self) -> bool:
        """True if training reached its end, well or not; a failed run may still go on."""
        return self.state in (State.COMPLETED, State.SUSPECT)

    @property
    def progress(self) -> int:
        """Finished epochs of all stages: what an attempt must raise for its death not to count against the run."""
        return self.warmup_epochs + self.epoch

    @property
    def dataset_facts(self) -> DatasetFacts | None:
        """Classes and size of its data set: those on record, or a published one's; None where nothing says them."""
        recorded = DatasetFacts.recorded(self.provenance.get("dataset"))
        return recorded or (DATASETS.get(self.experiment.dataset) if self.experiment else None)

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt; only its job may own the run."""
        return self.attempts[-1] if self.attempts else None

    @property
    def job_id(self) -> str | None:
        return self.attempt.job_id if self.attempt else None

    def made_from(self, other: StatusRecord) -> Self:
        """This record as one that replaces `other`, whatever it was made from before."""
        return self.model_copy(update={"revision": other.revision, CHECKSUM: other.checksum})

    def attempts_lost_in(self, later: StatusRecord) -> tuple[Attempt, ...]:
        """Attempts that may have run and that `later`, made from this record, does not have in their places."""
        theirs = later.attempts
        return tuple(
            attempt
            for place, attempt in enumerate(self.attempts)
            if attempt.may_have_run and not (place < len(theirs) and attempt.is_same(theirs[place]))
        )

    def with_attempt(self, **changes: Any) -> Self:
        """The same record with its latest attempt changed."""
        if self.attempt is None:
            raise RecordError("A record without attempts has none to change.")
        return self.model_copy(update={"attempts": (*self.attempts[:-1], self.attempt.model_copy(update=changes))})


def most_at_once(spans: Iterable[tuple[datetime, datetime]]) -> int:
    """The most of `spans`, each from a start to an end, that overlap."""
    edges = [edge for start, end in spans if start < end for edge in ((start, 1), (end, -1))]
    running = most = 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    return most


def sealed(record: StatusRecord) -> StatusRecord:
    """`record` with its own checksum."""
    content = json.loads(to_bytes(record.model_copy(update={CHECKSUM: None})))
    return record.model_copy(update={CHECKSUM: seal_object(content)[CHECKSUM]})


def to_bytes(record: StatusRecord) -> bytes:
    """What a file holds of `record`."""
    return record.model_dump_json(indent=2, exclude_none=True).encode()


def parse_record(content: bytes) -> StatusRecord:
    """The record in `content`. Raises RecordError with the reason, LaterRecord for a record of a later version."""
    try:
        data = json.loads(content)
        if not isinstance(data, dict):
            raise RecordError("not a status record: it is no JSON object")
        require_object(data)
        return StatusRecord.model_validate(_of_this_version(data))
    except Damaged as error:
        raise RecordError(error.what) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RecordError(f"not a status record: {where}: {first['msg']}") from None
    except IdentityError as error:
        raise RecordError(f"not a status record: {error.what}") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}") from None


def _of_this_version(data: dict[str, Any]) -> dict[str, Any]:
    if "schema_version" not in data and CHECKSUM not in data:
        return _upgrade(data)
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise LaterRecord(
            f"schema_version {version} is newer than {SCHEMA_VERSION}.", remedy="Install the kd-hpc that wrote it."
        )
    missing = [name for name in _SINCE_2 if name not in data]
    if missing and (version != 1 or CHECKSUM in data):
        raise RecordError(f"not a status record of version {version}: it has no {', '.join(missing)}")
    return data


def _upgrade(old: dict[str, Any]) -> dict[str, Any]:
    """An earlier round's record, or one that holds nothing but a PBS job id, in today's terms."""
    if "status" not in old and not old.get("pbs_job_id"):
        raise RecordError("not a status record: it names neither a state nor a job")
    new = {key: value for key, value in old.items() if key not in ("status", "max_acc", "pbs_job_id")}
    new["schema_version"] = 1
    if "status" in old:
        new["state"] = old["status"]
    elif old.get("pbs_job_id"):
        new["state"] = State.QUEUED
    if "max_acc" in old:
        new["acc_best"] = old["max_acc"]
    if old.get("pbs_job_id"):
        new["attempts"] = [{"scheduler": "pbs", "job_id": old["pbs_job_id"]}]
    return new
