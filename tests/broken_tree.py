"""A folder of runs that came to grief, each in its own way: python tests/broken_tree.py FOLDER

For docs/guide/when-something-died.md: its examples are what the real commands say of this folder. The last words in the
`errors` files are those of a PBS cluster; records are what kd-hpc writes after such deaths.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kd_hpc.diagnosis.diagnose import Diagnosis, diagnose
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import Gone, NodeFault
from kd_hpc.store import BEST, ERRORS, STATUS, Store

CAMPAIGN = """\
name = "practice"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
methods = ["logit"]
alphas = [0.5]
seeds = [0, 1, 2, 3]

[recipe]
epochs = 150

[resources]
memory = "16gb"

[scheduler]
kind = "local"
"""
WALLTIME = "=>> PBS: job killed: walltime 7243 exceeded limit 7200"
MEMORY = "=>> PBS: job killed: mem 18874368kb exceeded limit 16777216kb"
MODULE = """\
Traceback (most recent call last):
  File "kd/packages/kd-core/src/kd_core/data/sources/svhn.py", line 18, in read_svhn
    from scipy.io import loadmat
ModuleNotFoundError: No module named 'scipy'
"""
OTHER_JOB = "superseded: this is kd5e1f in job 7002790.sched01, on record is kd77a0 in job 7002795.sched01"
NODE = Gone("qstat -xf", -1, "job_state = F, Exec failed: could not start", "gpu2003", verdict=NodeFault())


def teacher(seed: int) -> Experiment:
    return Experiment(dataset="Digits", student="ResNet20", seed=seed)


def student(seed: int) -> Experiment:
    return Experiment(dataset="Digits", student="ResNetBaby", seed=seed)


def distilled(seed: int) -> Experiment:
    return Experiment(dataset="Digits", method="logit", alpha=0.5, teacher="ResNet20", student="ResNetBaby", seed=seed)


class BrokenTree:
    """Writes the runs, one job number after the other."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.job = 7002783

    def died(
        self,
        run: Experiment,
        words: str,
        gone: Gone,
        *,
        gained: int = 0,
        failed: bool = False,
        learned_from: str | None = None,
    ) -> None:
        """A run whose job ended with `words` in its errors file; given up, or to be queued again."""
        self.job += 1
        found = diagnose(
            gone, words, start_epoch=0, end_epoch=gained, memory="16gb", token=f"kd{self.job}", run=run.label
        )
        record = StatusRecord(
            state=State.FAILED if failed else State.IN_PROGRESS,
            experiment=run,
            epoch=gained,
            epochs=150,
            attempts=(self._attempt(found, gone, gained),),
            reason=found.detail if failed else "",
            remedy=found.remedy if failed else "",
            teacher_sha256=learned_from,
        )
        self._write(run, record)
        (self.store.directory(run) / ERRORS).write_text(words + "\n")

    def ended(self, run: Experiment, state: State, accuracy: float, *, reason: str = "", remedy: str = "") -> None:
        """A run that trained all its epochs."""
        record = StatusRecord(
            state=state, experiment=run, epoch=150, epochs=150, acc_last=accuracy, reason=reason, remedy=remedy
        )
        self._write(run, record)

    def weights(self, run: Experiment, content: bytes) -> str:
        """A best.pth as far as kd-hpc looks into it; returns its SHA-256."""
        return hashlib.sha256(weights_file(self.store.directory(run), content).read_bytes()).hexdigest()

    def _write(self, run: Experiment, record: StatusRecord) -> None:
        self.store.create(run)
        self.store.write(run, record)

    def _attempt(self, found: Diagnosis, gone: Gone, gained: int) -> Attempt:
        now = datetime.now(UTC)
        return Attempt(
            token=f"kd{self.job}",
            scheduler="pbs",
            job_id=f"{self.job}.sched01",
            submitted_at=now - timedelta(hours=9),
            started_at=now - timedelta(hours=8),
            ended_at=now - timedelta(hours=6),
            host=gone.host or "gpu2001",
            start_epoch=0,
            end_epoch=gained,
            memory="16gb",
            exit_status=gone.exit_status,
            cause=found.cause.name,
            detail=found.detail,
            charged=found.charged,
            next_memory=found.next_memory,
        )


def weights_file(directory: Path, content: bytes) -> Path:
    """A best.pth as far as kd-hpc looks into it."""
    path = directory / BEST
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("best/data.pkl"), content)
    return path


def make(root: Path) -> None:
    """Write the campaign and its broken runs below `root`."""
    tree = BrokenTree(root)
    tree.died(teacher(0), WALLTIME, Gone("qstat -xf", -29), gained=61)
    tree.died(student(0), MEMORY, Gone("qstat -xf", -27), failed=True)
    tree.died(teacher(1), MODULE, Gone("qstat -xf", 1), failed=True)
    tree.died(student(1), "", NODE)
    tree.ended(
        teacher(2),
        State.SUSPECT,
        9.89,
        reason="test accuracy 9.89 % is at chance level on Digits (below 16.29 %)",
        remedy=f"Look at the loss terms in metrics.json; mend the recipe, then: kd-hpc retry --anew {teacher(2).label}",
    )
    tree.died(student(2), OTHER_JOB, Gone("qstat -xf", 0))
    tree.ended(teacher(3), State.COMPLETED, 97.25)
    first = tree.weights(teacher(3), b"first")
    tree.died(distilled(3), WALLTIME, Gone("qstat -xf", -29), gained=40, learned_from=first)
    tree.weights(teacher(3), b"second")
    tree.ended(student(3), State.COMPLETED, 97.25)
    (tree.store.directory(student(3)) / STATUS).write_text('{"schema_version": 1, "state": "in_pro')
    (root / "campaign.toml").write_text(CAMPAIGN)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: a campaign and the runs that it came to grief with")
