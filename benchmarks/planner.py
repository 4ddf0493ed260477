"""How long planning and a whole tick take, for campaigns of growing size. No training, no real scheduler.

    python -m benchmarks.planner

`plan` is the pure planner; `tick` also reads every run directory and the scheduler's (immediate) answer, plans, and
finds nothing to change. Processor seconds, median of the repeats, with the smallest and largest.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from kd_hpc.campaign import Campaign
from kd_hpc.catalogue import METHODS
from kd_hpc.experiment import Experiment
from kd_hpc.planning.planner import plan
from kd_hpc.planning.situation import RunView, Situation, Weights
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import Runner
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import JobSpec, ListedJob, Live, Phase, Snapshot
from kd_hpc.schedulers.job_names import job_name
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPEATS = 7


class Busy:
    """A scheduler whose slots are all taken."""

    kind = "pbs"
    user = "ann"
    can_avoid_nodes = False
    list_jobs = "qstat"

    def __init__(self, jobs: tuple[ListedJob, ...]) -> None:
        self.jobs = jobs

    def look(self, job_ids: object) -> Snapshot:
        return Snapshot({job.job_id: job.observation for job in self.jobs}, self.jobs)

    def submit_held(self, spec: JobSpec) -> str:
        raise NotImplementedError

    def release(self, job_ids: object) -> None: ...

    def cancel(self, job_ids: object) -> None: ...

    def wait(self, job_ids: object, seconds: float) -> None: ...


def campaign(seeds: int) -> Campaign:
    """78 runs a seed on four data sets."""
    return Campaign.model_validate(
        {
            "name": "benchmark",
            "datasets": ["Cifar10", "Cifar100", "SVHN", "TinyImageNet"],
            "teacher": "ResNet112",
            "student": "ResNet56",
            "methods": METHODS,
            "alphas": [0.25, 0.5, 0.75],
            "seeds": list(range(seeds)),
            "scheduler": {"kind": "pbs", "slots": 10},
        }
    )


def record(experiment: Experiment, number: int) -> StatusRecord | None:
    """Teachers are completed; of the others a third each is completed, between two jobs, or new."""
    attempt = Attempt(
        token="abcdefgh", scheduler="pbs", job_id=f"{number}.vm", start_epoch=0, end_epoch=1, ended_at=NOW
    )
    if experiment.is_pure or number % 3 == 0:
        return StatusRecord(state=State.COMPLETED, epoch=150, epochs=150, experiment=experiment, attempts=(attempt,))
    if number % 3 == 1:
        return StatusRecord(
            state=State.IN_PROGRESS, epoch=1, epochs=150, experiment=experiment, attempts=(attempt,) * 3
        )
    return None


def listed(root: str, experiments: tuple[Experiment, ...]) -> tuple[ListedJob, ...]:
    jobs = enumerate(experiments[:10])
    return tuple(ListedJob(f"9{n}.vm", job_name(root, run, f"abcdefg{n}"), Live(Phase.RUNNING)) for n, run in jobs)


def timed(act: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return times


def planning(seeds: int) -> tuple[int, list[float]]:
    whole = campaign(seeds)
    grid = whole.experiments()
    runs = tuple(RunView(run, record(run, number), weights=Weights("aa")) for number, run in enumerate(grid))
    jobs = listed("/experiments", grid)
    return len(grid), timed(lambda: plan(Situation(whole, "/experiments", "pbs", runs, Snapshot({}, jobs), NOW)))


def ticking(seeds: int) -> tuple[int, list[float]]:
    whole = campaign(seeds)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for number, run in enumerate(whole.experiments()):
            if known := record(run, number):
                store.write(run, known)
        scheduler = Busy(listed(folder, whole.experiments()))
        runner = Runner(whole, store, OwnJobs(scheduler), Evidence(store, store.root / "weights.json"))
        return len(whole.experiments()), timed(runner.tick)


def main() -> None:
    print(f"{'what':6}{'runs':>8}{'median s':>12}{'least s':>12}{'most s':>12}")
    for what, measured in (("plan", planning), ("tick", ticking)):
        for seeds in (4, 40, 125) if what == "plan" else (4,):
            runs, times = measured(seeds)
            print(f"{what:6}{runs:8}{median(times):12.4f}{min(times):12.4f}{max(times):12.4f}")


if __name__ == "__main__":
    main()
