"""A trainer that was given up while it lived, as after a node's failure: it ends by itself and harms nobody."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.core.processes import Started, start
from tests.core.runs import arguments, directory, place, status
from tests.hpc.stopped import snapshot
from tests.hpc.support import HANGS

ON_A_NODE_THAT_CANNOT_BE_SEEN = """
import os, signal
import kd_hpc.disk.process
from kd_core.run_writer import RunWriter
kd_hpc.disk.process._here = lambda: {{"machine": "node", "hardware": "", "boot": "node", "namespace": "node"}}
end_epoch = RunWriter.end_epoch

def stopped_after_one(writer, is_best):
    end_epoch(writer, is_best)
    if (writer.experiment.method, writer.student.epoch) == ("{method}", 1):
        os.kill(os.getpid(), signal.SIGSTOP)

RunWriter.end_epoch = stopped_after_one
"""
"""It stops itself behind the first epoch of the run of `method`."""


@contextlib.contextmanager
def stopped_trainer(words: list[str], root: Path, method: str) -> Iterator[Started]:
    trainer = start(words, root / "log", prelude=ON_A_NODE_THAT_CANNOT_BE_SEEN.format(method=method))
    try:
        while psutil.Process(trainer.process.pid).status() != psutil.STATUS_STOPPED:
            assert trainer.process.exitcode is None, trainer.log.read_text()
            trainer.process.join(0.02)
        yield trainer
    finally:
        trainer.process.kill()
        trainer.process.join(HANGS)


def take_over(root: Path, method: str) -> dict[str, str]:
    """As a runner does whose scheduler said that the job is gone; returns what the run directory then holds."""
    store = Store(root / "experiments")
    run = Experiment(dataset="Digits", method=method, alpha=0.5, teacher="ResNetBaby", student="ResNetBaby", seed=0)
    record = store.read(run)
    assert isinstance(record, StatusRecord)
    attempts = (*record.attempts, Attempt(number=2, token="later", scheduler="pbs", job_id="2.vm"))
    queued = record.model_copy(update={"state": State.QUEUED, "attempts": attempts})
    store.write(run, queued, may_take_from=lambda owner: True, because="1.vm: job_state = F, Exit_status = -20")
    return snapshot(store.directory(run))


def test_a_trainer_taken_over_while_it_slept_says_so_and_changes_nothing(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    with stopped_trainer(arguments(root, "logit", epochs=3), root, "logit") as trainer:
        before = take_over(root, "logit")
        os.kill(trainer.process.pid or 0, signal.SIGCONT)
        assert trainer.wait() == 0
    said = trainer.log.read_text()
    assert "superseded: this is a start by hand" in said
    assert "Traceback" not in said
    assert snapshot(directory(root, "logit")) == before
    assert status(root, "logit")["attempts"][-1]["assumed_gone"].endswith("Exit_status = -20")


def test_of_several_students_only_the_one_that_was_taken_over_ends(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    with stopped_trainer([*arguments(root, "logit", epochs=3), "--beside", "rkd:0.5"], root, "rkd") as trainer:
        before = take_over(root, "rkd")
        os.kill(trainer.process.pid or 0, signal.SIGCONT)
        assert trainer.wait() == 0
    assert trainer.log.read_text().count("superseded: ") == 1
    assert snapshot(directory(root, "rkd")) == before
    assert status(root, "logit")["state"] == "completed"
