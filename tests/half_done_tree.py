"""A large campaign, half done: python -m tests.half_done_tree FOLDER

240 runs of charlie's grid as they lie on the cluster in its second week: most of them completed, 60 in jobs that they
share, some failed, one at the level of guessing, one with a torn record. The folder is FOLDER, the campaign in it is
campaign.toml. For looking at what a screen shows of it, and for tests of that.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord, sealed, to_bytes
from kd_hpc.store import METRICS, STATUS, Store
from tests.broken_tree import weights_file

CAMPAIGN = """\
name = "charlie"
datasets = ["Cifar10", "Cifar100", "SVHN", "TinyImageNet"]
teacher = "ResNet112"
student = "ResNet56"
methods = ["logit", "factor_transfer", "attention_transfer", "fitnets", "rkd", "nst"]
alphas = [0.25, 0.5, 0.75]
seeds = [0, 1, 2]
students_per_job = 6

[resources]
queue = "gpu_1"
project = "ABCD1234"
walltime = "04:00:00"
memory = "16gb"
gpus = 1
gpu_type = "V100"

[scheduler]
kind = "pbs"
slots = 10
"""
EPOCHS = 150
ACCURACY = {"Cifar10": 93.0, "Cifar100": 71.0, "SVHN": 96.0, "TinyImageNet": 56.0}
SECONDS = {"Cifar10": 58.0, "Cifar100": 58.0, "SVHN": 84.0, "TinyImageNet": 230.0}
MEMORY = (
    "killed for using more memory than it asked for (=>> PBS: job killed: mem 18430964kb exceeded limit 16777216kb)"
)


class HalfDone:
    """Writes the runs, one job number after the other."""

    def __init__(self, root: Path, now: datetime) -> None:
        self.store, self.now, self.rng = Store(root), now, Random(7)
        self.job = 7002700

    def completed(self, runs: Sequence[Experiment], ago: timedelta) -> None:
        for run in self._share(runs):
            accuracy = self._accuracy(run)
            seconds = self._curves(run, EPOCHS, accuracy, len(runs))
            ended = self.now - ago
            attempt = self._attempt(runs, ended - timedelta(seconds=seconds), end_epoch=EPOCHS, ended_at=ended)
            self._write(run, State.COMPLETED, EPOCHS, accuracy, attempt, ended)
            if run.is_pure and run.student == "ResNet112":
                weights_file(self.store.directory(run), run.label.encode())

    def running(self, runs: Sequence[Experiment], epoch: int, silent: timedelta = timedelta(seconds=20)) -> None:
        for run in self._share(runs):
            seconds = self._curves(run, epoch, self._accuracy(run), len(runs))
            began = self.now - silent - timedelta(seconds=seconds)
            attempt = self._attempt(runs, began, end_epoch=epoch, host="gpu2004")
            self._write(run, State.IN_PROGRESS, epoch, self._accuracy(run) - 4, attempt, self.now - silent)

    def queued(self, runs: Sequence[Experiment]) -> None:
        for run in self._share(runs):
            attempt = self._attempt(runs, None)
            self._write(run, State.QUEUED, 0, None, attempt, self.now - timedelta(minutes=20))

    def failed(self, run: Experiment, reason: str, remedy: str, epoch: int = 0) -> None:
        for _ in self._share([run]):
            ended = self.now - timedelta(hours=5)
            attempt = self._attempt([run], ended - timedelta(minutes=9), end_epoch=epoch, ended_at=ended)
            attempt = attempt.model_copy(update={"detail": reason, "cause": "memory", "charged": True})
            self._write(run, State.FAILED, epoch, None, attempt, ended, reason, remedy)

    def suspect(self, run: Experiment, accuracy: float, chance: float) -> None:
        reason = f"test accuracy {accuracy:.2f} % is at chance level on {run.dataset} (below {chance:.2f} %)"
        remedy = f"Look at the loss terms in metrics.json; mend the recipe, then: kd-hpc retry --anew {run.label}"
        self._curves(run, EPOCHS, accuracy, 1)
        ended = self.now - timedelta(hours=30)
        attempt = self._attempt([run], ended - timedelta(hours=3), end_epoch=EPOCHS, ended_at=ended)
        self._write(run, State.SUSPECT, EPOCHS, accuracy, attempt, ended, reason, remedy)

    def torn(self, run: Experiment) -> None:
        (self.store.create(run) / STATUS).write_text('{"schema_version": 1, "state": "in_pro')

    def _share(self, runs: Sequence[Experiment]) -> Sequence[Experiment]:
        self.job += 1
        return runs

    def _attempt(
        self,
        runs: Sequence[Experiment],
        began: datetime | None,
        *,
        end_epoch: int | None = None,
        ended_at: datetime | None = None,
        host: str = "gpu2001",
    ) -> Attempt:
        labels = tuple(run.label for run in runs)
        return Attempt(
            token=f"kd{self.job}",
            scheduler="pbs",
            job_id=f"{self.job}.sched01",
            runs=labels if len(labels) > 1 else None,
            submitted_at=(began or self.now) - timedelta(minutes=24),
            started_at=began,
            ended_at=ended_at,
            host=host if began else None,
            start_epoch=0 if began else None,
            end_epoch=end_epoch,
            memory="16gb",
            walltime="04:00:00",
        )

    def _accuracy(self, run: Experiment) -> float:
        gain = 1.1 if run.is_pure and run.student == "ResNet112" else 0.6 * (run.alpha or 0)
        return ACCURACY[run.dataset] + gain + 0.1 * run.seed

    def _curves(self, run: Experiment, epochs: int, accuracy: float, students: int) -> float:
        """Write metrics.json; returns the seconds that its epochs took."""
        pace = SECONDS[run.dataset] * (1 + 0.45 * (students - 1)) * (0.6 if run.is_pure else 1)
        rise = [accuracy * (1 - math.exp(-5 * (epoch + 1) / EPOCHS)) / (1 - math.exp(-5)) for epoch in range(epochs)]
        test = [
            round(max(1.0, value - abs(self.rng.gauss(0, 1.5)) * (1 - n / EPOCHS)), 3) for n, value in enumerate(rise)
        ]
        loss = [round(2.4 * math.exp(-3 * n / EPOCHS) + abs(self.rng.gauss(0, 0.02)), 4) for n in range(epochs)]
        seconds = [round(pace * self.rng.uniform(0.97, 1.03), 2) for _ in range(epochs)]
        curves = {
            "train_loss": loss,
            "train_acc": [min(100.0, value + 2) for value in test],
            "test_loss": [value + 0.1 for value in loss],
            "test_acc": [*test[:-1], round(accuracy, 2)] if epochs == EPOCHS else test,
            "lr": [0.05 * (1 + math.cos(math.pi * n / EPOCHS)) for n in range(epochs)],
            "seconds": seconds,
            "students": [students] * epochs,
            "skipped_steps": [0] * epochs,
            "terms": {"ce": loss},
            "gradient_norms": {"ce": loss},
        }
        (self.store.create(run) / METRICS).write_text(json.dumps(curves))
        return sum(seconds)

    def _write(
        self,
        run: Experiment,
        state: State,
        epoch: int,
        accuracy: float | None,
        attempt: Attempt,
        when: datetime,
        reason: str = "",
        remedy: str = "",
    ) -> None:
        record = StatusRecord(
            state=state,
            epoch=epoch,
            epochs=EPOCHS,
            acc_last=accuracy,
            acc_best=accuracy,
            experiment=run,
            attempts=(attempt,),
            reason=reason,
            remedy=remedy,
            updated_at=when,
        )
        (self.store.create(run) / STATUS).write_bytes(to_bytes(sealed(record.model_copy(update={"revision": 1}))))


def make(root: Path, now: datetime | None = None) -> Campaign:
    """Write the campaign and its runs below `root`."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "campaign.toml").write_text(CAMPAIGN)
    campaign = load_campaign(root / "campaign.toml")
    tree = HalfDone(root, now or datetime.now(UTC))
    runs = campaign.experiments()
    _teachers_and_pure(tree, [run for run in runs if run.is_pure])
    jobs: dict[tuple[str, int], list[Experiment]] = {}
    for run in runs:
        if not run.is_pure:
            jobs.setdefault((run.dataset, run.seed), []).append(run)
    for (dataset, seed), students in jobs.items():
        _students(tree, dataset, seed, [students[n : n + 6] for n in range(0, len(students), 6)])
    return campaign


