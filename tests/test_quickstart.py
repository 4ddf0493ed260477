"""The newcomer's command, from a fresh clone."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT


@pytest.mark.long
def test_a_fresh_clone_runs_the_quickstart_and_repeats_nothing(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run(["bash", "toolbox/setup.sh"], cwd=clone, check=True, capture_output=True)
    done = subprocess.run(["bash", "toolbox/quickstart.sh"], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"The report is in {clone}/report/report.html"
    with (clone / "report/tables/runs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["state"] for row in rows} == {"completed"}
    assert all(float(row["acc_last"]) > 90 for row in rows)
    weights = {path: path.stat().st_mtime_ns for path in clone.glob("experiments/**/*.pth")}
    subprocess.run(["bash", "toolbox/quickstart.sh"], cwd=clone, check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in clone.glob("experiments/**/*.pth")} == weights
