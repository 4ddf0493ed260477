"""A stand-in for `kd-core train` that keeps its contract: claims, writes its record every epoch, resumes, finishes.

Its "training" is sleeping STANDIN_EPOCH_SECONDS an epoch. STANDIN_DIE makes it die in the epoch of that number;
STANDIN_HOLD makes it wait in that epoch until the file named by STANDIN_GO exists.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kd_hpc.claim import Claim, JobIdentity, claimed
from kd_hpc.command import student_beside
from kd_hpc.disk.sealed import seal_object
from kd_hpc.errors import KdError, Superseded
from kd_hpc.experiment import Experiment
from kd_hpc.records import State
from kd_hpc.store import BEST, CHECKPOINT, METRICS, Store

HANGS = 1000.0
"""Seconds after which nobody lets a held one go any more; as in support.py, which would take longer to load."""


def main() -> int:
    arguments = _arguments()
    store, job = Store(Path(arguments.experiments)), JobIdentity.from_environment()
    runs: dict[Experiment, Claim] = {}
    try:
        with contextlib.ExitStack() as owned:
            for experiment in _experiments(arguments):
                with _told_if_superseded():
                    claim = owned.enter_context(claimed(store, experiment, job))
                    if claim.run:
                        runs[experiment] = claim
            _train(runs, arguments.epochs)
    except KdError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _experiments(arguments: argparse.Namespace) -> list[Experiment]:
    shared = {"dataset": arguments.dataset, "seed": arguments.seed, "variant": arguments.variant}
    if arguments.model is not None:
        return [Experiment(**shared, student=arguments.model)]
    models = {"teacher": arguments.teacher, "student": arguments.student}
    first = Experiment(**shared, method=arguments.method, alpha=arguments.alpha, **models)
    return [first, *(student_beside(first, word) for word in arguments.beside)]


@contextlib.contextmanager
def _told_if_superseded() -> Iterator[None]:
    try:
        yield
    except Superseded as reason:
        print(reason, file=sys.stderr)


def _train(claims: dict[Experiment, Claim], epochs: int) -> None:
    """All runs to their end, those behind first."""
    trained = {run: Trained(claim) for run, claim in claims.items()}
    for one in trained.values():
        one.write(state=State.IN_PROGRESS, epochs=epochs)
    for epoch in range(min((one.done for one in trained.values()), default=epochs) + 1, epochs + 1):
        time.sleep(float(os.environ.get("STANDIN_EPOCH_SECONDS", "0.01")))
        if epoch == int(os.environ.get("STANDIN_DIE", "0")):
            raise SystemExit("error: told to die")
        if epoch == int(os.environ.get("STANDIN_HOLD", "0")):
            _hold_until(Path(os.environ["STANDIN_GO"]))
        for one in [one for one in trained.values() if one.done < epoch]:
            one.end_epoch(epoch)
    for one in trained.values():
        one.complete()


def _hold_until(there: Path) -> None:
    deadline = time.monotonic() + HANGS
    while not there.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


class Trained:
    """One claimed run as it goes on."""

    def __init__(self, claim: Claim) -> None:
        assert claim.run is not None, "a run that is done is not trained"
        self.run, self.record = claim.run, claim.record
        checkpoint = self.run.directory / CHECKPOINT
        self.done = int(json.loads(checkpoint.read_text())["epoch"]) if checkpoint.exists() else 0

    def end_epoch(self, epoch: int) -> None:
        self.publish(METRICS, seal_object({"seconds": [1.0] * epoch}))
        self.publish(CHECKPOINT, {"epoch": epoch})
        self.done, self.record = epoch, self.record.with_attempt(end_epoch=epoch)
        self.write(epoch=epoch, acc_last=90.0)

    def complete(self) -> None:
        buffer = io.BytesIO()
        write_weights(buffer)
        self.run.fence.publish(self.run.directory / BEST, buffer.getvalue())
        self.record = self.record.with_attempt(ended_at=datetime.now(UTC))
        self.write(state=State.COMPLETED)

    def publish(self, name: str, content: object) -> None:
        self.run.fence.publish(self.run.directory / name, json.dumps(content).encode())

    def write(self, **changes: object) -> None:
        self.record = self.run.write(self.record.model_copy(update=changes))


def write_weights(stream: object) -> None:
    """A file as torch writes them, as far as can be told without torch."""
    with zipfile.ZipFile(stream, "w") as archive:  # type: ignore[call-overload]
        archive.writestr("archive/data.pkl", b"not a real pickle")
        archive.writestr("archive/data/0", bytes(range(256)) * 8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb")
    for name in ("experiments", "data", "dataset", "model", "method", "teacher", "student", "device"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--variant", default="")
    parser.add_argument("--beside", action="append", default=[])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--epochs", type=int, default=150)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