def _teachers_and_pure(tree: HalfDone, runs: Sequence[Experiment]) -> None:
    for run in runs:
        if run.dataset == "SVHN" and run.student == "ResNet112" and run.seed == 2:
            tree.suspect(run, 19.58, 20.99)
        elif run.dataset == "TinyImageNet" and run.seed == 2:
            tree.running([run], 41)
        elif run.dataset == "TinyImageNet" and run.seed == 1 and run.student == "ResNet112":
            tree.failed(run, MEMORY, f'Write memory = "24gb" under [resources] of the campaign, then: {_retry(run)}')
        elif run.dataset == "SVHN" and run.student == "ResNet56" and run.seed == 1:
            tree.torn(run)
        else:
            tree.completed([run], timedelta(days=9))


def _students(tree: HalfDone, dataset: str, seed: int, jobs: Sequence[Sequence[Experiment]]) -> None:
    if dataset == "Cifar10" or (dataset == "Cifar100" and seed < 2):
        for number, job in enumerate(jobs):
            tree.completed(job, timedelta(days=5 - seed, hours=number))
    elif dataset == "Cifar100":
        for run in jobs[0]:
            tree.failed(run, MEMORY, f'Write memory = "24gb" under [resources] of the campaign, then: {_retry(run)}')
        tree.running(jobs[1], 147)
        tree.running(jobs[2], 92)
    elif dataset == "SVHN" and seed < 2:
        for number, job in enumerate(jobs):
            tree.running(job, 20 + 31 * number, timedelta(hours=7) if seed and number == 2 else timedelta(seconds=40))
    elif dataset == "TinyImageNet" and seed == 0:
        for job in jobs[:1]:
            tree.queued(job)


def _retry(run: Experiment) -> str:
    return f"kd-hpc retry {run.label}"


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: a campaign of 240 runs, half done")
