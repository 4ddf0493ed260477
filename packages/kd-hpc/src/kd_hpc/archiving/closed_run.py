"""One run of a round that is over: what triage found in its files, on which days, and why it ended as it did."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.disk.files import read_head
from kd_hpc.queueing.evidence import last_words
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import LOGS
from kd_hpc.triage.checks import Severity
from kd_hpc.triage.find_runs import Stray
from kd_hpc.triage.run_directory import Identity, Run, read_tree
from kd_hpc.triage.verdict import Triaged, triage_runs
from kd_hpc.variant import format_alpha

_DATED = re.compile(rb"^\w{3} (\w{3}) +(\d{1,2}) \d\d:\d\d:\d\d \S+ (\d{4})\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ClosedRun:
    """A run with triage's verdict; `cause` says why one that is not completed is not."""

    triaged: Triaged
    dates: tuple[date, ...]
    cause: str

    @property
    def run(self) -> Run:
        return self.triaged.run

    @property
    def path(self) -> str:
        return self.run.path

    @property
    def identity(self) -> Identity:
        return self.run.identity

    @property
    def record(self) -> StatusRecord | None:
        return self.run.record

    @property
    def is_completed(self) -> bool:
        return self.run.state == State.COMPLETED

    @property
    def counts(self) -> bool:
        """True if its accuracy enters the tables."""
        return self.triaged.usable and math.isfinite(self.run.acc_last)

    @property
    def doubt(self) -> str:
        """Why it is not counted whatever its state; empty if nothing speaks against it."""
        grave = (finding for finding in self.triaged.findings if finding.severity == Severity.QUARANTINE)
        return "; ".join(finding.evidence for finding in grave)

    @property
    def models(self) -> str:
        identity = self.identity
        return identity.student if identity.teacher is None else f"{identity.teacher} to {identity.student}"

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, or what an earlier round recorded instead."""
        return (self.record.recipe if self.record else {}) or self.run.config

    @property
    def strength(self) -> str:
        if self.identity.is_pure:
            return ""
        return "not on record" if self.identity.alpha is None else format_alpha(self.identity.alpha)


def read_round(root: Path) -> tuple[list[ClosedRun], list[Stray]]:
    """Every run below `root` with its verdict, in the order of its path, and places where a run might be meant."""
    runs, strays = read_tree(root)
    judged = triage_runs(runs)
    return [ClosedRun(item, tuple(_dates(item.run)), _cause(root, item.run)) for item in judged], strays


def _dates(run: Run) -> Iterator[date]:
    """Days on which something is known to have happened: from the record, or from the date a job printed first."""
    for attempt in run.record.attempts if run.record else ():
        for moment in (attempt.submitted_at, attempt.started_at, attempt.ended_at):
            if moment:
                yield moment.date()
    try:
        for month, day, year in _DATED.findall(read_head(run.directory / LOGS, 4096)):
            yield datetime.strptime(f"{month.decode()} {int(day)} {int(year)}", "%b %d %Y").date()
    except (OSError, ValueError):
        return


def _cause(root: Path, run: Run) -> str:
    """Why a run that is not completed is not, as far as anything says."""
    record = run.record or StatusRecord()
    attempt = record.attempt or Attempt()
    if record.is_done or (record.state == State.FAILED and record.reason):
        return record.reason
    if attempt.detail:
        return attempt.detail
    directory = root / attempt.leader if attempt.leader else run.directory
    return diagnose(None, *last_words(directory), end_epoch=record.progress, token=attempt.token, run=run.path).detail
