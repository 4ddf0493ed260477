"""One run of a round that is over, as its files tell it: what it was, how it ended, what it reached."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from kd_hpc.catalogue import DATASETS, PURE
from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.experiment import format_alpha, parse_path
from kd_hpc.queueing.evidence import stderr_tail
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import LOGS, METRICS, Store, Unreadable, read_record

_DATED = re.compile(rb"^\w{3} (\w{3}) +(\d{1,2}) \d\d:\d\d:\d\d \S+ (\d{4})\s*$", re.MULTILINE)
SAME_FOR = 5


@dataclass(frozen=True)
class ClosedRun:
    """`doubt` says why its accuracy is not counted although it is completed; empty if nothing speaks against it."""

    path: PurePosixPath
    dataset: str
    method: str
    alpha: float | None
    teacher: str | None
    student: str
    seed: int
    record: StatusRecord | None
    unreadable: str
    test_acc: tuple[float, ...]
    dates: tuple[date, ...]
    cause: str
    doubt: str = ""

    @property
    def state(self) -> str:
        return self.record.state.value if self.record else "unreadable" if self.unreadable else "no record"

    @property
    def acc_last(self) -> float | None:
        """Test accuracy after the last epoch, percent."""
        if self.record and self.record.acc_last is not None:
            return self.record.acc_last
        return self.test_acc[-1] if self.test_acc else None

    @property
    def acc_best(self) -> float | None:
        return self.record.acc_best if self.record else max(self.test_acc, default=None)

    @property
    def is_completed(self) -> bool:
        return self.state == State.COMPLETED

    @property
    def counts(self) -> bool:
        """True if its accuracy enters the tables."""
        return self.is_completed and self.acc_last is not None and not self.doubt

    @property
    def models(self) -> str:
        return self.student if self.teacher is None else f"{self.teacher} to {self.student}"

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, or what an earlier round recorded instead."""
        return (self.record.recipe or self.record.config) if self.record else {}

    @property
    def strength(self) -> str:
        if self.method == PURE:
            return ""
        return "not on record" if self.alpha is None else format_alpha(self.alpha)


def read_round(store: Store) -> list[ClosedRun]:
    """Every run below `store`, in the order of its path, with what several runs together show."""
    runs = [_read(store.root, path) for path in store.run_directories()]
    doubts = {**_unfinished_teachers(runs), **_same_curves(runs), **_at_chance(runs)}
    return [replace(run, doubt=doubts.get(run.path, "")) for run in runs]


def _read(root: Path, path: PurePosixPath) -> ClosedRun:
    directory, fields, found = root / path, parse_path(path) or {}, read_record(root / path)
    record = found if isinstance(found, StatusRecord) else None
    if record and fields["teacher"] and fields["alpha"] is None:
        known = record.experiment.alpha if record.experiment else record.config.get("alpha")
        fields["alpha"] = float(known) if isinstance(known, int | float) else None
    return ClosedRun(
        path=path,
        **fields,
        record=record,
        unreadable=found.reason if isinstance(found, Unreadable) else "",
        test_acc=_test_accuracies(directory / METRICS),
        dates=tuple(_dates(directory, record)),
        cause=_cause(root, path, record),
    )


def _test_accuracies(path: Path) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in json.loads(path.read_bytes())["test_acc"])
    except (OSError, ValueError, TypeError, KeyError):
        return ()


def _dates(directory: Path, record: StatusRecord | None) -> Iterator[date]:
    """Days on which something is known to have happened: from the record, or from the date a job printed first."""
    for attempt in record.attempts if record else ():
        for moment in (attempt.submitted_at, attempt.started_at, attempt.ended_at):
            if moment:
                yield moment.date()
    try:
        with (directory / LOGS).open("rb") as stream:
            for month, day, year in _DATED.findall(stream.read(4096)):
                yield datetime.strptime(f"{month.decode()} {int(day)} {int(year)}", "%b %d %Y").date()
    except (OSError, ValueError):
        return


def _cause(root: Path, path: PurePosixPath, record: StatusRecord | None) -> str:
    """Why a run that is not completed is not, as far as anything says."""
    if record and record.is_done:
        return record.reason
    attempt = record.attempt if record else None
    if record and record.state == State.FAILED and record.reason:
        return record.reason
    if attempt and attempt.detail:
        return attempt.detail
    token, progress = (attempt.token, record.progress) if attempt and record else ("", record.progress if record else 0)
    directory = root / (attempt.leader if attempt and attempt.leader else path)
    return diagnose(None, stderr_tail(directory), end_epoch=progress, token=token, run=str(path)).detail


def _at_chance(runs: Sequence[ClosedRun]) -> dict[PurePosixPath, str]:
    found = {}
    for run in runs:
        facts = DATASETS.get(run.dataset)
        if facts and run.acc_last is not None and not run.acc_last >= facts.chance_accuracy:
            found[run.path] = f"at chance level: {run.acc_last:.2f} %"
    return found


def _same_curves(runs: Sequence[ClosedRun]) -> dict[PurePosixPath, str]:
    groups: dict[tuple[float, ...], list[ClosedRun]] = defaultdict(list)
    for run in runs:
        if len(run.test_acc) >= SAME_FOR:
            groups[run.test_acc].append(run)
    return {
        run.path: f"all its {len(curve)} test accuracies equal those of another run"
        for curve, same in groups.items()
        if len(same) > 1
        for run in same
    }


def _unfinished_teachers(runs: Sequence[ClosedRun]) -> dict[PurePosixPath, str]:
    states = {(run.dataset, run.student, run.seed): run for run in runs if run.method == PURE}
    found = {}
    for run in runs:
        teacher = states.get((run.dataset, run.teacher, run.seed)) if run.teacher else None
        if teacher and run.record and not teacher.is_completed:
            found[run.path] = f"its teacher never was completed ({teacher.state})"
    return found
