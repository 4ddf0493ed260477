"""One row a run: what its record says, and with a campaign what the planner would say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_hpc.campaign import load_campaign
from kd_hpc.planning.decision import Action, Decision
from kd_hpc.planning.planner import NOT_LISTED, plan
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import CONTROL, Runner
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import JobSpec, Snapshot, Unknown
from kd_hpc.store import Store, Unreadable, read_record

NOT_ASKED = "no scheduler was asked"


@dataclass(frozen=True)
class Row:
    """`record` is None for a run that has none. `reason` says why it does not go on, or what went wrong."""

    label: str
    record: StatusRecord | Unreadable | None
    reason: str = ""

    @property
    def state(self) -> str:
        if isinstance(self.record, Unreadable):
            return "unreadable"
        return self.record.state.value if self.record else State.NOT_STARTED.value

    def cells(self) -> tuple[str, ...]:
        record = self.record if isinstance(self.record, StatusRecord) else StatusRecord()
        epoch = f"{record.epoch}/{record.epochs}" if record.epochs else str(record.epoch or "")
        accuracy = "" if record.acc_last is None else f"{record.acc_last:.2f} %"
        return (self.label, self.state, epoch, accuracy, record.job_id or "", self.reason)

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"run": self.label, "state": self.state, "reason": self.reason}
        if isinstance(self.record, StatusRecord):
            fields |= {"job": self.record.job_id, "record": self.record.model_dump(mode="json", exclude_none=True)}
        return fields


def folder_rows(store: Store) -> Iterator[Row]:
    """Every run directory there is, of whatever campaign."""
    for relative in store.run_directories():
        record = read_record(store.root / relative)
        yield Row(str(relative), record, _told(record))


def campaign_rows(campaign_file: Path, store: Store) -> Iterator[Row]:
    """Every run of the campaign's grid, in its order, with the planner's reasons as far as records give them."""
    campaign = load_campaign(campaign_file)
    evidence = Evidence(store, store.root / CONTROL / "weights.json")
    situation = Runner(campaign, store, _Unasked(campaign.scheduler.kind), evidence).look()
    decisions = {decision.experiment: decision for decision in plan(situation).decisions}
    for run in situation.runs:
        yield Row(run.experiment.label, run.record, _reason(run.record, decisions[run.experiment]))


def _reason(record: StatusRecord | Unreadable | None, decision: Decision) -> str:
    if told := _told(record):
        return told
    if decision.action == Action.LEAVE or decision.reason == "completed":
        return ""
    return "it may start" if decision.reason == NOT_LISTED else decision.reason


def _told(record: StatusRecord | Unreadable | None) -> str:
    if isinstance(record, Unreadable):
        return record.reason
    return record.reason if record else ""


class _Unasked:
    """In the place of a scheduler: knows nothing, and lists nothing."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

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
