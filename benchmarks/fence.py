"""What the fence and the verification of files cost a run: their share of an epoch of ResNetBaby on Digits.

    python -m benchmarks.fence [--epochs 20]

Trains a pure ResNetBaby in this process, as kd-core train does, with a clock around everything that is done only for
the fence or for digests: sealing, hashing, reading the record again before a write, keeping the spare. Processor
seconds; the first epoch, which warms up, is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from typing import Any
from unittest import mock

import torch

from kd_core.data.prepare import prepare_dataset
from kd_core.run import Request, train_runs
from kd_core.run_writer import RunWriter
from kd_hpc.claim import JobIdentity
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.store import Store

MEASURED = (
    "kd_core.artifacts.torchfile.seal_archive",
    "kd_core.training.curves.seal_object",
    "kd_hpc.store.sealed",
    "kd_hpc.store._require_successor",
    "kd_hpc.store.read_record",
    "kd_hpc.fence.Fence.keep",
    "kd_hpc.fence.Fence._note",
    "kd_hpc.fence.FileDigest.of",
)


class Clock:
    """Processor seconds in measured functions; of one within another only the outer one counts."""

    def __init__(self) -> None:
        self.spent, self.depth = 0.0, 0

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*words: Any, **named: Any) -> Any:
            self.depth += 1
            began = time.process_time()
            try:
                return act(*words, **named)
            finally:
                self.depth -= 1
                self.spent += 0 if self.depth else time.process_time() - began

        return measured


@contextlib.contextmanager
def watched(clock: Clock) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in MEASURED:
            module, _, attribute = name.rpartition(".")
            owner = resolve_name(module)
            stack.enter_context(mock.patch.object(owner, attribute, clock.around(getattr(owner, attribute))))
        yield


def measure(epochs: int) -> list[tuple[float, float]]:
    """Of each epoch but the first: its processor seconds, and those that went into fence and digests."""
    clock, marks = Clock(), list[tuple[float, float]]()
    end_epoch = RunWriter.end_epoch

    def ended(writer: RunWriter, is_best: bool) -> None:
        end_epoch(writer, is_best)
        marks.append((time.process_time(), clock.spent))

    with tempfile.TemporaryDirectory() as folder, watched(clock), mock.patch.object(RunWriter, "end_epoch", ended):
        prepare_dataset("Digits", Path(folder) / "data")
        run = Experiment(dataset="Digits", student="ResNetBaby", seed=0)
        store = Store(Path(folder) / "experiments")
        train_runs(Request(store, [run], Recipe(epochs=epochs), Path(folder) / "data", "cpu", JobIdentity()))
    return [(b - a, d - c) for (a, c), (b, d) in pairwise(marks)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    torch.set_num_threads(1)
    shares = [(whole, spent, spent / whole) for whole, spent in measure(parser.parse_args().epochs)]
    for name, place in (("epoch, s", 0), ("fence and digests, s", 1), ("share", 2)):
        values = [row[place] for row in shares]
        print(f"{name:24} median {median(values):.4f}  least {min(values):.4f}  most {max(values):.4f}")


if __name__ == "__main__":
    main()
