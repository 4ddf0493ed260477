"""A stand-in for `kd-core train` that keeps its contract: claims, writes its record every epoch, resumes, finishes.

Its "training" is sleeping STANDIN_EPOCH_SECONDS an epoch. STANDIN_DIE makes it die in the epoch of that number;
STANDIN_HOLD makes it wait in that epoch until the file named by STANDIN_GO exists.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kd_hpc.claim import JobIdentity, Superseded, claimed
from kd_hpc.errors import KdError
from kd_hpc.experiment import Experiment
from kd_hpc.files import publish, publish_text
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import BEST, CHECKPOINT, METRICS, Store


def main() -> int:
    arguments = _arguments()
    store, job = Store(Path(arguments.experiments)), JobIdentity.from_environment()
    runs: dict[Experiment, StatusRecord] = {}
    try:
        with contextlib.ExitStack() as owned:
            for experiment in _experiments(arguments):
                with _told_if_superseded():
                    record = owned.enter_context(claimed(store, experiment, job))
                    if not record.is_done:
                        runs[experiment] = record
            _train(store, runs, arguments.epochs)
    except KdError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _experiments(arguments: argparse.Namespace) -> list[Experiment]:
    if arguments.model is not None:
        return [Experiment(dataset=arguments.dataset, seed=arguments.seed, student=arguments.model)]
    models = {"teacher": arguments.teacher, "student": arguments.student}
    students = [(arguments.method, arguments.alpha), *(word.split(":") for word in arguments.beside)]
    return [
        Experiment(dataset=arguments.dataset, seed=arguments.seed, method=method, alpha=float(alpha), **models)
        for method, alpha in students
    ]


@contextlib.contextmanager
def _told_if_superseded() -> Iterator[None]:
    try:
        yield
    except Superseded as reason:
        print(reason, file=sys.stderr)


def _train(store: Store, records: dict[Experiment, StatusRecord], epochs: int) -> None:
    """All runs to their end, those behind first."""
    done = {run: _checkpoint(store, run) for run in records}
    for run, record in records.items():
        records[run] = record.model_copy(update={"state": State.IN_PROGRESS, "epochs": epochs})
        store.write(run, records[run])
    for epoch in range(min(done.values(), default=epochs) + 1, epochs + 1):
        time.sleep(float(os.environ.get("STANDIN_EPOCH_SECONDS", "0.01")))
        if epoch == int(os.environ.get("STANDIN_DIE", "0")):
            raise SystemExit("error: told to die")
        if epoch == int(os.environ.get("STANDIN_HOLD", "0")):
            while not Path(os.environ["STANDIN_GO"]).exists():
                time.sleep(0.02)
        for run in [run for run in records if done[run] < epoch]:
            records[run] = _end_epoch(store, run, records[run], epoch)
    for run, record in records.items():
        publish(store.directory(run) / BEST, write_weights)
        ended = record.with_attempt(ended_at=datetime.now(UTC))
        store.write(run, ended.model_copy(update={"state": State.COMPLETED}))


def _checkpoint(store: Store, run: Experiment) -> int:
    checkpoint = store.directory(run) / CHECKPOINT
    return int(json.loads(checkpoint.read_text())["epoch"]) if checkpoint.exists() else 0


def _end_epoch(store: Store, run: Experiment, record: StatusRecord, epoch: int) -> StatusRecord:
    publish_text(store.directory(run) / METRICS, json.dumps({"seconds": [1.0] * epoch}))
    publish_text(store.directory(run) / CHECKPOINT, json.dumps({"epoch": epoch}))
    record = record.model_copy(update={"epoch": epoch, "acc_last": 90.0}).with_attempt(end_epoch=epoch)
    return store.write(run, record)


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
    parser.add_argument("--beside", action="append", default=[])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--epochs", type=int, default=150)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
