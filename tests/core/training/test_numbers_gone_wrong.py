"""Numbers that go wrong end a run in one sentence, half precision does not make them, and chance level is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.processes import run
from tests.core.runs import arguments, directory, place, status

POISON = """
import torch
from kd_core.methods.rkd import RKD
real = RKD.terms
def terms(self, student, teacher):
    # value 0, gradient 0/0: what a square root of clamped half-precision zeros does
    return {**real(self, student, teacher), "angle": torch.sqrt((student.logits * 0).square().sum())}
RKD.terms = terms
"""


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_loss_without_a_finite_gradient_fails_with_step_term_and_remedy(
    dtype: str, teacher: Path, tmp_path: Path
) -> None:
    root = place(teacher, tmp_path / "run")
    more = ("--watchdog-skips", "4", "--amp-dtype", dtype)
    code, output = run(arguments(root, "rkd", epochs=1, more=more), root / "log", prelude=POISON)
    record = status(root, "rkd")
    assert code == 1
    assert record["state"] == "failed", output
    assert "step 4" in record["reason"]
    assert "the term angle" in record["reason"]
    assert "--amp-dtype" in record["remedy"]
    assert record["reason"] in output
    assert "Traceback" not in output


ONCE = """
from kd_core.methods.rkd import RKD
real, calls = RKD.terms, []
def terms(self, student, teacher):
    calls.append(1)
    found = real(self, student, teacher)
    return {**found, "angle": found["angle"] * float("inf")} if len(calls) == 3 else found
RKD.terms = terms
"""


def test_a_mean_loss_that_is_no_number_is_not_told_as_skipped_steps(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    code, output = run(arguments(root, "rkd", epochs=2), root / "log", prelude=ONCE)
    steps = 6  # of an epoch
    assert code == 1
    assert (
        status(root, "rkd")["reason"]
        == f"The mean loss of the epoch that ended with step {steps} is not finite: the term angle."
    )
    assert "in a row" not in output


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("method", ["pure", "rkd"])
def test_half_precision_trains_without_skipping(method: str, dtype: str, teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    more = ("--amp-dtype", dtype)
    code, output = run(arguments(root, method, epochs=2, seed=0 if method != "pure" else 1, more=more), root / "log")
    assert code == 0, output
    metrics = json.loads((directory(root, method, 0 if method != "pure" else 1) / "metrics.json").read_text())
    assert sum(metrics["skipped_steps"]) <= 2  # the scaler may try too large a scale at first
    assert metrics["train_loss"][-1] < metrics["train_loss"][0]


def test_chance_level_marks_the_run_suspect_and_it_gets_no_student(teacher: Path, tmp_path: Path) -> None:
    root = tmp_path
    (root / "data").symlink_to(teacher / "data")
    code, output = run(arguments(root, "pure", epochs=1, more=("--lr", "1e-9")), root / "log")
    assert code == 0, output
    record = status(root, "pure")
    assert record["state"] == "suspect"
    assert "chance level" in record["reason"]
    code, output = run(arguments(root, "logit"), root / "student")
    assert code == 1
    assert "is suspect" in output
    assert not (root / "experiments/Digits/logit").exists()
