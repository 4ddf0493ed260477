"""A forecast in words: measured runs in, sentences out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.experiment import Experiment
from kd_hpc.forecasting.forecast import Forecast, forecast, remaining
from kd_hpc.forecasting.timings import Timings, read_timings
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Store

_NOT_MEASURED = "No epoch was measured yet: ask again when the first runs have some."


@dataclass(frozen=True)
class ForecastText:
    """`left` runs are still to be trained; `stuck` students beside them have a flagged teacher. `forecast` is None
    where nothing can be said: nothing is left, or nothing was measured.
    """

    campaign: Campaign
    states: Counter[str]
    left: int
    stuck: int
    timings: Timings
    forecast: Forecast | None
    now: datetime

    def as_json(self) -> dict[str, Any]:
        found = {"campaign": self.campaign.name, "states": dict(self.states)}
        if self.forecast is None:
            return {**found, "outlook": None, "gpu_hours_spent": self._spent}
        ends = {
            "ends_p50": (self.now + timedelta(seconds=self.forecast.p50)).isoformat(),
            "ends_p90": (self.now + timedelta(seconds=self.forecast.p90)).isoformat(),
        }
        return {**found, "outlook": {**asdict(self.forecast), **ends}, "gpu_hours_spent": self._spent}

    def lines(self) -> Iterator[str]:
        """Everything, for people."""
        total = sum(self.states.values())
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        yield f"{self.campaign.name}: {total} runs: {counts}"
        yield from self.prospects()
        yield from self.remarks()

    def prospects(self) -> Iterator[str]:
        """When it ends, or why that cannot be said."""
        if self.forecast is None:
            yield _NOT_MEASURED if self.left else "Nothing is left to train."
            return
        shared = f" in {self.forecast.jobs_left} jobs" if self.forecast.jobs_left < self.forecast.runs_left else ""
        for name, seconds in (("even odds", self.forecast.p50), ("nine in ten", self.forecast.p90)):
            when = f"{(self.now + timedelta(seconds=seconds)).astimezone():%a %d %b %H:%M}"
            yield f"{self.forecast.runs_left} runs left{shared}; {name}: done in {_span(seconds)}, by {when}"
        if self.forecast.teachers_p50:
            teachers = _span(self.forecast.teachers_p50)
            yield f"The last teacher ends in about {teachers}; students wait for theirs until then."

    def remarks(self) -> Iterator[str]:
        """What it costs, what would be quicker, and what the forecast does not know."""
        if self.stuck:
            yield f"{self.stuck} runs wait for a teacher that failed or is suspect; see kd-hpc status"
        if self.forecast is None:
            return
        yield from self._cost(self.forecast)
        if self.forecast.better_walltime:
            yield (
                f"A walltime of {self.forecast.better_walltime} instead of {self.forecast.walltime} would save about "
                f"{_span(self.forecast.better_saves)}: write it under [resources]."
            )
        if self.forecast.guessed:
            guessed = f"{self.forecast.guessed} runs go by the pace of other kinds of run or job"
            yield f"{guessed}: theirs is not measured yet."

    @property
    def _spent(self) -> float:
        return self.timings.spent_seconds / 3600 * self.campaign.resources.gpus

    def _cost(self, forecast: Forecast) -> Iterator[str]:
        restarts = f"about {forecast.restarts_p50:.0f} jobs to be continued after a kill"
        yield f"{forecast.jobs_at_once} jobs at once; {restarts}"
        if self.campaign.resources.gpus:
            yield f"GPU hours: {self._spent:.0f} spent, about {forecast.gpu_hours_p50:.0f} to come"


def look_ahead(campaign_file: Path, experiments: Path, *, tick_seconds: float) -> ForecastText:
    """The forecast of the campaign in `campaign_file`, from what its runs in `experiments` have shown."""
    campaign, store = load_campaign(campaign_file), Store(experiments)
    found = {experiment: store.read(experiment) for experiment in campaign.experiments()}
    records = {experiment: record for experiment, record in found.items() if isinstance(record, StatusRecord)}
    states = Counter(
        record.state.value if isinstance(record, StatusRecord) else _without(record) for record in found.values()
    )
    finished: set[Experiment] = {experiment for experiment, record in records.items() if record.state.is_final}
    stuck = _stuck(campaign, records)
    timings = read_timings(store, records)
    epochs = {experiment: record.epoch for experiment, record in records.items()}
    work = remaining(campaign, epochs, finished | stuck, timings)
    jobs = _jobs_at_once(campaign, timings)
    watched = campaign.scheduler.kind == "local"
    ahead = forecast(campaign, work, timings, jobs_at_once=jobs, tick_seconds=0.5 if watched else tick_seconds)
    left = sum(item.students for item in work)
    return ForecastText(campaign, states, left, len(stuck), timings, ahead if work else None, datetime.now(UTC))


def _stuck(campaign: Campaign, records: Mapping[Experiment, StatusRecord]) -> set[Experiment]:
    """Students that cannot start before a person does something about their teacher."""
    flagged = {run for run, record in records.items() if record.state in (State.SUSPECT, State.FAILED)}
    return {run for run in campaign.experiments() if run.teacher_run in flagged}


def _jobs_at_once(campaign: Campaign, timings: Timings) -> int:
    """As many as were really seen at work, once there was time to see it; before, as many as there are slots."""
    slots = campaign.scheduler.slots
    return min(slots, timings.most_running) if len(timings.waits) > 2 * slots and timings.most_running else slots


def _without(record: object) -> str:
    return State.NOT_STARTED.value if record is None else "unreadable"


def _span(seconds: float) -> str:
    if seconds < 5400:
        minutes = max(1, round(seconds / 60))
        return f"{minutes} minute{'s' if minutes != 1 else ''}"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
