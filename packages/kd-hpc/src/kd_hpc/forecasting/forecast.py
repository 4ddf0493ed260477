"""When the campaign ends: many possible futures drawn from what was measured, each played through the slots. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import ceil, exp
from random import Random

from kd_hpc.campaign import Campaign
from kd_hpc.experiment import Experiment
from kd_hpc.forecasting.timings import Timings
from kd_hpc.planning.job_packing import LEVEL
from kd_hpc.planning.planner import importance

_SPREAD = 0.1
"""Standard deviation of the logarithm of a run's pace where no two runs of its kind were measured."""
_FUTURES = 300
_WORTH_SECONDS = 2 * 3600.0
"""A change of walltime that saves less than this is not worth proposing."""


@dataclass(frozen=True)
class Forecast:
    """Seconds from now, at the middle and the 90 % point of all futures. GPU hours are those still to come.

    `teachers`: when the last teacher ends. `restarts`: jobs beyond those `jobs_left`, to come. `guessed`: runs whose
    pace was taken from another kind of run, or of job.
    """

    runs_left: int
    jobs_left: int
    p50: float
    p90: float
    teachers_p50: float
    gpu_hours_p50: float
    restarts_p50: float
    jobs_at_once: int
    walltime: str
    better_walltime: str = ""
    better_saves: float = 0.0
    guessed: int = 0


@dataclass(frozen=True)
class Work:
    """A job to be: the run in it, or the one that leads it, epochs to go, and the paces they may have.

    `needs` is the run, teacher or parent, that must end first; `beside` are those that share the job.
    """

    experiment: Experiment
    epochs: int
    paces: Sequence[float]
    is_teacher: bool
    needs: Experiment | None
    beside: tuple[Experiment, ...] = ()

    @property
    def students(self) -> int:
        return 1 + len(self.beside)


def remaining(
    campaign: Campaign, epochs_done: dict[Experiment, int], finished: set[Experiment], timings: Timings
) -> list[Work]:
    """What is left of the grid, the most important first. `finished` are runs that need nothing more."""
    work: list[Work] = []
    left = [experiment for experiment in campaign.experiments() if experiment not in finished]
    for experiment in sorted(left, key=lambda experiment: importance(experiment, campaign.teachers)):
        is_teacher = experiment.is_pure and experiment.student in campaign.teachers
        needs = next((run for run in (experiment.parent, experiment.teacher_run) if run and run not in finished), None)
        done = max(experiment.first_epoch, epochs_done.get(experiment, 0))
        epochs = max(1, campaign.recipe_for(experiment).epochs - done)
        item = Work(experiment, epochs, (), is_teacher, needs)
        _put(item, work, campaign.students_per_job)
    return [replace(item, paces=timings.paces_for(item.experiment, item.students)[0]) for item in work]


def _put(item: Work, work: list[Work], students_per_job: int) -> None:
    """Add `item` to the job in `work` that it may share, as the planner would, or as one more."""
    own = item.experiment.company
    for place, job in enumerate(work):
        is_level = abs(job.epochs - item.epochs) <= LEVEL
        has_company = own is not None and own == job.experiment.company and item.needs == job.needs
        if has_company and is_level and job.students < students_per_job:
            beside = (*job.beside, item.experiment)
            work[place] = replace(job, beside=beside, epochs=max(job.epochs, item.epochs))
            return
    work.append(item)


def forecast(
    campaign: Campaign,
    work: Sequence[Work],
    timings: Timings,
    *,
    jobs_at_once: int,
    tick_seconds: float,
    seed: int = 0,
) -> Forecast | None:
    """The outlook for `work`; None if no epoch was measured yet. `tick_seconds`: how often somebody queues."""
    if any(not item.paces for item in work):
        return None
    walltime = campaign.resources.walltime_seconds
    futures = _futures(work, timings, walltime, jobs_at_once, tick_seconds, seed)
    better, saves = _better_walltime(
        work, timings, walltime, jobs_at_once, tick_seconds, seed, _at([f.end for f in futures], 0.5)
    )
    return Forecast(
        runs_left=sum(item.students for item in work),
        jobs_left=len(work),
        p50=_at([future.end for future in futures], 0.5),
        p90=_at([future.end for future in futures], 0.9),
        teachers_p50=_at([future.teachers for future in futures], 0.5),
        gpu_hours_p50=_at([future.busy for future in futures], 0.5) / 3600 * campaign.resources.gpus,
        restarts_p50=_at([float(future.restarts) for future in futures], 0.5),
        jobs_at_once=jobs_at_once,
        walltime=campaign.resources.walltime,
        better_walltime=better,
        better_saves=saves,
        guessed=sum(
            item.students for item in work if timings.paces_for(item.experiment, item.students)[1] != "measured"
        ),
    )


