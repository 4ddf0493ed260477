"""One run's last job, examined: its record, its last words and the scheduler's, joined into one finding."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from kd_hpc.diagnosis.causes.unknown import UNKNOWN
from kd_hpc.diagnosis.diagnose import Diagnosis, diagnose
from kd_hpc.diagnosis.witnesses import CAUSES
from kd_hpc.errors import CampaignError
from kd_hpc.inspection.find_run import FoundRun
from kd_hpc.queueing.evidence import last_words
from kd_hpc.queueing.session import find_campaign, open_session
from kd_hpc.records import Attempt, StatusRecord
from kd_hpc.remedies import with_folder
from kd_hpc.schedulers.base import Deleted, Exceeded, Gone, Live, NodeFault, Observation, Unknown, Verdict
from kd_hpc.schedulers.own_jobs import JobRef
from kd_hpc.store import ERRORS, Store


@dataclass(frozen=True)
class Postmortem:
    """`diagnosis` is None where nothing died; `evidence` says then why not, else what the diagnosis stands on.

    `earlier`: one sentence for each attempt that ended before.
    """

    run: str
    state: str
    job_id: str | None
    evidence: str
    diagnosis: Diagnosis | None
    earlier: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        fields = asdict(self)
        if self.diagnosis:
            fields["diagnosis"]["cause"] = self.diagnosis.cause.name
        return fields

    def lines(self, root: Path) -> list[tuple[str, str]]:
        """What to print of a run below `root`, as (name, value)."""
        lines = [("run", self.run), ("state", self.state), ("job", self.job_id or "none on record")]
        if found := self.diagnosis:
            lines += [("cause", found.cause.name), ("what", found.detail)]
            lines += [("charged", "yes: no epoch was gained" if found.charged else "no")]
        lines += [("evidence", self.evidence), *(("earlier", sentence) for sentence in self.earlier)]
        return lines + ([("next", with_folder(self.diagnosis.remedy, root))] if self.diagnosis else [])


def examine(store: Store, found: FoundRun, campaign: Path | None) -> Postmortem:
    """Why the latest job of `found` died, if it did. Asks the scheduler only about a job without a recorded ending."""
    record = found.record if isinstance(found.record, StatusRecord) else StatusRecord()
    attempt = record.attempt or Attempt()
    state = (
        record.state.value if isinstance(found.record, StatusRecord) else "unreadable" if found.record else "no record"
    )
    about = partial(Postmortem, found.label, state, attempt.job_id, earlier=_earlier(record))
    if record.is_done:
        return about("it is complete: nothing died", None)
    if found.record is None and not (store.root / found.path).exists():
        return about("it was never started: nothing died", None)
    seen = _word_of_scheduler(store, attempt, campaign)
    if isinstance(seen, Live):
        return about(f"its job is alive: {seen.detail}", None)
    diagnosis = _diagnose(store, found, record, attempt, seen if isinstance(seen, Gone) else None)
    if isinstance(seen, Unknown) and diagnosis.cause == UNKNOWN:
        return about(f"nobody can know now whether its job lives: {seen.reason}", None)
    word = seen.evidence if isinstance(seen, Gone) else ""
    return about("; ".join(filter(None, (str(_output(store, found, attempt) / ERRORS), word))), diagnosis)


def _output(store: Store, found: FoundRun, attempt: Attempt) -> Path:
    """The run directory that has the output of the attempt's job."""
    return store.root / (attempt.leader or found.path)


def _earlier(record: StatusRecord) -> tuple[str, ...]:
    ended = [attempt for attempt in record.attempts[:-1] if attempt.detail or attempt.cause]
    return tuple(f"attempt {attempt.number}: {attempt.cause}: {attempt.detail}" for attempt in ended)


def _diagnose(store: Store, found: FoundRun, record: StatusRecord, attempt: Attempt, gone: Gone | None) -> Diagnosis:
    diagnosis = diagnose(
        gone,
        *last_words(_output(store, found, attempt)),
        start_epoch=attempt.start_epoch,
        end_epoch=record.progress if attempt.end_epoch is None else attempt.end_epoch,
        memory=attempt.memory,
        token=attempt.token,
        run=found.label,
    )
    known = CAUSES.get(attempt.cause or "")
    if known and attempt.detail:
        return replace(diagnosis, cause=known, detail=attempt.detail, charged=attempt.charged)
    return diagnosis


def _word_of_scheduler(store: Store, attempt: Attempt, campaign: Path | None) -> Observation | None:
    """What the campaign's scheduler says of a job, or what the record kept of that; None if there is nobody to ask."""
    if attempt.ended_at is not None:
        return _as_recorded(attempt)
    if attempt.job_id is None:
        return None
    try:
        scheduler = open_session(find_campaign(campaign, store.root), store.root).scheduler
    except CampaignError as error:
        return Unknown(error.what)
    if scheduler.kind != attempt.scheduler:
        return Unknown(f"the job was in {attempt.scheduler}, the campaign uses {scheduler.kind}")
    return scheduler.look([JobRef(attempt.job_id, attempt.token)]).of(attempt.job_id)


_VERDICTS: dict[str, Verdict] = {
    "walltime": Exceeded("walltime"),
    "memory": Exceeded("mem"),
    "node": NodeFault(),
    "deleted": Deleted(),
}
"""What the scheduler must have said where that was found the cause."""


def _as_recorded(attempt: Attempt) -> Gone:
    return Gone(
        "as recorded when it ended",
        attempt.exit_status,
        attempt.detail or "",
        attempt.host or "",
        verdict=_VERDICTS.get(attempt.cause or ""),
    )
