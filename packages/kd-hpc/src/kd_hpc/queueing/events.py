"""What changed since the last tick, one line each: the log of a watched campaign."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action, Decision
from kd_hpc.queueing.show import past, remarks, unheard
from kd_hpc.queueing.tick_report import Report
from kd_hpc.records import StatusRecord
from kd_hpc.store import Store
from kd_hpc.variant import format_alpha


class Events:
    """Says each thing once, on stdout."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[Experiment, tuple[Action, str]] = {}
        self._said: tuple[str, ...] = ()

    def tell(self, report: Report) -> None:
        """Print what this tick did and found."""
        for decision in report.plan.decisions:
            if line := self._change(decision):
                self._print(line)
        for decision, beside in _by_job(report.acted):
            self._print(f"{past(decision)} {decision.experiment.label}{_beside(beside)}{_why(decision)}")
        self.say(*self._remarks(report))

    def say(self, *sentences: str) -> None:
        """Print those of `sentences` that were not among the last ones said."""
        for sentence in sentences:
            if sentence not in self._said:
                self._print(sentence)
        self._said = sentences

    def _change(self, decision: Decision) -> str:
        before, now = self._last.get(decision.experiment), (decision.action, decision.reason)
        self._last[decision.experiment] = now
        was_told = before is not None and before[0] in (Action.FAIL, Action.QUARANTINE)
        if before == now or was_told or decision.action == Action.FAIL:
            return ""
        if decision.action == Action.DONE and before is not None:
            return f"completed {decision.experiment.label}{self._accuracy(decision.experiment)}"
        if decision.action == Action.BLOCK:
            return f"stopped {decision.experiment.label}: {decision.reason}"
        return ""

    def _accuracy(self, experiment: Experiment) -> str:
        record = self._store.read(experiment)
        known = isinstance(record, StatusRecord) and record.acc_last is not None
        return f" {record.acc_last:.2f} %" if known and isinstance(record, StatusRecord) else ""

    def _remarks(self, report: Report) -> Iterator[str]:
        yield from report.problems
        yield from filter(None, (report.refused, unheard(report), str(report.silence or "")))
        yield from remarks(report.plan) if not report.silence else ()

    def _print(self, line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _by_job(acted: Sequence[Decision]) -> Iterator[tuple[Decision, list[Decision]]]:
    """Each run acted upon, with those submitted in its job, which are not named again."""
    leaders = {decision.experiment for decision in acted}
    for decision in acted:
        if decision.shares_job_of not in leaders:
            yield decision, [other for other in acted if other.shares_job_of == decision.experiment]


def _beside(decisions: Sequence[Decision]) -> str:
    students = [f"{run.arm} {format_alpha(run.alpha)}" for run in (decision.experiment for decision in decisions)]
    return f" and in its job {len(students)} more ({', '.join(students)})" if students else ""


def _why(decision: Decision) -> str:
    is_plain = decision.action == Action.SUBMIT and decision.shares_job_of is None
    return "" if is_plain else f": {decision.reason}"
