"""The live picture of a watched campaign on a terminal; nothing where stderr is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action, Plan
from kd_hpc.records import State, StatusRecord
from kd_hpc.screen.escapes import unguarded
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
        console=Console(file=unguarded(sys.stderr)),
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
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
        self._done = self._settled = self._all = 0
        self._pace = _Pace()

    def update(self, plan: Plan) -> None:
        self._all = len(plan.decisions)
        self._done = sum(decision.action == Action.DONE for decision in plan.decisions)
        at_work = (Action.LEAVE, Action.RELEASE, Action.ADOPT, Action.SUBMIT, Action.RESUBMIT)
        self._live_runs = [decision.experiment for decision in plan.decisions if decision.action in at_work]
        self._settled = sum(decision.action.is_settled for decision in plan.decisions)
        self.refresh()

    def refresh(self) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        now = datetime.now(UTC)
        live = [(run, record) for run in self._live_runs if isinstance(record := self._store.read(run), StatusRecord)]
        left = self._pace.left(self._settled + sum(_share(record) for _, record in live), self._all, now)
        grid = Table.grid(padding=(0, 2))
        head = f"{self._done} of {self._all} runs completed"
        bar = ProgressBar(total=self._all, completed=self._done, width=24)
        grid.add_row("[bold]campaign[/]", bar, head, "", _clock(left))
        for run, record in live:
            grid.add_row(*_cells(run, record, now))
        self._live.update(grid, refresh=True)


def _share(record: StatusRecord) -> float:
    """How much of the run is done, from 0 to 1."""
    return min(1.0, record.epoch / record.epochs) if record.epochs else 0.0


def _cells(experiment: Experiment, record: StatusRecord, now: datetime) -> tuple[str | ProgressBar, ...]:
    from rich.progress_bar import ProgressBar

    if record.state != State.IN_PROGRESS:
        return (experiment.label, "", f"{record.state.value} {record.job_id or ''}", "", "")
    bar = ProgressBar(total=record.epochs or 1, completed=record.epoch, width=24)
    accuracy = "" if record.acc_last is None else f"{record.acc_last:.2f} %"
    left = seconds_left(record, now)
    return (experiment.label, bar, f"epoch {record.epoch} of {record.epochs}", accuracy, _clock(left))


class _Pace:
    """Runs and parts of runs done since the watching began, and how long the rest takes at that pace."""

    def __init__(self) -> None:
        self._began: tuple[datetime, float] | None = None

    def left(self, done: float, of_all: int, now: datetime) -> float | None:
        """Seconds until `of_all` runs are done; None before anything was."""
        self._began = self._began or (now, done)
        since, before = self._began
        if done <= before:
            return None
        return (now - since).total_seconds() / (done - before) * (of_all - done)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