@dataclass(frozen=True)
class _Future:
    end: float
    teachers: float
    busy: float
    restarts: int


def _futures(
    work: Sequence[Work], timings: Timings, walltime: float, jobs: int, tick: float, seed: int, count: int = _FUTURES
) -> list[_Future]:
    rng = Random(seed)
    return [_play(work, timings, walltime, jobs, tick, rng) for _ in range(count)]


def _play(work: Sequence[Work], timings: Timings, walltime: float, jobs: int, tick: float, rng: Random) -> _Future:
    """One future: the most important ready run takes the next free slot; students are ready when their teacher ends."""
    free = [0.0] * jobs
    ended: dict[Experiment, float] = {}
    ready = [(0.0, order, item) for order, item in enumerate(work) if item.needs is None]
    waiting = {order: item for order, item in enumerate(work) if item.needs is not None}
    busy, restarts = 0.0, 0
    ready.sort()
    while ready:
        slot = heappop(free)
        begin = max(slot, min(when for when, _, _ in ready))
        choice = min((entry for entry in ready if entry[0] <= begin), key=lambda entry: entry[1])
        ready.remove(choice)
        item = choice[2]
        worked, again = _duration(item, timings, walltime, rng)
        took = worked + _queueing(timings, tick, again + 1, rng)
        ended[item.experiment] = begin + took
        busy, restarts = busy + worked, restarts + again
        heappush(free, begin + took)
        for order in [order for order, student in waiting.items() if student.needs in (item.experiment, *item.beside)]:
            ready.append((ended[item.experiment], order, waiting.pop(order)))
    teachers = [ended[item.experiment] for item in work if item.is_teacher and item.experiment in ended]
    return _Future(max(ended.values(), default=0.0), max(teachers, default=0.0), busy, restarts)


def _duration(item: Work, timings: Timings, walltime: float, rng: Random) -> tuple[float, int]:
    """Seconds of work with what kills repeat, and the number of further jobs that takes."""
    pace = rng.choice(item.paces) * (exp(rng.gauss(0, _SPREAD)) if len(item.paces) < 2 else 1.0)
    needed = item.epochs * pace
    by_walltime = max(0, ceil(needed / max(pace, walltime - pace / 2)) - 1)
    by_chance = _poisson(timings.deaths_per_hour * needed / 3600, rng)
    again = by_walltime + by_chance
    return needed + again * pace / 2, again


def _queueing(timings: Timings, tick: float, jobs: int, rng: Random) -> float:
    """Seconds without work: until somebody queues, and until the scheduler starts the job."""
    waits = (rng.choice(timings.waits) if timings.waits else 0.0 for _ in range(jobs))
    return sum(waits) + sum(rng.uniform(0, tick) for _ in range(jobs))


def _better_walltime(
    work: Sequence[Work], timings: Timings, now: float, jobs: int, tick: float, seed: int, p50: float
) -> tuple[str, float]:
    """A longer walltime that would end the campaign hours earlier, and how many seconds; ("", 0) if none does."""
    for factor in (1.5, 2, 3, 4, 6):
        futures = _futures(work, timings, now * factor, jobs, tick, seed, count=40)
        saves = p50 - _at([future.end for future in futures], 0.5)
        if saves >= max(_WORTH_SECONDS, 0.05 * p50):
            minutes = int(now * factor / 60)
            return f"{minutes // 60:02}:{minutes % 60:02}:00", saves
    return "", 0.0


def _poisson(mean: float, rng: Random) -> int:
    count, product, limit = 0, rng.random(), exp(-min(mean, 50.0))
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def _at(values: Sequence[float], quantile: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else 0.0
