"""One row a run: what its record says, and with a campaign what the planner would say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from kd_hpc.campaign import load_campaign
from kd_hpc.errors import KdError
from kd_hpc.experiment import parse_path
from kd_hpc.inspection.find_run import FoundRun
from kd_hpc.planning.decision import Action, Decision
from kd_hpc.planning.planner import NOT_LISTED, plan
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import CONTROL, Runner
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import JobSpec, Snapshot, Unknown
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.store import Store, Unreadable, read_record

NOT_ASKED = "no scheduler was asked"
UNREADABLE = "unreadable"
STATES = (*(state.value for state in State), UNREADABLE)
"""What a row's state may be."""
HEADER = ("run", "state", "epoch", "accuracy", "job", "reason")


@dataclass(frozen=True)
class Row:
    """`record` is None for a run that has none. `reason` says why it does not go on, or what went wrong, `remedy` what
    to do about it. `needs_person`: no later tick will change anything about it.
    """

    label: str
    record: StatusRecord | Unreadable | None
    reason: str = ""
    remedy: str = ""
    needs_person: bool = False

    @property
    def state(self) -> str:
        if isinstance(self.record, Unreadable):
            return UNREADABLE
        return self.record.state.value if self.record else State.NOT_STARTED.value

    @property
    def known(self) -> StatusRecord:
        """The record, or an empty one."""
        return self.record if isinstance(self.record, StatusRecord) else StatusRecord()

    @property
    def found(self) -> FoundRun:
        return FoundRun(PurePosixPath(self.label), self.record)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What the path says of the run: Experiment's fields."""
        return parse_path(PurePosixPath(self.label)) or {}

    @property
    def epochs(self) -> str:
        """Such as 61/150; empty where nothing is known."""
        record = self.known
        return f"{record.epoch}/{record.epochs}" if record.epochs else str(record.epoch or "")

    def cells(self) -> tuple[str, ...]:
        """What HEADER names."""
        record = self.known
        accuracy = "" if record.acc_last is None else f"{record.acc_last:.2f} %"
        return (self.label, self.state, self.epochs, accuracy, record.job_id or "", self.reason)

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"run": self.label, "state": self.state, "reason": self.reason}
        fields |= {"remedy": self.remedy, "needs_person": self.needs_person}
        if isinstance(self.record, StatusRecord):
            fields |= {"job": self.record.job_id, "record": self.record.model_dump(mode="json", exclude_none=True)}
        return fields


def read_rows(store: Store, only: Path | None, also: Path | None = None) -> list[Row]:
    """The whole grid of the campaign in the file `only`.

    Without one, of every campaign queued here and of the one in `also`, and whatever else lies here.
    """
    if only is not None:
        return list(campaign_rows(only, store))
    rows = {row.label: row for row in folder_rows(store)}
    planned: dict[str, Row] = {}
    for known in _readable(remembered_campaigns(store.root), store):
        planned = {row.label: row for row in known} | planned
    planned |= {row.label: row for row in campaign_rows(also, store)} if also else {}
    return [*planned.values(), *(row for label, row in rows.items() if label not in planned)]


def _readable(campaigns: Iterable[Path], store: Store) -> Iterator[list[Row]]:
    for path in campaigns:
        try:
            yield list(campaign_rows(path, store))
        except KdError:
            continue


def folder_rows(store: Store) -> Iterator[Row]:
    """Every run directory there is, of whatever campaign."""
    for relative in store.run_directories():
        record = read_record(store.root / relative)
        remedy = record.remedy if isinstance(record, StatusRecord) else ""
        needs = isinstance(record, Unreadable) or (
            isinstance(record, StatusRecord) and record.state in (State.FAILED, State.SUSPECT)
        )
        yield Row(str(relative), record, _told(record), remedy or _look(str(relative), needs), needs)


def campaign_rows(campaign_file: Path, store: Store) -> Iterator[Row]:
    """Every run of the campaign's grid, in its order, with the planner's reasons as far as records give them."""
    campaign = load_campaign(campaign_file)
    evidence = Evidence(store, store.root / CONTROL / "weights.json")
    situation = Runner(campaign, store, OwnJobs(_Unasked(campaign.scheduler.kind)), evidence).look()
    decisions = {decision.experiment: decision for decision in plan(situation).decisions}
    stuck = evidence.notes.stuck()
    for run in situation.runs:
        decision, known = decisions[run.experiment], stuck.get(run.experiment.label)
        if known and isinstance(run.record, StatusRecord) and run.record.job_id == known.job_id:
            yield Row(run.experiment.label, run.record, known.says, known.remedy, needs_person=True)
            continue
        needs = decision.action.is_settled and decision.action != Action.DONE
        reason, label = _reason(run.record, decision), run.experiment.label
        remedy = "" if decision.action == Action.LEAVE else decision.remedy
        yield Row(label, run.record, reason, remedy or _look(label, needs), needs)


def _look(label: str, needed: bool) -> str:
    """What to type about a run that needs a person and whose record does not say what to do."""
    return f"kd-hpc why {label}" if needed else ""


def _reason(record: StatusRecord | Unreadable | None, decision: Decision) -> str:
    if told := _told(record):
        return told
    if decision.action == Action.LEAVE or decision.reason == "completed":
        return ""
    return "it may start" if decision.reason == NOT_LISTED else decision.reason


def _told(record: StatusRecord | Unreadable | None) -> str:
    return record.reason if record else ""


class _Unasked:
    """In the place of a scheduler: knows nothing, and lists nothing."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.user = self.list_jobs = ""
        self.can_avoid_nodes = False

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        return Snapshot({job_id: Unknown(NOT_ASKED) for job_id in job_ids}, listed=None)

    def submit_held(self, spec: JobSpec) -> str:
        raise NotImplementedError

    def release(self, job_ids: Sequence[str]) -> None:
        raise NotImplementedError

    def cancel(self, job_ids: Sequence[str]) -> None:
        raise NotImplementedError

    def wait(self, job_ids: Sequence[str], seconds: float) -> None:
        raise NotImplementedError
