"""kd-hpc diagnose: one run's last job, from its files, its record and its scheduler."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.support import PURE, TEACHER, campaign_file, kd_hpc
from tests.paths import HPC_FIXTURES

ERRORS = HPC_FIXTURES / "errors"
CAMPAIGN = """\
name = "tiny"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
seeds = [0]
[resources]
project = "CSCI1166"
queue = "gpu_1"
walltime = "00:10:00"
memory = "400mb"
venv = "{venv}"
[scheduler]
kind = "pbs"
"""


def keep(folder: Path, errors: str = "walltime.txt", state: State = State.IN_PROGRESS, **attempt: Any) -> Store:
    store = Store(folder / "experiments")
    fields = {"token": "abcdefgh", "job_id": "7002784.sched01", "scheduler": "pbs", "start_epoch": 0} | attempt
    store.write(TEACHER, StatusRecord(state=state, epoch=4, experiment=TEACHER, attempts=(Attempt(**fields),)))
    shutil.copy(ERRORS / errors, store.directory(TEACHER) / "errors")
    return store


@pytest.mark.parametrize("name", [TEACHER.label, f"experiments/{TEACHER.label}/", "7002784.sched01", "abcdefgh"])
def test_a_run_is_found_by_path_job_and_token_and_diagnosed(tmp_path: Path, name: str) -> None:
    keep(tmp_path)
    ran = kd_hpc("diagnose", name, "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["run"], found["diagnosis"]["cause"]) == (TEACHER.label, "walltime")
    assert (found["diagnosis"]["gained"], found["diagnosis"]["charged"]) == (4, False)


def test_what_is_printed_says_cause_evidence_and_next_step(tmp_path: Path) -> None:
    store = keep(tmp_path, "missing_module.txt", start_epoch=4)
    lines = dict(line.split(maxsplit=1) for line in kd_hpc("diagnose", TEACHER.label, cwd=tmp_path).stdout.splitlines())
    assert lines["cause"] == "exception"
    assert "data_loader.py, line 59" in lines["what"]
    assert lines["charged"].startswith("yes")
    assert str(store.directory(TEACHER).relative_to(tmp_path)) in lines["evidence"]
    assert lines["next"].endswith(f"kd-hpc retry {TEACHER.label}")


def test_a_name_that_is_no_run_is_said_and_exits_2(tmp_path: Path) -> None:
    keep(tmp_path)
    for name in ("nosuch", "../experiments", "/etc"):
        ran = kd_hpc("diagnose", name, cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "kd-hpc status" in ran.stderr


def test_a_planned_run_that_never_started_has_not_died(tmp_path: Path) -> None:
    keep(tmp_path)
    ran = kd_hpc("diagnose", PURE.label, "--campaign", campaign_file(tmp_path), cwd=tmp_path)
    assert ran.returncode == 0
    assert "it was never started: nothing died" in ran.stdout
    assert "charged" not in ran.stdout


def test_a_recorded_ending_is_told_as_it_was_recorded(tmp_path: Path) -> None:
    keep(tmp_path, "quiet.txt", ended_at=datetime.now(UTC), cause="memory", detail="used 18 gb of 16", charged=True)
    found = json.loads(kd_hpc("diagnose", TEACHER.label, "--json", cwd=tmp_path).stdout)["diagnosis"]
    assert (found["cause"], found["detail"], found["charged"]) == ("memory", "used 18 gb of 16", True)


def test_a_complete_run_is_not_diagnosed(tmp_path: Path) -> None:
    keep(tmp_path, state=State.COMPLETED)
    assert json.loads(kd_hpc("diagnose", TEACHER.label, "--json", cwd=tmp_path).stdout)["diagnosis"] is None


def test_the_scheduler_is_asked_about_a_job_without_an_ending(fakepbs: FakePbs, tmp_path: Path) -> None:
    file = campaign_file(tmp_path, CAMPAIGN)
    fakepbs.set(queues={"gpu_1": {"max_queued": 10, "max_run": 0}})
    assert kd_hpc("queue", file, cwd=tmp_path).returncode == 0
    alive = json.loads(kd_hpc("diagnose", TEACHER.label, "--json", cwd=tmp_path).stdout)
    assert alive["diagnosis"] is None
    assert "alive: state Q" in alive["evidence"]
    fakepbs.set(history=False)
    fakepbs.fault("qselect", "refused_connection")
    hidden = json.loads(kd_hpc("diagnose", TEACHER.label, "--json", cwd=tmp_path).stdout)
    assert hidden["diagnosis"] is None
    assert "nobody can know now whether its job lives" in hidden["evidence"]
    assert "Connection refused" in hidden["evidence"]
