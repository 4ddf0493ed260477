"""A trainer that was given up while it lived, as after a node's failure: it ends by itself and harms nobody."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.core.processes import Started, start
from tests.core.runs import arguments, directory, place, status
from tests.hpc.stopped import snapshot

ON_A_NODE_THAT_CANNOT_BE_SEEN = """
import kd_hpc.process
kd_hpc.process._here = lambda: {"machine": "node", "hardware": "", "boot": "node", "namespace": "node"}
"""


def stop_after_an_epoch(trainer: Started, root: Path, method: str) -> None:
    """Stop it wherever it is then; the later it wakes, the more has happened."""
    while not list(root.glob(f"experiments/Digits/{method}/**/checkpoint.pth")):
        assert trainer.process.exitcode is None, trainer.log.read_text()
        trainer.process.join(0.02)
    os.kill(trainer.process.pid or 0, signal.SIGSTOP)


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
    trainer = start(arguments(root, "logit", epochs=40), root / "log", prelude=ON_A_NODE_THAT_CANNOT_BE_SEEN)
    stop_after_an_epoch(trainer, root, "logit")
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
    words = [*arguments(root, "logit", epochs=4), "--beside", "rkd:0.5"]
    trainer = start(words, root / "log", prelude=ON_A_NODE_THAT_CANNOT_BE_SEEN)
    stop_after_an_epoch(trainer, root, "rkd")
    before = take_over(root, "rkd")
    os.kill(trainer.process.pid or 0, signal.SIGCONT)
    assert trainer.wait() == 0
    assert trainer.log.read_text().count("superseded: ") == 1
    assert snapshot(directory(root, "rkd")) == before
    assert status(root, "logit")["state"] == "completed"
