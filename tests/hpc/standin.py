"""A stand-in for `kd-core train` that keeps its contract: claims, writes its record every epoch, resumes, finishes.

Its "training" is sleeping STANDIN_EPOCH_SECONDS an epoch. STANDIN_DIE makes it die in the epoch of that number;
STANDIN_HOLD makes it wait in that epoch until the file named by STANDIN_GO exists.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zipfile
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
    pure = arguments.model is not None
    experiment = Experiment(
        dataset=arguments.dataset,
        seed=arguments.seed,
        student=arguments.model or arguments.student,
        **({} if pure else {"method": arguments.method, "alpha": arguments.alpha, "teacher": arguments.teacher}),
    )
    store = Store(Path(arguments.experiments))
    try:
        with claimed(store, experiment, JobIdentity.from_environment()) as record:
            if not record.is_done:
                _train(store, experiment, record, arguments.epochs)
    except Superseded as reason:
        print(reason, file=sys.stderr)
    except KdError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _train(store: Store, experiment: Experiment, record: StatusRecord, epochs: int) -> None:
    directory = store.directory(experiment)
    checkpoint = directory / CHECKPOINT
    done = json.loads(checkpoint.read_text())["epoch"] if checkpoint.exists() else 0
    record = record.model_copy(update={"state": State.IN_PROGRESS, "epochs": epochs})
    store.write(experiment, record)
    for epoch in range(done + 1, epochs + 1):
        time.sleep(float(os.environ.get("STANDIN_EPOCH_SECONDS", "0.01")))
        if epoch == int(os.environ.get("STANDIN_DIE", "0")):
            raise SystemExit("error: told to die")
        if epoch == int(os.environ.get("STANDIN_HOLD", "0")):
            while not Path(os.environ["STANDIN_GO"]).exists():
                time.sleep(0.02)
        publish_text(directory / METRICS, json.dumps({"seconds": [1.0] * epoch}))
        publish_text(checkpoint, json.dumps({"epoch": epoch}))
        record = record.model_copy(update={"epoch": epoch, "acc_last": 90.0}).with_attempt(end_epoch=epoch)
        store.write(experiment, record)
    publish(directory / BEST, write_weights)
    ended = record.with_attempt(ended_at=datetime.now(UTC))
    store.write(experiment, ended.model_copy(update={"state": State.COMPLETED}))


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
    parser.add_argument("--seed", type=int)
    parser.add_argument("--epochs", type=int, default=150)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
