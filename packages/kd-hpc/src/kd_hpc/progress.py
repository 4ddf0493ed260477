"""The live picture of a watched campaign on a terminal; nothing where stderr is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from kd_hpc.decision import Action, Plan
from kd_hpc.experiment import Experiment
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Store

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress_bar import ProgressBar


class Display(Protocol):
    def update(self, plan: Plan) -> None:
        """Take over which runs are done and which have a job."""

    def refresh(self) -> None:
        """Read the live runs' records again and redraw."""


@contextmanager
def make_display(store: Store) -> Iterator[Display]:
    """A live display on stderr for the body; one that does nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield _Silence()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(
        console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as live:
        yield _Picture(store, live)


def seconds_left(record: StatusRecord, now: datetime) -> float | None:
    """Of a run in progress, at the pace of its latest attempt; None before that has an epoch."""
    attempt = record.attempt
    if attempt is None or attempt.started_at is None or not record.epochs:
        return None
    epochs = record.progress - (attempt.start_epoch or 0)
    until = record.updated_at or now
    if epochs <= 0:
        return None
    pace = (until - attempt.started_at).total_seconds() / epochs
    return max(0.0, pace * (record.epochs - record.epoch) - (now - until).total_seconds())


class _Silence:
    def update(self, plan: Plan) -> None:
        pass

    def refresh(self) -> None:
        pass


class _Picture:
    def __init__(self, store: Store, live: Live) -> None:
        self._store, self._live = store, live
        self._live_runs: list[Experiment] = []
        self._done = self._all = 0
        self._pace = _Pace()

    def update(self, plan: Plan) -> None:
        self._all = len(plan.decisions)
        self._done = sum(decision.action == Action.DONE for decision in plan.decisions)
        at_work = (Action.LEAVE, Action.RELEASE, Action.ADOPT, Action.SUBMIT, Action.RESUBMIT)
        self._live_runs = [decision.experiment for decision in plan.decisions if decision.action in at_work]
        settled = sum(decision.action.is_settled for decision in plan.decisions)
        self._pace.note(settled, self._all)
        self.refresh()

    def refresh(self) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        now = datetime.now(UTC)
        grid = Table.grid(padding=(0, 2))
        left = self._pace.left()
        head = f"{self._done} of {self._all} runs completed"
        grid.add_row("[bold]campaign[/]", ProgressBar(total=self._all, completed=self._done, width=24), head, "", left)
        for experiment in self._live_runs:
            record = self._store.read(experiment)
            if isinstance(record, StatusRecord):
                grid.add_row(*_cells(experiment, record, now))
        self._live.update(Group(grid), refresh=True)


def _cells(experiment: Experiment, record: StatusRecord, now: datetime) -> tuple[str | ProgressBar, ...]:
    from rich.progress_bar import ProgressBar

    if record.state != State.IN_PROGRESS:
        return (experiment.label, "", f"{record.state.value} {record.job_id or ''}", "", "")
    bar = ProgressBar(total=record.epochs or 1, completed=record.epoch, width=24)
    accuracy = "" if record.acc_last is None else f"{record.acc_last:.2f} %"
    left = seconds_left(record, now)
    return (experiment.label, bar, f"epoch {record.epoch} of {record.epochs}", accuracy, _clock(left))


class _Pace:
    """Runs settled since the watching began, and how long the rest would take at that pace."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._first: int | None = None
        self._settled = self._all = 0

    def note(self, settled: int, of_all: int) -> None:
        self._first = settled if self._first is None else self._first
        self._settled, self._all = settled, of_all

    def left(self) -> str:
        finished = self._settled - (self._first or 0)
        if finished <= 0:
            return ""
        spent = (datetime.now(UTC) - self._began).total_seconds()
        return _clock(spent / finished * (self._all - self._settled))


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
