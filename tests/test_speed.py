"""The benchmarks in a short form: ratios of variants that take turns, with bounds far outside their noise.

What is fast today is to stay fast: a lost optimisation shows as a ratio near 1, whatever the machine and its load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from tests.paths import ROOT


def measured(folder: Path, name: str, *options: str) -> Any:
    """What `python -m benchmarks.NAME --json` measured, on one thread."""
    found = folder / "found.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--json", str(found)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(found.read_text())


def ratio(slow: list[float], fast: list[float]) -> float:
    return median(left / right for left, right in zip(slow, fast, strict=True))


def test_a_step_beats_the_ordinary_way_and_students_together_are_cheaper(tmp_path: Path) -> None:
    pair = ["--teacher", "ResNet56", "--student", "ResNet20", "--method", "logit"]
    times = measured(tmp_path, "step", *pair, "--batch-size", "32", "--students", "3", "--rounds", "5")["seconds"][
        "logit"
    ]
    assert ratio(times["ordinary"], times["one"]) > 1.05  # usually 1.3
    assert ratio(times["together"], times["one"]) < 2.5  # usually 2; three alone would be 3


def test_batches_are_made_many_times_as_fast_as_with_pil(tmp_path: Path) -> None:
    ratios = measured(tmp_path, "loader", "--rounds", "3", "--skip-memory")
    assert median(ratios["crop-flip"]) > 8  # usually 28
    assert median(ratios["resized-crop"]) > 4  # usually 11


def test_the_dear_losses_stay_near_their_floors(tmp_path: Path) -> None:
    times = measured(tmp_path, "method_losses", "--rounds", "5")
    assert ratio(times["angle"]["ours"], times["angle"]["product"]) < 3  # usually 1.2
    assert ratio(times["nst"]["broadcast"], times["nst"]["ours"]) > 5  # usually 30
